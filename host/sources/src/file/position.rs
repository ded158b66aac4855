//! How far a file has been read, and where that is remembered.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::fingerprint;

/// Most files remembered; beyond it the memory is cleared, and at worst a file
/// is read again (with the same event identifiers).
const MOST: usize = 10_000;

/// How far a file has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Identifies the file across renames: see `fingerprint`.
    pub fingerprint: u128,
    /// Where the first record not yet handed over starts, in bytes (of the
    /// unpacked content for gzip files).
    pub offset: u64,
}

/// Remembers positions.
pub trait Positions: Send + Sync {
    /// The offset stored for the file with this fingerprint.
    fn load(&self, fingerprint: u128) -> Option<u64>;

    /// Fingerprint and offset of the one file that begins so; none when there
    /// are several, because then the beginning tells nothing.
    fn of_head(&self, head: u64) -> Option<(u128, u64)>;

    /// Everything before `position` was handed to the pipeline.
    fn store(&self, position: Position);
}

/// Positions of this process. What outlives it travels with the events
/// ([`sidewatch_event::Event::origin`]) and is committed with them.
#[derive(Debug, Default)]
pub struct MemoryPositions(Mutex<HashMap<u128, u64>>);

impl MemoryPositions {
    /// Begins with what an earlier run knew: fingerprints and offsets.
    #[must_use]
    pub fn of(known: impl IntoIterator<Item = (u128, u64)>) -> Self {
        Self(Mutex::new(known.into_iter().collect()))
    }
}

impl Positions for MemoryPositions {
    fn load(&self, fingerprint: u128) -> Option<u64> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&fingerprint)
            .copied()
    }

    fn of_head(&self, head: u64) -> Option<(u128, u64)> {
        let offsets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found = offsets
            .iter()
            .filter(|(known, _)| fingerprint::head(**known) == head);
        let (fingerprint, offset) = found.next()?;
        found.next().is_none().then_some((*fingerprint, *offset))
    }

    fn store(&self, position: Position) {
        let mut offsets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if offsets.len() >= MOST && !offsets.contains_key(&position.fingerprint) {
            offsets.clear();
        }
        offsets.insert(position.fingerprint, position.offset);
    }
}
