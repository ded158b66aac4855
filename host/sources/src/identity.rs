//! Event identifiers.
//!
//! - What arrives once (requests, datagrams, streams) gets a time-ordered
//!   identifier laid out as UUID version 7 (RFC 9562): 48 bits of Unix
//!   milliseconds, then a counter, then bits drawn once per source.
//! - What can be read again (a line of a file) gets one derived from the
//!   file's fingerprint and the line's offset, laid out as UUID version 8, so
//!   that reading it again gives the same identifier.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use siphasher::sip128::{Hasher128, SipHasher13};

const VERSION_7: u128 = 7 << 76;
const VERSION_8: u128 = 8 << 76;
const VARIANT: u128 = 0b10 << 62;
const VERSION_AND_VARIANT_MASK: u128 = (0xF << 76) | (0b11 << 62);

/// Milliseconds since the Unix epoch, UTC.
#[must_use]
pub fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or(0)
}

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

/// The identifier of the record at `offset` of the file with `fingerprint`.
#[must_use]
pub fn of_position(fingerprint: u128, offset: u64) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(&fingerprint.to_le_bytes());
    hasher.write(&offset.to_le_bytes());
    (hasher.finish128().as_u128() & !VERSION_AND_VARIANT_MASK) | VERSION_8 | VARIANT
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

    #[test]
    fn version_and_variant_are_those_of_the_layout() {
        let time_ordered = IdentifierSequence::default().next(now());
        let derived = of_position(u128::MAX, u64::MAX);
        assert_eq!((time_ordered >> 76) & 0xF, 7);
        assert_eq!((derived >> 76) & 0xF, 8);
        assert_eq!((time_ordered >> 62) & 0b11, 0b10);
        assert_eq!((derived >> 62) & 0b11, 0b10);
    }

    #[test]
    fn a_position_always_has_the_same_identifier() {
        assert_eq!(of_position(7, 100), of_position(7, 100));
        assert_ne!(of_position(7, 100), of_position(7, 101));
        assert_ne!(of_position(7, 100), of_position(8, 100));
        // Stored positions outlive a release: the derivation may never change.
        assert_eq!(of_position(1, 2), 0xbaca_651f_22c5_803c_9a08_9580_c20e_f32b);
    }
}
