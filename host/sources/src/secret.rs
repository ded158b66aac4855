//! A secret from the configuration: compared in constant time, never shown.

use std::fmt;

use serde::Deserialize;
use subtle::ConstantTimeEq;

/// A secret; its debug form says only that there is one.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(Box<str>);

impl Secret {
    /// Shortest secret accepted, in bytes.
    pub const SHORTEST: usize = 16;

    /// Wraps a secret.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The secret itself, to key a MAC with.
    pub(crate) fn expose(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether `candidate` is this secret; the time it takes tells no more
    /// than whether the lengths agree.
    #[must_use]
    pub fn matches(&self, candidate: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(candidate).into()
    }

    /// Whether `candidate` is one of `secrets`; looks at all of them.
    pub(crate) fn any_matches(secrets: &[Self], candidate: &[u8]) -> bool {
        secrets
            .iter()
            .fold(false, |found, secret| secret.matches(candidate) | found)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(…)");
    }

    #[test]
    fn any_of_two_secrets_is_accepted_and_nothing_else() {
        let secrets = [Secret::new("old secret"), Secret::new("new secret")];
        assert!(Secret::any_matches(&secrets, b"old secret"));
        assert!(Secret::any_matches(&secrets, b"new secret"));
        assert!(!Secret::any_matches(&secrets, b"new secre"));
        assert!(!Secret::any_matches(&secrets, b""));
        assert!(!Secret::any_matches(&[], b""));
    }
}
