//! Room on the disk kept back for the moment it is full, because making room
//! needs room: the database copies a page before it changes it, and how far
//! the sinks came has to be written down before their records go.
//!
//! The disk counts as full as soon as this room cannot be had. It is given up
//! only while room is made, and taken again before anything else is written.
//! Where the file system cannot set room aside there is none, and nothing
//! else changes.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{StoreError, at};

const NAME: &str = "reserve";
/// Most bytes set aside.
const MOST: u64 = 16 << 20;
/// Fewest bytes set aside, on a tiny disk.
const FEWEST: u64 = 64 << 10;
/// At most this part of the disk.
const PART: u64 = 16;

#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    /// Nothing is set aside when 0.
    bytes: u64,
    held: bool,
}

impl Reserve {
    /// The room of a store's directory, given up for now: opening the database
    /// may need it.
    pub(crate) fn given_up(directory: &Path) -> Self {
        let whole = nix::sys::statvfs::statvfs(directory)
            .map_or(0, |disk| disk.blocks() * disk.fragment_size());
        let mut reserve = Self {
            path: directory.join(NAME),
            bytes: (whole / PART).clamp(FEWEST, MOST),
            held: true,
        };
        reserve.release();
        reserve
    }

    /// How many bytes are set aside when it is held.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Sets the room aside, unless that was done before.
    pub(crate) fn take(&mut self) -> Result<(), StoreError> {
        if self.held || self.bytes == 0 {
            return Ok(());
        }
        match self.set_aside() {
            Ok(()) => self.held = true,
            Err(error) if matches!(error, Errno::ENOSPC | Errno::EDQUOT) => {
                self.remove();
                return Err(at("set room aside in", &self.path)(error.into()));
            }
            Err(error) => {
                tracing::info!(%error, path = %self.path.display(), "this file system cannot set room aside for the moment it is full");
                self.remove();
                self.bytes = 0;
            }
        }
        Ok(())
    }

    fn set_aside(&self) -> Result<(), Errno> {
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(|error| errno(&error))?;
        let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
        nix::fcntl::posix_fallocate(&file, 0, bytes)
    }

    /// Gives the room up.
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.held) {
            self.remove();
        }
    }

    fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, "the room set aside cannot be given up");
        }
    }
}

fn errno(error: &io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw)
}
