//! Arguments that make no sense. What one argument says by itself is read by
//! the argument parser with the functions here; what only shows later, or
//! between two of them, is a [`UsageError`]. Both end in exit code 2.

use std::fmt::Display;

use serde_json::Value;

/// Arguments that make no sense together, or not here.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct UsageError(String);

/// Says what is wrong with the arguments and what would be right.
pub(super) fn usage(message: impl Display) -> anyhow::Error {
    UsageError(message.to_string()).into()
}

/// `NAME=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("it is not NAME=VALUE".to_owned()),
    }
}

/// Text on one line.
pub(super) fn one_line(text: &str) -> Result<String, String> {
    if text.contains(['\n', '\r']) {
        return Err("it must be one line".to_owned());
    }
    Ok(text.to_owned())
}

/// A JSON object.
pub(super) fn json_object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err("it is no JSON object; write such as {\"failures\": 4}".to_owned()),
        Err(error) => Err(format!(
            "it is no JSON: {error}; write such as {{\"failures\": 4}}"
        )),
    }
}

/// Name of a rule: words of small letters and digits, joined by hyphens.
pub(super) fn rule_name(text: &str) -> Result<String, String> {
    let is_word = |word: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        !word.is_empty() && word.bytes().all(plain)
    };
    let begins = text.starts_with(|first: char| first.is_ascii_lowercase());
    if begins && text.len() <= 64 && text.split('-').all(is_word) {
        return Ok(text.to_owned());
    }
    Err("use small letters, digits and hyphens, like `night-login`".to_owned())
}

/// Name of a pack.
pub(super) fn pack_name(text: &str) -> Result<String, String> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.is_empty() && text.bytes().all(is_name) {
        return Ok(text.to_owned());
    }
    Err("use small letters, digits and hyphens, like `my-application`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rules_are_words_joined_by_hyphens() {
        for good in ["a", "night-login", "tls13-only", "a-2b"] {
            assert!(rule_name(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "a--b",
            "Night",
            "night_login",
            "../a",
            "2a",
            "ä",
        ] {
            assert!(rule_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parameters_are_an_object() {
        assert!(json_object("{\"a\": 1}").is_ok());
        for bad in ["[1]", "1", "", "{"] {
            assert!(json_object(bad).unwrap_err().contains("failures"), "{bad}");
        }
    }

    #[test]
    fn pairs_have_a_name() {
        let read = |text| pair(text).ok();
        assert_eq!(read("a="), Some(("a".to_owned(), String::new())));
        assert_eq!(read("a=b=c"), Some(("a".to_owned(), "b=c".to_owned())));
        assert!(pair("a").is_err() && pair("=b").is_err());
    }
}
