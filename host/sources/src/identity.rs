//! Event identifiers.
//!
//! - What arrives once (requests, datagrams, streams) gets a time-ordered
//!   identifier laid out as UUID version 7 (RFC 9562): 48 bits of Unix
//!   milliseconds, then a counter, then bits drawn once per source.
//! - What can be read again (a line of a file) gets one derived from the
//!   file's fingerprint, the line's offset and, where the file is followed, the
//!   content at its end, laid out as UUID version 8, so that reading it again
//!   gives the same identifier.

use std::hash::Hasher;
use std::time::{SystemTime, UNIX_EPOCH};

use sidewatch_event::Origin;
pub use sidewatch_event::identifier::IdentifierSequence;
use sidewatch_event::identifier::VARIANT;
use siphasher::sip128::{Hasher128, SipHasher13};

const VERSION_8: u128 = 8 << 76;
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

/// The identifier of the record at `offset` of the file with `fingerprint`.
#[must_use]
pub fn of_position(fingerprint: u128, offset: u64) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(&fingerprint.to_le_bytes());
    hasher.write(&offset.to_le_bytes());
    (hasher.finish128().as_u128() & !VERSION_AND_VARIANT_MASK) | VERSION_8 | VARIANT
}

/// The identifier of a followed line that begins at `offset` and ends where
/// `position` says. What was written anew in the same place is another event.
#[must_use]
pub fn of_line(position: &Origin, offset: u64) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(&position.file.to_le_bytes());
    hasher.write(&offset.to_le_bytes());
    hasher.write(&position.content.to_le_bytes());
    (hasher.finish128().as_u128() & !VERSION_AND_VARIANT_MASK) | VERSION_8 | VARIANT
}

#[cfg(test)]
mod tests {
    use super::*;

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
