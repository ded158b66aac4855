//! Conditions on one text: `exact`, `start*`, `*end`, `*middle*`, `base/**`,
//! true for any value, false for none.
//!
//! Invariant: linear in the text; no pattern can backtrack.

use crate::bytes::{contains, ends_with, same, starts_with};
use crate::settings::Settings;
use crate::table::{Scalar, Values};

/// What a text must look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Matcher {
    /// Absent or empty.
    Missing,
    /// Neither absent nor empty.
    Present,
    /// Exactly this.
    Exact(Box<[u8]>),
    /// Begins so.
    Prefix(Box<[u8]>),
    /// Ends so.
    Suffix(Box<[u8]>),
    /// Holds it.
    Contains(Box<[u8]>),
    /// Is this URL or goes on below it: the next byte is `/`, `?` or `#`.
    Base(Box<[u8]>),
}

impl Matcher {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(base) = text.strip_suffix("/**") {
            return Ok(Self::Base(plain(base.trim_end_matches('/'), text)?));
        }
        Ok(match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(_), Some("" | "*")) => Self::Present,
            (Some(rest), Some(_)) => Self::Contains(plain(rest.trim_end_matches('*'), text)?),
            (Some(end), None) => Self::Suffix(plain(end, text)?),
            (None, Some(start)) => Self::Prefix(plain(start, text)?),
            (None, None) if text.is_empty() => Self::Missing,
            (None, None) => Self::Exact(plain(text, text)?),
        })
    }

    /// Whether a text, if there is one, is as wanted.
    #[inline]
    pub(crate) fn holds(&self, text: Option<&[u8]>) -> bool {
        let text = text.unwrap_or_default();
        match self {
            Self::Missing => text.is_empty(),
            Self::Present => !text.is_empty(),
            Self::Exact(whole) => same(text, whole),
            Self::Prefix(start) => starts_with(text, start),
            Self::Suffix(end) => ends_with(text, end),
            Self::Contains(part) => contains(text, part),
            Self::Base(base) => {
                starts_with(text, base)
                    && matches!(text.get(base.len()), None | Some(b'/' | b'?' | b'#'))
            }
        }
    }
}

fn plain(part: &str, whole: &str) -> Result<Box<[u8]>, String> {
    if part.contains('*') {
        return Err(format!(
            "`{whole}`: a star may only be the first or the last character"
        ));
    }
    Ok(part.as_bytes().into())
}

/// Reads the alternatives of one condition; settings may leave none.
pub(crate) fn alternatives(values: &Values, settings: &Settings) -> Result<Vec<Matcher>, String> {
    let mut matchers = Vec::new();
    for value in &values.0 {
        match value {
            Scalar::Flag(true) => matchers.push(Matcher::Present),
            Scalar::Flag(false) => matchers.push(Matcher::Missing),
            Scalar::Number(number) => {
                matchers.push(Matcher::Exact(number.to_string().into_bytes().into()));
            }
            Scalar::Text(text) => {
                for text in settings.expand(text)? {
                    matchers.push(Matcher::parse(&text)?);
                }
            }
        }
    }
    Ok(matchers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(pattern: &str, text: &str) -> bool {
        Matcher::parse(pattern)
            .unwrap()
            .holds(Some(text.as_bytes()))
    }

    #[test]
    fn stars_stand_at_the_ends() {
        assert!(holds("curl*", "curl/8.5.0") && !holds("curl*", "libcurl"));
        assert!(holds("*.pdf", "/a.pdf") && !holds("*.pdf", "/a.pdf.exe"));
        assert!(holds("*bot*", "Googlebot/2.1") && !holds("*bot*", "curl"));
        assert!(holds("exact", "exact") && !holds("exact", "exactly"));
        assert!(holds("*", "x") && !holds("*", ""));
        assert!(holds("", "") && !holds("", "x"));
        assert!(Matcher::parse("a*b").is_err());
    }

    #[test]
    fn a_base_url_ends_at_a_boundary() {
        for base in ["http://h:62081/**", "http://h:62081//**"] {
            assert!(holds(base, "http://h:62081"));
            assert!(holds(base, "http://h:62081/packages/"));
            assert!(holds(base, "http://h:62081?x"));
            assert!(!holds(base, "http://h:620810/"));
            assert!(!holds(base, "http://h:62081.evil.example/"));
        }
    }

    #[test]
    fn absent_and_empty_are_alike() {
        assert!(Matcher::Missing.holds(None) && Matcher::Missing.holds(Some(b"")));
        assert!(!Matcher::Present.holds(None));
    }
}
