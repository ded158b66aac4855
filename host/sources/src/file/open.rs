//! Opens regular files, and nothing else: a pipe would hold the thread until
//! somebody writes to it, a device may do anything.
//!
//! Followed files keep open what they are read from, and there may be
//! thousands. They leave a part of what the process may open to others: with
//! no descriptor for its next file the journal could not be written, and
//! everything would wait.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit};

/// Files that are held open to be read.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Descriptors left to the store, connections and everybody else, but never
/// more than half of them.
const FOR_OTHERS: u64 = 128;

/// Descriptors the process may have.
pub(super) fn descriptors() -> u64 {
    static LIMIT: OnceLock<u64> = OnceLock::new();
    *LIMIT.get_or_init(|| getrlimit(Resource::RLIMIT_NOFILE).map_or(256, |(soft, _)| soft))
}

/// The right to keep a followed file open.
#[derive(Debug)]
pub(super) struct Permit(());

impl Permit {
    /// # Errors
    /// As if no descriptor were left, when others need those that are.
    pub(super) fn take() -> io::Result<Self> {
        let limit = descriptors();
        let room = usize::try_from(limit - FOR_OTHERS.min(limit / 2)).unwrap_or(usize::MAX);
        let more = |held: usize| (held < room).then_some(held + 1);
        HELD.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map(|_| Self(()))
            .map_err(|_| Errno::EMFILE.into())
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Opens a regular file.
///
/// # Errors
/// Whatever the system says; [`io::ErrorKind::InvalidInput`] when it is no
/// regular file.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    // Looked at first: opening a pipe or a device has effects on others.
    check(&std::fs::metadata(path)?)?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Opens a regular file, if there is one that can be read.
///
/// # Errors
/// No descriptor is left, which says nothing about the file.
pub(super) fn open_if_readable(path: &Path) -> io::Result<Option<File>> {
    match open_regular(path) {
        Err(error) if is_out_of_descriptors(&error) => Err(error),
        opened => Ok(opened.ok()),
    }
}

/// Refuses what is no regular file, and says what it is.
pub(super) fn check(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let (kind, remedy) = kind(metadata.file_type());
    Err(io::Error::new(
        io::ErrorKind::InvalidInput,
        format!("it is {kind}, not a regular file; {remedy}"),
    ))
}

fn kind(kind: FileType) -> (&'static str, &'static str) {
    if kind.is_dir() {
        (
            "a directory",
            "name the files in it, for example with `/*.log`",
        )
    } else if kind.is_fifo() {
        (
            "a named pipe",
            "read it with a source of type `stdin` (`sidewatch run < pipe`), or let its writer send to one of type `tcp`",
        )
    } else if kind.is_socket() {
        ("a socket", "use a source of type `syslog` or `tcp`")
    } else {
        ("a device", "use a source of type `stdin`")
    }
}

/// Whether the process, or the system, has no descriptor left.
pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EMFILE | Errno::ENFILE))
}

/// An error as the operator should read it.
pub(super) fn explained(error: &io::Error) -> String {
    if is_out_of_descriptors(error) {
        return "no file descriptor is left; raise the limit (`ulimit -n`, `LimitNOFILE=` for systemd) above twice the number of followed files".to_owned();
    }
    error.to_string()
}
