//! Keyed hashes that stand for secrets.
//!
//! A session is recognised again without its cookie being kept: the hash is
//! HMAC-SHA-256 over a domain and the value, cut to 128 bits. Without the key
//! nobody can tell which value it stands for, nor test a guess.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Length of a pseudonym's text.
pub const PSEUDONYM_LENGTH: usize = 32;

/// Key of all pseudonyms of one installation.
#[derive(Clone)]
pub struct PseudonymKey(
    /// Has hashed the key already, which is half of the work of each value.
    Hmac<Sha256>,
);

impl PseudonymKey {
    /// Takes 256 random bits, kept by the operator as long as pseudonyms are
    /// to stay comparable.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        // HMAC pads a key with zeros to the length of a block.
        let mut block = [0; 64];
        for (slot, byte) in block.iter_mut().zip(key) {
            *slot = byte;
        }
        Self(Hmac::new(&block.into()))
    }

    /// The pseudonym of `value` as 32 lower-case hexadecimal digits. Equal
    /// values of different domains (`session`, `device` …) have different ones.
    #[must_use]
    pub fn pseudonym(&self, domain: &str, value: &[u8]) -> [u8; PSEUDONYM_LENGTH] {
        let mut digits = [b'0'; PSEUDONYM_LENGTH];
        let mut mac = self.0.clone();
        mac.update(domain.as_bytes());
        mac.update(&[0]);
        mac.update(value);
        for (pair, byte) in digits.chunks_exact_mut(2).zip(mac.finalize().into_bytes()) {
            for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
                *digit = if nibble < 10 {
                    b'0' + nibble
                } else {
                    b'a' + nibble - 10
                };
            }
        }
        digits
    }

    /// Appends the pseudonym of `value` to `out`.
    pub fn write(&self, domain: &str, value: &[u8], out: &mut String) {
        let digits = self.pseudonym(domain, value);
        out.push_str(std::str::from_utf8(&digits).unwrap_or_default());
    }
}

impl std::fmt::Debug for PseudonymKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("PseudonymKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_hmac_sha_256_computed_elsewhere() {
        let digits = PseudonymKey::new([7; 32]).pseudonym("session", b"s3cret");
        assert_eq!(
            std::str::from_utf8(&digits).unwrap(),
            "90cff0c4216f6f4796bd1165038465d8"
        );
    }

    #[test]
    fn depends_on_key_domain_and_value() {
        let key = PseudonymKey::new([1; 32]);
        let base = key.pseudonym("session", b"v");
        assert_eq!(base, key.pseudonym("session", b"v"));
        assert_ne!(base, key.pseudonym("device", b"v"));
        assert_ne!(base, key.pseudonym("session", b"w"));
        assert_ne!(base, PseudonymKey::new([2; 32]).pseudonym("session", b"v"));
    }

    #[test]
    fn debug_output_shows_no_key() {
        assert_eq!(
            format!("{:?}", PseudonymKey::new([9; 32])),
            "PseudonymKey(…)"
        );
    }
}
