//! Who may hand events in or ask which rules there are: a shared secret.

use subtle::ConstantTimeEq as _;

/// Header with the token, as nginx sends it to the sidecar, too.
pub const TOKEN_HEADER: &str = "x-sidewatch-token";

/// Shortest token accepted, in bytes.
pub const SHORTEST: usize = 16;

/// Tokens that are accepted: several while one is replaced.
#[derive(Clone)]
pub struct Tokens(Vec<Box<str>>);

impl Tokens {
    /// Reads tokens separated by commas or blanks. Nothing when there is none,
    /// or one too short to be a secret.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let separated = text.split([',', ' ', '\n']).map(str::trim);
        let tokens: Vec<Box<str>> = separated
            .filter(|token| !token.is_empty())
            .map(Into::into)
            .collect();
        let usable = !tokens.is_empty() && tokens.iter().all(|token| token.len() >= SHORTEST);
        usable.then_some(Self(tokens))
    }

    /// Whether the candidate is one of them; takes the same time for each.
    #[must_use]
    pub fn admit(&self, candidate: &[u8]) -> bool {
        self.0.iter().fold(false, |found, token| {
            bool::from(token.as_bytes().ct_eq(candidate)) | found
        })
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Tokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_of_two_tokens_and_nothing_else() {
        let tokens = Tokens::read("first-token-0123456, second-token-012345").unwrap();
        assert!(tokens.admit(b"first-token-0123456") && tokens.admit(b"second-token-012345"));
        assert!(!tokens.admit(b"first-token-012345") && !tokens.admit(b""));
        assert!(Tokens::read(" ,").is_none() && Tokens::read("short").is_none());
        assert_eq!(format!("{tokens:?}"), "Tokens(…)");
    }
}
