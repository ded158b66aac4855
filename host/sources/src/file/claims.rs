//! Who reads a file: of all followers of the process, at most one.
//!
//! Invariant: a file has one reader, whatever names it has. A follower whose
//! rotated file is only kept in sight yields to one whose name it is now,
//! which goes on at the stored position.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::fingerprint::Inode;

/// How a file is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hold {
    /// It is read.
    Reading,
    /// It is only looked at: whoever wants to read it may.
    InSight,
}

/// The files that have a reader, and who that is.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<HashMap<Inode, (u64, Hold)>>);

impl Readers {
    fn lock(&self) -> MutexGuard<'_, HashMap<Inode, (u64, Hold)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files one follower holds; they are anyone's when it is dropped.
#[derive(Debug)]
pub(super) struct Claims {
    readers: Arc<Readers>,
    own: u64,
    held: Vec<(Inode, Hold)>,
}

impl Claims {
    pub(super) fn new(readers: Arc<Readers>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            readers,
            own: NEXT.fetch_add(1, Ordering::Relaxed),
            held: Vec::new(),
        }
    }

    /// Makes this follower the reader of a file; `false` when another is. The
    /// claim lasts until [`Self::settle`] if the file is not held then.
    pub(super) fn claim(&mut self, inode: Inode) -> bool {
        let mut readers = self.readers.lock();
        let claimed = claim(&mut readers, self.own, inode, Hold::Reading);
        drop(readers);
        if claimed && !self.held.contains(&(inode, Hold::Reading)) {
            self.held.push((inode, Hold::Reading));
        }
        claimed
    }

    /// Whether nobody else reads a file this follower holds.
    pub(super) fn is_ours(&self, inode: Inode) -> bool {
        let readers = self.readers.lock();
        readers.get(&inode).is_none_or(|(by, _)| *by == self.own)
    }

    /// These are the files that are held now.
    pub(super) fn settle(&mut self, held: Vec<(Inode, Hold)>) {
        if held == self.held {
            return;
        }
        let mut readers = self.readers.lock();
        for (inode, _) in &self.held {
            let kept = held.iter().any(|(other, _)| other == inode);
            if !kept {
                release(&mut readers, self.own, *inode);
            }
        }
        for (inode, hold) in &held {
            claim(&mut readers, self.own, *inode, *hold);
        }
        drop(readers);
        self.held = held;
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        let mut readers = self.readers.lock();
        for (inode, _) in &self.held {
            release(&mut readers, self.own, *inode);
        }
    }
}

fn claim(readers: &mut HashMap<Inode, (u64, Hold)>, own: u64, inode: Inode, hold: Hold) -> bool {
    match readers.entry(inode) {
        Entry::Vacant(entry) => {
            entry.insert((own, hold));
            true
        }
        Entry::Occupied(mut entry) => {
            let (by, now) = *entry.get();
            let may = by == own || (now == Hold::InSight && hold == Hold::Reading);
            if may {
                entry.insert((own, hold));
            }
            may
        }
    }
}

fn release(readers: &mut HashMap<Inode, (u64, Hold)>, own: u64, inode: Inode) {
    if readers.get(&inode).is_some_and(|(by, _)| *by == own) {
        readers.remove(&inode);
    }
}
