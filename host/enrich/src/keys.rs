//! Keyed hashes of identifying values.
//!
//! SipHash-1-3 under the operator's key, with a key of its own derived for
//! each kind of value, so that a user and a device of the same text differ.
//! 0 means absent and is never the hash of anything. Changing how a value is
//! brought into its hashed form breaks stored rule state: it needs a new key
//! epoch.

use sidewatch_event::{Event, Field};
use siphasher::sip::SipHasher13;

/// Texts that stand for "nobody" in the logs of one application or another,
/// in lower case. Hashed, they would tie strangers together.
const PLACEHOLDERS: &[&str] = &[
    "-",
    "none",
    "(none)",
    "null",
    "nil",
    "n/a",
    "na",
    "not available",
    "undefined",
    "undisclosed",
    "unknown",
];

/// Local parts that hide the real user of a realm (eduroam's outer identity).
const ANONYMOUS: &[&str] = &["anonymous", "anon"];

/// Longest text that is brought into its hashed form without allocating.
const INLINE: usize = 64;

/// Hashes identifying values under one key.
#[derive(Debug, Clone)]
pub struct KeyHasher {
    user: SipHasher13,
    session: SipHasher13,
    device: SipHasher13,
    user_agent: SipHasher13,
}

impl KeyHasher {
    /// A hasher for a 16-byte key.
    #[must_use]
    pub fn new(key: [u8; 16]) -> Self {
        let root = SipHasher13::new_with_key(&key);
        let derive = |purpose: &str| {
            let mut derived = [0u8; 16];
            let halves = [
                root.hash(format!("{purpose}/0").as_bytes()),
                root.hash(format!("{purpose}/1").as_bytes()),
            ];
            for (byte, value) in derived
                .iter_mut()
                .zip(halves.iter().flat_map(|half| half.to_le_bytes()))
            {
                *byte = value;
            }
            SipHasher13::new_with_key(&derived)
        };
        Self {
            user: derive("user"),
            session: derive("session"),
            device: derive("device"),
            user_agent: derive("user-agent"),
        }
    }

    /// Of a user's name, id or address: trimmed, ASCII case folded; 0 for a
    /// placeholder or an anonymous outer identity.
    #[must_use]
    pub fn user(&self, text: &str) -> u64 {
        let text = text.trim();
        if is_nobody(text) {
            0
        } else {
            folded(&self.user, text)
        }
    }

    /// Of a session's identifier: trimmed; 0 for a placeholder.
    #[must_use]
    pub fn session(&self, text: &str) -> u64 {
        let text = text.trim();
        if is_placeholder(text) {
            0
        } else {
            never_zero(self.session.hash(text.as_bytes()))
        }
    }

    /// Of a device's identifier: trimmed, ASCII case folded; 0 for a
    /// placeholder.
    #[must_use]
    pub fn device(&self, text: &str) -> u64 {
        let text = text.trim();
        if is_placeholder(text) {
            0
        } else {
            folded(&self.device, text)
        }
    }

    /// Of a user agent's family and operating system, without versions: an
    /// update of a browser is not a new device.
    #[must_use]
    pub fn user_agent(&self, family: &str, os_name: &str) -> u64 {
        let text = format!("{family}\0{os_name}");
        never_zero(self.user_agent.hash(text.as_bytes()))
    }

    /// Fills user, session and device of an event. The first of name, id and
    /// e-mail address that is no placeholder is the user.
    pub(crate) fn fill(&self, event: &mut Event) {
        let user = [Field::UserName, Field::UserId, Field::UserEmail]
            .into_iter()
            .filter_map(|field| event.get(field))
            .map(|text| self.user(text))
            .find(|hash| *hash != 0);
        let session = event.get(Field::SessionId).map(|text| self.session(text));
        let device = event.get(Field::DeviceId).map(|text| self.device(text));
        event.keys.user = user.unwrap_or(0);
        event.keys.session = session.unwrap_or(0);
        event.keys.device = device.unwrap_or(0);
    }
}

fn folded(hasher: &SipHasher13, text: &str) -> u64 {
    let mut inline = [0u8; INLINE];
    let hash = match inline.get_mut(..text.len()) {
        Some(buffer) => {
            buffer.copy_from_slice(text.as_bytes());
            // All of it: a loop of known length is a few vector instructions.
            inline.make_ascii_lowercase();
            hasher.hash(inline.get(..text.len()).unwrap_or_default())
        }
        None => hasher.hash(&text.as_bytes().to_ascii_lowercase()),
    };
    never_zero(hash)
}

fn never_zero(hash: u64) -> u64 {
    hash.max(1)
}

fn is_placeholder(text: &str) -> bool {
    const LONGEST: usize = 16;
    text.is_empty()
        || (text.len() <= LONGEST
            && PLACEHOLDERS
                .iter()
                .any(|placeholder| text.eq_ignore_ascii_case(placeholder)))
}

/// Whether the text names no particular user.
pub(crate) fn is_nobody(text: &str) -> bool {
    text.starts_with('@')
        || is_placeholder(text)
        || ANONYMOUS
            .iter()
            .any(|anonymous| has_local_part(text, anonymous))
}

fn has_local_part(text: &str, local: &str) -> bool {
    text.as_bytes()
        .split_at_checked(local.len())
        .is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(local.as_bytes())
                && rest.first().is_none_or(|next| *next == b'@')
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hasher() -> KeyHasher {
        KeyHasher::new(*b"0123456789abcdef")
    }

    #[test]
    fn placeholders_are_nobody() {
        for text in [
            "",
            " ",
            "-",
            "None",
            "N/A",
            "Not Available",
            "anonymous",
            "ANONYMOUS@example.edu",
            "@example.edu",
        ] {
            assert_eq!(hasher().user(text), 0, "{text:?}");
        }
        for text in ["nonesuch", "annika@example.edu", "anonymouse"] {
            assert_ne!(hasher().user(text), 0, "{text:?}");
        }
    }

    #[test]
    fn a_placeholder_name_falls_back_to_the_next_identifier() {
        let mut event = Event::new();
        event.set(Field::UserName, "-");
        event.set(Field::UserId, "None");
        event.set(Field::UserEmail, "Zoe@Example.edu ");
        hasher().fill(&mut event);
        assert_eq!(event.keys.user, hasher().user("zoe@example.edu"));
        assert_eq!((event.keys.session, event.keys.device), (0, 0));
    }

    #[test]
    fn kinds_and_keys_give_different_hashes() {
        let other = KeyHasher::new(*b"fedcba9876543210");
        assert_ne!(hasher().user("zoe"), other.user("zoe"));
        assert_ne!(hasher().user("zoe"), hasher().device("zoe"));
        assert_ne!(hasher().session("zoe"), hasher().device("zoe"));
        assert_ne!(
            hasher().user_agent("Firefox", "Linux"),
            hasher().user_agent("Firefox", "Windows")
        );
        assert_ne!(
            hasher().user_agent("ab", "c"),
            hasher().user_agent("a", "bc")
        );
    }

    #[test]
    fn stored_state_stays_valid_across_versions() {
        assert_eq!(hasher().user("zoe"), 8_169_587_101_018_749_571);
    }

    proptest! {
        #[test]
        fn case_and_blanks_do_not_matter_for_users(text in "[a-zA-Z0-9.@_-]{1,300}") {
            let shouted = format!("  {} ", text.to_ascii_uppercase());
            prop_assert_eq!(hasher().user(&text), hasher().user(&shouted));
        }
    }
}
