//! How far files have been read, and where that is remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sidewatch_event::Origin;

use super::fingerprint;

/// Files remembered before those unused for longest are forgotten.
const MOST: usize = 20_000;

/// How long a file counts as followed after it was last touched. Followed
/// files are touched far more often.
const IN_USE: Duration = Duration::from_secs(600);

/// Remembers how far files were read.
pub trait Positions: Send + Sync {
    /// How far the file with this fingerprint was read.
    fn load(&self, fingerprint: u128) -> Option<Origin>;

    /// The files that begin so, by the upper half of their fingerprint.
    fn of_head(&self, head: u64) -> Vec<Origin>;

    /// The files that were in this place, by the lower half of it.
    fn of_place(&self, place: u64) -> Vec<Origin>;

    /// Everything before `position` was handed to the pipeline.
    fn store(&self, position: Origin);

    /// Reading begins here, though nothing was handed over before; told before
    /// any event of the file.
    fn begin(&self, position: Origin);

    /// The file is still followed, so its position must not be forgotten.
    fn touch(&self, fingerprint: u128);
}

/// Positions of this process. What outlives it travels with the events
/// ([`sidewatch_event::Event::origin`]) and is committed with them.
#[derive(Debug)]
pub struct MemoryPositions(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By fingerprint, which sorts them by their beginnings.
    files: BTreeMap<u128, Entry>,
    /// Fingerprints by place.
    places: HashMap<u64, Vec<u128>>,
    /// Where reading was begun, until that is asked for.
    begun: Vec<Origin>,
    /// With more files than these, unused ones are forgotten.
    sweep_at: usize,
}

#[derive(Debug)]
struct Entry {
    position: Origin,
    touched: Instant,
}

impl Default for MemoryPositions {
    fn default() -> Self {
        Self::of([])
    }
}

impl MemoryPositions {
    /// Begins with what an earlier run knew.
    #[must_use]
    pub fn of(known: impl IntoIterator<Item = Origin>) -> Self {
        let mut files = Known::default();
        known
            .into_iter()
            .for_each(|position| files.insert(position));
        files.sweep_at = files.files.len().max(MOST);
        Self(Mutex::new(files))
    }

    /// Where reading of files was begun since this was last asked. To be asked
    /// after events were received and kept before what they say.
    #[must_use]
    pub fn take_begun(&self) -> Vec<Origin> {
        std::mem::take(&mut self.lock().begun)
    }

    /// Whether the file was followed a moment ago: its position is needed.
    #[must_use]
    pub fn is_in_use(&self, fingerprint: u128) -> bool {
        let known = self.lock();
        let entry = known.files.get(&fingerprint);
        entry.is_some_and(|entry| entry.touched.elapsed() < IN_USE)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn insert(&mut self, position: Origin) {
        let file = position.file;
        let touched = Instant::now();
        if let Some(entry) = self.files.get_mut(&file) {
            *entry = Entry { position, touched };
            return;
        }
        self.files.insert(file, Entry { position, touched });
        let place = fingerprint::place_of(file);
        self.places.entry(place).or_default().push(file);
    }

    /// Forgets a tenth, those unused for longest, but none in use.
    fn sweep(&mut self) {
        let mut touched: Vec<_> = self.files.values().map(|entry| entry.touched).collect();
        let tenth = touched.len() / 10;
        let (_, oldest, _) = touched.select_nth_unstable(tenth);
        let oldest = *oldest;
        self.files
            .retain(|_, entry| entry.touched > oldest || entry.touched.elapsed() < IN_USE);
        let files = &self.files;
        self.places.retain(|_, known| {
            known.retain(|file| files.contains_key(file));
            !known.is_empty()
        });
        self.sweep_at = (files.len() + files.len() / 4).max(MOST);
    }

    fn positions<'a>(&'a self, files: impl IntoIterator<Item = &'a u128>) -> Vec<Origin> {
        let entries = files.into_iter().filter_map(|file| self.files.get(file));
        entries.map(|entry| entry.position).collect()
    }
}

impl Positions for MemoryPositions {
    fn load(&self, fingerprint: u128) -> Option<Origin> {
        self.lock().positions([&fingerprint]).pop()
    }

    fn of_head(&self, head: u64) -> Vec<Origin> {
        let first = u128::from(head) << 64;
        let known = self.lock();
        let alike = known.files.range(first..=first | u128::from(u64::MAX));
        alike.map(|(_, entry)| entry.position).collect()
    }

    fn of_place(&self, place: u64) -> Vec<Origin> {
        let known = self.lock();
        known.positions(known.places.get(&place).into_iter().flatten())
    }

    fn store(&self, position: Origin) {
        let mut known = self.lock();
        known.insert(position);
        if known.files.len() > known.sweep_at {
            known.sweep();
        }
    }

    fn begin(&self, position: Origin) {
        self.store(position);
        let mut known = self.lock();
        if known.begun.len() < MOST {
            known.begun.push(position);
        }
    }

    fn touch(&self, fingerprint: u128) {
        if let Some(entry) = self.lock().files.get_mut(&fingerprint) {
            entry.touched = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_too_many_files_the_longest_unused_is_forgotten_never_a_followed_one() {
        let positions = MemoryPositions::default();
        let number = |number: usize| (number as u128) << 64 | 7;
        let ago = Instant::now().checked_sub(2 * IN_USE).unwrap();
        for file in 0..MOST {
            positions.store(Origin::new(number(file), 1));
            positions
                .lock()
                .files
                .get_mut(&number(file))
                .unwrap()
                .touched = ago + Duration::from_millis(file as u64);
        }
        positions.touch(number(0));
        positions.store(Origin::new(number(MOST), 1));
        assert!(positions.is_in_use(number(0)));
        assert!(positions.load(number(0)).is_some());
        assert!(positions.load(number(1)).is_none());
        assert!(positions.load(number(MOST - 1)).is_some());
        assert!(positions.load(number(MOST)).is_some());
        let alike = positions.of_place(7).len();
        assert!((MOST * 8 / 10..MOST).contains(&alike), "{alike}");
    }
}
