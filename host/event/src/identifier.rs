//! Identifiers of what arrives once: time-ordered, laid out as UUID version 7
//! (RFC 9562): 48 bits of Unix milliseconds, then a counter, then bits drawn
//! once per sequence.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

const VERSION_7: u128 = 7 << 76;
/// The variant bits of RFC 9562.
pub const VARIANT: u128 = 0b10 << 62;

/// Hands out time-ordered identifiers; two sequences never give the same one
/// but by a chance of 2⁻⁴² within one millisecond.
#[derive(Debug)]
pub struct IdentifierSequence {
    instance: u64,
    count: AtomicU32,
}

impl Default for IdentifierSequence {
    fn default() -> Self {
        // `RandomState` is seeded by the operating system and differs per call.
        let random = RandomState::new().build_hasher().finish();
        Self {
            instance: random & ((1 << 42) - 1),
            count: AtomicU32::new(0),
        }
    }
}

impl IdentifierSequence {
    /// The next identifier for a record received at `time` (milliseconds
    /// since the epoch).
    pub fn next(&self, time: i64) -> u128 {
        let milliseconds = u128::from(time.max(0).cast_unsigned() & 0xFFFF_FFFF_FFFF);
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let high = u128::from(count >> 20);
        let low = u128::from(count & 0xF_FFFF);
        (milliseconds << 80)
            | VERSION_7
            | (high << 64)
            | VARIANT
            | (low << 42)
            | u128::from(self.instance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_distinct_and_ordered_by_time() {
        let sequence = IdentifierSequence::default();
        let first = sequence.next(1_000);
        let second = sequence.next(1_000);
        let later = sequence.next(1_001);
        assert!(first < second && second < later);
        assert_ne!(first, IdentifierSequence::default().next(1_000));
    }
}
