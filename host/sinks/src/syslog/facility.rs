//! Syslog facilities by name (RFC 5424 section 6.2.1).

use serde::Deserialize;
use thiserror::Error;

/// Names in the order of their codes.
const NAMES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];

/// A facility, 0 (kern) to 23 (local7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Facility(u8);

/// The name is none of the known ones.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown facility `{0}`: use one of {list}", list = NAMES.join(", "))]
pub struct UnknownFacility(String);

impl Facility {
    /// Its number.
    #[must_use]
    pub fn code(self) -> u8 {
        self.0
    }
}

impl Default for Facility {
    /// `authpriv`: records say who logged in from where.
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<String> for Facility {
    type Error = UnknownFacility;

    fn try_from(name: String) -> Result<Self, UnknownFacility> {
        (0..)
            .zip(NAMES)
            .find(|(_, known)| *known == name)
            .map(|(code, _)| Self(code))
            .ok_or(UnknownFacility(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_codes() {
        for (name, code) in [
            ("kern", 0),
            ("auth", 4),
            ("authpriv", 10),
            ("local0", 16),
            ("local7", 23),
        ] {
            assert_eq!(Facility::try_from(name.to_owned()).unwrap().code(), code);
        }
        assert_eq!(
            Facility::try_from("authpriv".to_owned()).unwrap(),
            Facility::default()
        );
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        let error = Facility::try_from("local8".to_owned())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("local8") && error.contains("kern, user") && error.contains("local7")
        );
    }
}
