//! A table of the most frequent keys in bounded memory.
//!
//! Invariant: at most twice [`Heavy::capacity`] keys are held. When there are
//! more, the rare half is let go and counted as `others`; a key that is let go
//! and returns starts anew, so counts of frequent keys are exact and only those
//! of rare ones may be too low.

use std::borrow::Borrow;
use std::hash::Hash;

use hashbrown::HashMap;

/// A value that counts.
pub(super) trait Counted: Default {
    /// How often its key was met.
    fn count(&self) -> u64;
}

/// The table.
#[derive(Debug)]
pub(super) struct Heavy<K, V> {
    entries: HashMap<K, V>,
    capacity: usize,
    /// How often keys that were let go had been met.
    pub(super) others: u64,
}

impl<K: Eq + Hash, V: Counted> Heavy<K, V> {
    /// An empty table for `capacity` keys and as many on probation.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity: capacity.max(1),
            others: 0,
        }
    }

    /// The value of a key.
    pub(super) fn entry<Q>(&mut self, key: &Q) -> &mut V
    where
        K: Borrow<Q>,
        Q: ?Sized + Eq + Hash + ToOwned<Owned = K>,
    {
        if self.entries.len() >= self.capacity * 2 && !self.entries.contains_key(key) {
            self.let_go();
        }
        self.entries.entry_ref(key).or_default()
    }

    fn let_go(&mut self) {
        let mut counts: Vec<u64> = self.entries.values().map(Counted::count).collect();
        let middle = counts.len() / 2;
        let (_, threshold, _) = counts.select_nth_unstable(middle);
        let threshold = *threshold;
        let mut equal = self.capacity;
        let others = &mut self.others;
        self.entries.retain(|_, value| {
            let kept = match value.count().cmp(&threshold) {
                std::cmp::Ordering::Greater => true,
                std::cmp::Ordering::Equal if equal > 0 => {
                    equal -= 1;
                    // Of those on the threshold, half of the room at most.
                    equal >= self.capacity / 2
                }
                _ => false,
            };
            if !kept {
                *others += value.count();
            }
            kept
        });
    }

    /// Keys and values, the most frequent first.
    pub(super) fn ranked(&self) -> Vec<(&K, &V)>
    where
        K: Ord,
    {
        let mut all: Vec<_> = self.entries.iter().collect();
        all.sort_by(|(a, x), (b, y)| y.count().cmp(&x.count()).then_with(|| a.cmp(b)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Debug)]
    struct Count(u64);

    impl Counted for Count {
        fn count(&self) -> u64 {
            self.0
        }
    }

    #[test]
    fn frequent_keys_stay_and_memory_is_bounded() {
        let mut heavy: Heavy<String, Count> = Heavy::new(10);
        let mut met = 0;
        for n in 0..10_000 {
            for key in ["often".to_owned(), format!("once {n}")] {
                heavy.entry(key.as_str()).0 += 1;
                met += 1;
            }
            assert!(heavy.entries.len() <= 20);
        }
        let ranked = heavy.ranked();
        assert_eq!((ranked[0].0.as_str(), ranked[0].1.0), ("often", 10_000));
        let held: u64 = ranked.iter().map(|(_, count)| count.0).sum();
        assert_eq!(held + heavy.others, met);
    }
}
