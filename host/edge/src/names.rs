//! Names an operator chooses for an application: what Spin, and HTTP, take.
//!
//! Spin takes any text as an application's name; we take what goes into a
//! registry, a log line and a file's name as well.

/// Longest name, in bytes.
const LONGEST: usize = 64;

/// A name that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Of an application.
    #[error(
        "an application's name begins with a letter and has letters, digits, `-` and `_`, at most {LONGEST}"
    )]
    Application,
    /// Of a key-value store.
    #[error(
        "Spin takes as a store's label words joined by `-`, or by `_`, each beginning with a letter and all in capitals or in small letters, such as `default` or `rule-states`"
    )]
    Store,
    /// Of a header.
    #[error(
        "a header's name has letters, digits and {MARKS}, such as `X-Status`, and at most {LONGEST}"
    )]
    Header,
}

/// Marks a header's name may have (`token` in RFC 9110, section 5.6.2).
const MARKS: &str = "!#$%&'*+-.^_`|~";

fn fits(text: &str) -> bool {
    (1..=LONGEST).contains(&text.len())
}

/// Checks an application's name.
///
/// # Errors
/// Says what it may be.
pub fn application_name(text: &str) -> Result<(), NameError> {
    let begins = text.starts_with(|first: char| first.is_ascii_alphabetic());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if fits(text) && begins && text.bytes().all(plain) {
        Ok(())
    } else {
        Err(NameError::Application)
    }
}

/// Checks the label of a key-value store as Spin's manifest does.
///
/// # Errors
/// Says what it may be.
pub fn store_label(text: &str) -> Result<(), NameError> {
    let is_word = |word: &str| {
        let begins = word.starts_with(|first: char| first.is_ascii_alphabetic());
        let all = |is: fn(&u8) -> bool| {
            let mut bytes = word.bytes();
            bytes.all(|byte| byte.is_ascii_digit() || is(&byte))
        };
        begins && (all(u8::is_ascii_lowercase) || all(u8::is_ascii_uppercase))
    };
    let joined_by = |joint: char| text.split(joint).all(is_word);
    if fits(text) && (joined_by('-') || joined_by('_')) {
        Ok(())
    } else {
        Err(NameError::Store)
    }
}

/// Checks a header's name.
///
/// # Errors
/// Says what it may be.
pub fn header_name(text: &str) -> Result<(), NameError> {
    let plain = |one: char| one.is_ascii_alphanumeric() || MARKS.contains(one);
    if fits(text) && text.chars().all(plain) {
        Ok(())
    } else {
        Err(NameError::Header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_has_the_label_spin_takes() {
        for good in ["default", "rule-states", "rule_states", "a1", "ABC-def"] {
            assert_eq!(store_label(good), Ok(()), "{good}");
        }
        for bad in [
            "", "1a", "a-1", "a--b", "a-b_c", "-a", "a_", "Default", "a b", "a\"b", "ä", "a/b",
        ] {
            assert_eq!(store_label(bad), Err(NameError::Store), "{bad}");
        }
    }

    #[test]
    fn a_header_is_a_token() {
        for good in ["X-Status", "x_status", "5", "a.b~c"] {
            assert_eq!(header_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "X Status",
            "X-Status:",
            "a\r\nb",
            "X-Stätus",
            "a=b",
            "\"a\"",
        ] {
            assert_eq!(header_name(bad), Err(NameError::Header), "{bad}");
        }
        assert!(header_name(&"x".repeat(65)).is_err());
    }

    #[test]
    fn an_application_has_a_plain_name() {
        for good in ["sidewatch-edge", "Edge_2"] {
            assert_eq!(application_name(good), Ok(()), "{good}");
        }
        for bad in ["", "2edge", "-edge", "my edge", "../edge", "edge\n", "é"] {
            assert_eq!(application_name(bad), Err(NameError::Application), "{bad}");
        }
    }
}
