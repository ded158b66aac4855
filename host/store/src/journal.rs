//! Writing the journal.
//!
//! A write or sync that fails leaves the segment in doubt: what it may hold
//! beyond the last good frame is cut off where the system lets us, the segment
//! is given up, and what was to be written goes to a new one. Frames of the
//! new one supersede frames of the same number in the old.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::error::{StoreError, at};
use crate::segment::{self, Segment};

#[derive(Debug)]
pub(crate) struct Journal {
    directory: PathBuf,
    open: Option<(File, PathBuf)>,
    /// Length up to the last good frame of the open segment.
    length: u64,
}

impl Journal {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            open: None,
            length: 0,
        }
    }

    /// Whether a new segment has to be begun before the next frame.
    pub(crate) fn needs_segment(&self, largest: u64) -> bool {
        self.open.is_none() || self.length >= largest
    }

    /// Begins a segment. It exists for good only with the next sync.
    pub(crate) fn begin(&mut self, first: u64) -> Result<Segment, StoreError> {
        self.open = None;
        let path = segment::path(&self.directory, first);
        // A file of that name can only be one that was never synced.
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(at("create", &path))?;
        File::open(&self.directory)
            .and_then(|directory| directory.sync_all())
            .map_err(at("sync", &self.directory))?;
        self.open = Some((file, path));
        self.length = 0;
        Ok(Segment {
            first,
            bytes: 0,
            addressees: 0,
        })
    }

    /// Appends frames and forces them to the disk. After an error nothing of
    /// them counts, and a new segment has to be begun.
    pub(crate) fn append(&mut self, frames: &[u8], sync: bool) -> Result<u64, StoreError> {
        let Some((file, path)) = &self.open else {
            let closed = io::Error::other("no segment is open");
            return Err(at("write", &self.directory)(closed));
        };
        let force = || if sync { file.sync_data() } else { Ok(()) };
        let written = file
            .write_all_at(frames, self.length)
            .map_err(at("write", path))
            .and_then(|()| force().map_err(at("sync", path)));
        if let Err(error) = written {
            self.give_up();
            return Err(error);
        }
        self.length += frames.len() as u64;
        Ok(self.length)
    }

    /// Cuts off what is in doubt and leaves the segment alone from now on.
    fn give_up(&mut self) {
        if let Some((file, _)) = self.open.take() {
            // Makes room on a full disk; what cannot be cut is superseded.
            if let Err(error) = file.set_len(self.length) {
                tracing::warn!(%error, "a journal segment in doubt could not be cut");
            }
        }
    }

    pub(crate) fn remove(&self, segment: &Segment) -> Result<(), StoreError> {
        let path = segment::path(&self.directory, segment.first);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(at("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}
