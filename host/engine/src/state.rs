//! States of one rule: bytes under a key, bounded in number and size.
//!
//! When the rule's share of memory is full, states are forgotten by a sample
//! that prefers the young and little used: a flood of invented users pushes out
//! other invented users, not somebody with a history.

use hashbrown::HashMap;

use crate::canary::SampledState;

/// Estimated bytes a state costs beyond its own.
const OVERHEAD: usize = 64;
/// Entries looked at to find one to forget.
const SAMPLE: usize = 16;

#[derive(Debug)]
struct Entry {
    bytes: Vec<u8>,
    /// Event time of the last change, milliseconds.
    changed: i64,
    /// Event time of the first change.
    created: i64,
    /// How often it was changed.
    changes: u32,
}

impl Entry {
    /// What it would be a pity to lose: long histories first.
    fn worth(&self) -> (u64, u32, i64) {
        let age = self
            .changed
            .saturating_sub(self.created)
            .max(0)
            .unsigned_abs();
        // Whole hours of history count; within the same hour, use does.
        (age / 3_600_000, self.changes, self.changed)
    }

    /// Takes other bytes. Room far beyond them is given back: it would be the
    /// host's memory, kept by a rule that does not pay for it.
    fn replace(&mut self, bytes: &[u8]) {
        let room = self.bytes.capacity();
        if bytes.len() <= room && room <= 2 * bytes.len() + OVERHEAD {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
        } else {
            self.bytes = bytes.to_vec();
        }
    }

    fn kept(&self) -> KeptState<'_> {
        KeptState {
            bytes: &self.bytes,
            changed: self.changed,
            created: self.created,
            changes: self.changes,
        }
    }
}

/// The states of one rule.
#[derive(Debug)]
pub struct States {
    /// Where a key's entry lies in `slots`.
    index: HashMap<u64, usize, foldhash::fast::FixedState>,
    /// Entries with their keys, dense so that any can be sampled.
    slots: Vec<(u64, Entry)>,
    bytes: usize,
    limit: usize,
    ttl: i64,
    evicted: u64,
    sampler: u64,
    /// Keys set or forgotten since the last drain; none are kept unless
    /// somebody drains them.
    touched: Option<Vec<u64>>,
}

/// A state with what decides how long it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptState<'a> {
    /// The rule's own bytes.
    pub bytes: &'a [u8],
    /// Event time of the last change, milliseconds.
    pub changed: i64,
    /// Event time of the first change, milliseconds.
    pub created: i64,
    /// How often it was changed.
    pub changes: u32,
}

impl States {
    /// States of at most `limit` bytes together, forgotten when an event comes
    /// more than `ttl` milliseconds of event time after their last change.
    #[must_use]
    pub fn new(limit: usize, ttl: u64) -> Self {
        Self {
            index: HashMap::default(),
            slots: Vec::new(),
            bytes: 0,
            limit,
            ttl: i64::try_from(ttl).unwrap_or(i64::MAX),
            evicted: 0,
            sampler: 0x9e37_79b9_7f4a_7c15,
            touched: None,
        }
    }

    /// From now on remembers which states change, for [`States::drain_changes`].
    pub fn remember_changes(&mut self) {
        self.touched.get_or_insert_default();
    }

    /// Tells every state changed since the last call, once each and in the
    /// order of their keys; one that was forgotten as `None`.
    pub fn drain_changes(&mut self, mut tell: impl FnMut(u64, Option<KeptState<'_>>)) {
        let Some(mut touched) = self.touched.take() else {
            return;
        };
        touched.sort_unstable();
        touched.dedup();
        for key in touched.drain(..) {
            let slot = self.index.get(&key).and_then(|&at| self.slots.get(at));
            tell(key, slot.map(|(_, entry)| entry.kept()));
        }
        self.touched = Some(touched);
    }

    /// Takes up a state of an earlier run.
    pub fn restore(&mut self, key: u64, state: KeptState<'_>) {
        let touched = self.touched.take();
        self.set(key, state.bytes, state.changed);
        if let Some((_, entry)) = self.index.get(&key).and_then(|&at| self.slots.get_mut(at)) {
            entry.created = state.created;
            entry.changes = state.changes;
        }
        self.touched = touched;
    }

    /// What is kept under a key, however old.
    #[must_use]
    pub fn kept(&self, key: u64) -> Option<KeptState<'_>> {
        let (_, entry) = self.slots.get(*self.index.get(&key)?)?;
        Some(entry.kept())
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        for (key, _) in std::mem::take(&mut self.slots) {
            self.touch(key);
        }
        self.index.clear();
        self.bytes = 0;
    }

    /// Other bounds, from the next change on; see [`States::new`].
    pub(crate) fn set_bounds(&mut self, limit: usize, ttl: u64) {
        self.limit = limit;
        self.ttl = i64::try_from(ttl).unwrap_or(i64::MAX);
    }

    /// Copies of at most so many states, those kept last.
    pub(crate) fn sample(&self, most: usize) -> Vec<SampledState> {
        self.slots
            .iter()
            .rev()
            .take(most)
            .map(|(key, entry)| SampledState {
                key: *key,
                bytes: entry.bytes.clone(),
                changed: entry.changed,
            })
            .collect()
    }

    fn touch(&mut self, key: u64) {
        if let Some(touched) = &mut self.touched {
            touched.push(key);
        }
    }

    /// The state under a key for an event at `time`. A wrong clock in one
    /// event can expire the state of its own key only.
    #[must_use]
    pub fn get(&self, key: u64, time: i64) -> Option<&[u8]> {
        let (_, entry) = self.slots.get(*self.index.get(&key)?)?;
        (time.saturating_sub(entry.changed) <= self.ttl).then_some(entry.bytes.as_slice())
    }

    /// Keeps a state; empty bytes forget it. `time` is the event's.
    pub fn set(&mut self, key: u64, bytes: &[u8], time: i64) {
        if bytes.is_empty() {
            self.remove(key);
            return;
        }
        self.touch(key);
        match self.index.get(&key).and_then(|&at| self.slots.get_mut(at)) {
            Some((_, entry)) => {
                if time.saturating_sub(entry.changed) > self.ttl {
                    // The rule has just begun anew; so does the history.
                    (entry.created, entry.changes) = (time, 0);
                }
                self.bytes -= entry.bytes.capacity();
                entry.replace(bytes);
                self.bytes += entry.bytes.capacity();
                entry.changed = entry.changed.max(time);
                entry.changes = entry.changes.saturating_add(1);
            }
            None => {
                let bytes = bytes.to_vec();
                self.bytes += bytes.capacity() + OVERHEAD;
                self.index.insert(key, self.slots.len());
                self.slots.push((
                    key,
                    Entry {
                        bytes,
                        changed: time,
                        created: time,
                        changes: 1,
                    },
                ));
            }
        }
        while self.bytes > self.limit && self.slots.len() > 1 {
            self.evict(key, time);
        }
    }

    fn remove(&mut self, key: u64) {
        let Some(at) = self.index.remove(&key) else {
            return;
        };
        if at >= self.slots.len() {
            return;
        }
        self.touch(key);
        let (_, entry) = self.slots.swap_remove(at);
        self.bytes -= entry.bytes.capacity() + OVERHEAD;
        if let Some((moved, _)) = self.slots.get(at) {
            self.index.insert(*moved, at);
        }
    }

    /// Forgets the least worthy of a sample, never the one just set at `now`;
    /// one that has expired by then is worth nothing.
    fn evict(&mut self, keep: u64, now: i64) {
        let ttl = self.ttl;
        let worth = |entry: &Entry| {
            if now.saturating_sub(entry.changed) > ttl {
                (0, 0, i64::MIN)
            } else {
                entry.worth()
            }
        };
        let mut victim: Option<(u64, (u64, u32, i64))> = None;
        let mut looked_at = 0;
        while looked_at < SAMPLE || victim.is_none() {
            looked_at += 1;
            // xorshift64: any spread will do, it only picks where to look.
            self.sampler ^= self.sampler << 13;
            self.sampler ^= self.sampler >> 7;
            self.sampler ^= self.sampler << 17;
            let at = usize::try_from(self.sampler).unwrap_or(usize::MAX) % self.slots.len().max(1);
            let Some((key, entry)) = self.slots.get(at) else {
                return;
            };
            if *key != keep && victim.is_none_or(|(_, least)| worth(entry) < least) {
                victim = Some((*key, worth(entry)));
            }
        }
        if let Some((key, _)) = victim {
            self.remove(key);
            self.evicted += 1;
        }
    }

    /// How many states are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Estimated bytes kept.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many were forgotten for want of room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_state_that_shrank_gives_its_room_back() {
        let mut states = States::new(1 << 20, 10_000);
        for key in 0..200 {
            states.set(key, &[7; 100_000], 0);
            states.set(key, b"little", 0);
        }
        assert_eq!((states.len(), states.evicted()), (200, 0));
        let room: usize = states
            .slots
            .iter()
            .map(|(_, entry)| entry.bytes.capacity())
            .sum();
        assert!(room < 40_000, "{room} bytes");
        assert_eq!(states.bytes(), room + 200 * OVERHEAD);
    }

    #[test]
    fn a_state_expires_by_event_time() {
        let mut states = States::new(1 << 20, 10_000);
        states.set(1, b"old", 0);
        assert_eq!(states.get(1, 10_000), Some(&b"old"[..]));
        assert_eq!(states.get(1, 10_001), None);
    }

    #[test]
    fn a_million_invented_users_do_not_push_out_one_with_a_history() {
        let mut states = States::new(1 << 20, u64::MAX);
        for hour in 0..48 {
            states.set(42, b"history of a real person", hour * HOUR);
        }
        for invented in 0..1_000_000_u64 {
            states.set(1_000 + invented, b"x", 48 * HOUR);
            assert!(states.bytes() <= 1 << 20);
        }
        assert_eq!(
            states.get(42, 48 * HOUR),
            Some(&b"history of a real person"[..])
        );
        assert!(states.evicted() > 900_000);
    }

    #[test]
    fn changes_are_told_once_and_can_be_restored() {
        let mut states = States::new(1 << 20, u64::MAX);
        states.set(9, b"before anybody asked", 0);
        states.remember_changes();
        states.set(2, b"a", 10);
        states.set(1, b"b", 10);
        states.set(2, b"c", 30);
        states.set(9, b"", 30);
        let mut restored = States::new(1 << 20, u64::MAX);
        let mut told = Vec::new();
        states.drain_changes(|key, state| {
            told.push((key, state.map(|state| state.bytes.to_vec())));
            if let Some(state) = state {
                restored.restore(key, state);
            }
        });
        let expected = [
            (1, Some(b"b".to_vec())),
            (2, Some(b"c".to_vec())),
            (9, None),
        ];
        assert_eq!(told, expected);
        states.drain_changes(|key, _| panic!("{key} was told twice"));
        // The restored state lives as long as the first one would have.
        restored.remember_changes();
        restored.set(2, b"d", 20);
        let mut worth = Vec::new();
        restored.drain_changes(|_, state| {
            let state = state.unwrap();
            worth.push((state.created, state.changed, state.changes));
        });
        assert_eq!(worth, [(10, 30, 3)]);
    }

    #[test]
    fn somebody_long_gone_makes_room_before_anybody_present() {
        let mut states = States::new(20 * (100 + OVERHEAD), 24 * 30 * HOUR as u64);
        for hour in 0..1000 {
            states.set(1, &[1; 100], hour * HOUR);
        }
        // Two months later: the one who left has the longest history of all.
        let later = (1000 + 24 * 60) * HOUR;
        for user in 2..=21 {
            states.set(user, &[2; 100], later);
        }
        for _ in 0..100 {
            states.set(21, &[2; 100], later);
        }
        assert_eq!((states.len(), states.evicted()), (20, 1));
        assert!(states.get(1, 999 * HOUR).is_none());
    }

    #[test]
    fn forgetting_gives_the_room_back() {
        let mut states = States::new(1 << 20, u64::MAX);
        states.set(1, &[0; 100], 0);
        states.set(1, &[], 1);
        assert!(states.is_empty());
        assert_eq!(states.bytes(), 0);
    }
}
