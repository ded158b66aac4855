//! Bounded memories of who was seen lately, as plain bytes.
//!
//! [`Recent`] knows the last `N` exactly; [`Distinct`] estimates how many
//! there were when they are too many to list. Neither can grow, whatever an
//! attacker invents.

use bytemuck::{Pod, Zeroable};

/// Somebody or something seen: half a hash, and when last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Seen {
    /// Never 0 for an entry in use.
    pub hash: u32,
    /// Seconds since the epoch.
    pub last: u32,
}

/// The last `N` distinct hashes; the one not seen longest makes room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Zeroable, Pod)]
#[repr(transparent)]
pub struct Recent<const N: usize>([Seen; N]);

impl<const N: usize> Default for Recent<N> {
    fn default() -> Self {
        Self([Seen::default(); N])
    }
}

/// Half of a hash, never 0.
#[must_use]
pub fn short(hash: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
    (hash as u32).max(1)
}

impl<const N: usize> Recent<N> {
    /// When the hash was last seen, if it is remembered.
    #[must_use]
    pub fn last(&self, hash: u64) -> Option<u32> {
        let hash = short(hash);
        self.0
            .iter()
            .find(|seen| seen.hash == hash)
            .map(|seen| seen.last)
    }

    /// Whether the hash was seen within `window` seconds of `now`.
    #[must_use]
    pub fn knows(&self, hash: u64, now: u32, window: u32) -> bool {
        self.last(hash)
            .is_some_and(|last| now.abs_diff(last) <= window)
    }

    /// Remembers the hash. An earlier time than known changes nothing.
    pub fn saw(&mut self, hash: u64, now: u32) {
        let hash = short(hash);
        if let Some(seen) = self.0.iter_mut().find(|seen| seen.hash == hash) {
            seen.last = seen.last.max(now);
        } else if let Some(oldest) = self
            .0
            .iter_mut()
            .min_by_key(|seen| (seen.hash != 0, seen.last))
        {
            *oldest = Seen { hash, last: now };
        }
    }

    /// Forgets the hash.
    pub fn forget(&mut self, hash: u64) {
        let hash = short(hash);
        if let Some(seen) = self.0.iter_mut().find(|seen| seen.hash == hash) {
            *seen = Seen::default();
        }
    }

    /// Those seen within `window` seconds before `now` or after it.
    pub fn within(&self, now: u32, window: u32) -> impl Iterator<Item = &Seen> {
        self.0
            .iter()
            .filter(move |seen| seen.hash != 0 && now.saturating_sub(seen.last) <= window)
    }

    /// How many of them there are, `N` at most.
    #[must_use]
    pub fn count(&self, now: u32, window: u32) -> u32 {
        u32::try_from(self.within(now, window).count()).unwrap_or(u32::MAX)
    }
}

/// Words in a bitmap of [`Distinct`].
const WORDS: usize = 8;

/// Estimates how many distinct hashes came within a window and the one before
/// it (linear counting in two bitmaps). Good to a few percent up to 800; beyond
/// a few thousand it saturates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Zeroable, Pod)]
#[repr(C)]
pub struct Distinct {
    /// Number of the present window.
    epoch: u64,
    present: [u64; WORDS],
    previous: [u64; WORDS],
}

impl Distinct {
    /// Counts a hash in. One from a window before the present is counted in
    /// the previous.
    pub fn saw(&mut self, hash: u64, now: u32, window: u32) {
        let epoch = u64::from(now / window.max(1));
        if epoch > self.epoch {
            self.previous = if epoch == self.epoch + 1 {
                self.present
            } else {
                [0; WORDS]
            };
            self.present = [0; WORDS];
            self.epoch = epoch;
        }
        let map = if epoch == self.epoch {
            &mut self.present
        } else {
            &mut self.previous
        };
        let bits = (WORDS * 64) as u64;
        let bit = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & (bits - 1);
        if let Some(word) = usize::try_from(bit / 64)
            .ok()
            .and_then(|word| map.get_mut(word))
        {
            *word |= 1 << (bit % 64);
        }
    }

    /// How many distinct hashes came in this window and the previous one.
    #[must_use]
    pub fn count(&self, now: u32, window: u32) -> u32 {
        let age = u64::from(now / window.max(1)).saturating_sub(self.epoch);
        let ones: u32 = self
            .present
            .iter()
            .zip(&self.previous)
            .map(|(present, previous)| match age {
                0 => (present | previous).count_ones(),
                1 => present.count_ones(),
                _ => 0,
            })
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "a few thousand bits")]
        let bits = (WORDS * 64) as f64;
        let zeros = (bits - f64::from(ones)).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of a few thousand"
        )]
        let estimate = libm::round(-bits * libm::log(zeros / bits)) as u32;
        estimate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_one_not_seen_longest_makes_room() {
        let mut recent = Recent::<3>::default();
        for (hash, now) in [(1, 10), (2, 20), (3, 30), (1, 40), (4, 50)] {
            recent.saw(hash, now);
        }
        assert_eq!(recent.last(1), Some(40));
        assert_eq!(recent.last(2), None);
        assert_eq!(recent.count(50, 10), 2);
        assert_eq!(recent.count(50, 100), 3);
        assert!(recent.knows(4, 45, 5) && !recent.knows(4, 44, 5) && !recent.knows(9, 50, 100));
    }

    #[test]
    fn an_earlier_time_changes_nothing_and_forgetting_makes_room() {
        let mut recent = Recent::<2>::default();
        recent.saw(1, 100);
        recent.saw(1, 50);
        assert_eq!(recent.last(1), Some(100));
        recent.saw(2, 110);
        recent.forget(1);
        assert_eq!(recent.count(110, 1000), 1);
        recent.saw(3, 120);
        assert_eq!((recent.last(2), recent.last(3)), (Some(110), Some(120)));
    }

    #[test]
    fn a_hash_of_zero_is_somebody_too() {
        let mut recent = Recent::<2>::default();
        recent.saw(1 << 32, 5);
        assert_eq!(recent.count(5, 1), 1);
    }

    #[test]
    fn estimates_cover_two_windows_and_fade() {
        let mut distinct = Distinct::default();
        for hash in 0..20 {
            distinct.saw(hash, 3600, 3600);
            distinct.saw(hash + 10, 7200, 3600);
        }
        let near = |count: u32, expected: u32| {
            assert!(count.abs_diff(expected) <= 2, "{count} {expected}")
        };
        near(distinct.count(7200, 3600), 30);
        near(distinct.count(10_800, 3600), 20);
        assert_eq!(distinct.count(14_400, 3600), 0);
        distinct.saw(100, 3600, 3600);
        near(distinct.count(7200, 3600), 31);
        distinct.saw(7, 72_000, 3600);
        assert_eq!(distinct.count(72_000, 3600), 1);
    }

    /// Stands for a keyed hash.
    fn mixed(number: u64) -> u64 {
        let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^ number >> 31
    }

    proptest! {
        #[test]
        fn estimates_are_close_up_to_a_hundred_a_word(seed: u64, distinct_users in 1u32..800) {
            let mut distinct = Distinct::default();
            for user in 0..u64::from(distinct_users) {
                distinct.saw(mixed(seed ^ user), 0, 3600);
            }
            let estimate = f64::from(distinct.count(0, 3600));
            let expected = f64::from(distinct_users);
            prop_assert!((estimate - expected).abs() <= 5.0 + expected * 0.2, "{} for {}", estimate, expected);
        }
    }
}
