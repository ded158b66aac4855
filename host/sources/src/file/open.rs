//! Opens regular files, and nothing else: a pipe would hold the thread until
//! somebody writes to it, a device may do anything.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

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
