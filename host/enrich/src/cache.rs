//! Bounded memory of what was resolved before.
//!
//! Direct-mapped: an entry lives in the one slot its hash points at and is
//! replaced by the next that points there. A flood of new keys costs look-ups
//! but never memory, and the seed is random, so nobody can aim at a victim's
//! slot.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;

/// Values by key, at most as many as there are slots.
pub(crate) struct SlotCache<K: ToOwned + ?Sized, V> {
    /// Empty until the first use, so that a worker that never enriches costs
    /// nothing.
    slots: Vec<Slot<K, V>>,
    capacity: usize,
    seed: RandomState,
}

type Slot<K, V> = Option<Box<(<K as ToOwned>::Owned, V)>>;

impl<K: ToOwned + ?Sized, V> fmt::Debug for SlotCache<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SlotCache")
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

impl<K: ToOwned + Hash + Eq + ?Sized, V> SlotCache<K, V> {
    /// A cache with at least one slot.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            capacity: capacity.max(1).next_power_of_two(),
            seed: RandomState::default(),
        }
    }

    /// The value of a key, made when it is not there. `None` cannot occur: it
    /// only spares an index that could.
    pub(crate) fn get_or_insert_with(&mut self, key: &K, make: impl FnOnce() -> V) -> Option<&V> {
        if self.slots.is_empty() {
            self.slots.resize_with(self.capacity, || None);
        }
        let hash =
            usize::try_from(self.seed.hash_one(key) & u64::from(u32::MAX)).unwrap_or_default();
        let slot = self.slots.get_mut(hash & (self.capacity - 1))?;
        if slot.as_ref().is_none_or(|entry| entry.0.borrow() != key) {
            *slot = Some(Box::new((key.to_owned(), make())));
        }
        slot.as_ref().map(|entry| &entry.1)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.slots.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_and_again_after_clearing() {
        let mut made = 0;
        let mut cache: SlotCache<str, usize> = SlotCache::new(64);
        for _ in 0..3 {
            cache.get_or_insert_with("a", || {
                made += 1;
                7
            });
        }
        cache.clear();
        assert_eq!(cache.get_or_insert_with("a", || 8), Some(&8));
        assert_eq!(made, 1);
    }

    #[test]
    fn a_flood_of_keys_never_answers_with_a_strangers_value() {
        let mut cache: SlotCache<u32, u32> = SlotCache::new(16);
        for key in 0..10_000u32 {
            assert_eq!(cache.get_or_insert_with(&key, || key * 2), Some(&(key * 2)));
            assert_eq!(cache.slots.len(), 16);
        }
    }
}
