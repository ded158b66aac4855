//! Rotated files that were read to their end and may still get lines: nginx
//! keeps the old file until it is told to open the new one, and may be quiet
//! at night.
//!
//! Each costs a descriptor, so they are few per name, and all sources of the
//! process together hold at most a quarter of what it may open. A file that
//! was deleted is let go as soon as it is quiet: its descriptor would pin its
//! space on the disk.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::content;
use super::fingerprint::Inode;
use super::open::{self, Permit};

/// Descriptors held for resting files.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Most of them, whatever the process may open.
const MOST: u64 = 4096;

/// Room for the descriptor of a resting file.
#[derive(Debug)]
pub(super) struct Slot(());

impl Slot {
    /// None when there are too many resting files.
    pub(super) fn take() -> Option<Self> {
        static ROOM: OnceLock<usize> = OnceLock::new();
        let room = *ROOM
            .get_or_init(|| usize::try_from((open::descriptors() / 4).min(MOST)).unwrap_or(64));
        let more = |held: usize| (held < room).then_some(held + 1);
        HELD.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()
            .map(|_| Self(()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        HELD.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A rotated file that is only looked at.
pub(super) struct Resting {
    pub(super) file: File,
    pub(super) permit: Permit,
    pub(super) inode: Inode,
    pub(super) fingerprint: Option<u128>,
    /// Where reading goes on.
    pub(super) offset: u64,
    /// The bytes before that.
    pub(super) tail: Vec<u8>,
    /// When it is given up.
    pub(super) until: Instant,
    pub(super) _slot: Slot,
}

/// What became of a resting file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    None,
    /// There is more to read, or it was deleted and may be written for a last
    /// time.
    Stirred,
    /// Nothing is to be expected any more.
    Over,
}

impl Resting {
    /// Whether what was read is still there.
    pub(super) fn goes_on(&self) -> bool {
        let begins = |known| content::begins_as(&self.file, known).unwrap_or(false);
        content::before(&self.file, self.offset).is_ok_and(|now| now.ends_with(&self.tail))
            && self.fingerprint.is_none_or(begins)
    }

    pub(super) fn look(&self) -> Change {
        let Ok(metadata) = self.file.metadata() else {
            return Change::Over;
        };
        if metadata.len() > self.offset && !self.goes_on() {
            // Another copy was written over it.
            Change::Over
        } else if metadata.len() > self.offset || metadata.nlink() == 0 {
            Change::Stirred
        } else if metadata.len() < self.offset || Instant::now() >= self.until {
            Change::Over
        } else {
            Change::None
        }
    }
}
