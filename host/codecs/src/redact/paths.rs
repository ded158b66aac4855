//! Parts of paths that are secrets, such as the token of `/reset/<token>`.
//!
//! A site says which. They are taken out wherever such a path stands: in a
//! target, a referrer, the value of a query key, a message, and in whatever
//! percent-encoding. A pattern fits anywhere in a path, because proxies and
//! sites put paths below others: rather too much goes than a secret stays.
//!
//! Invariants: linear in the text; applying it again changes nothing.

use std::ops::Range;

use sidewatch_event::{Event, Field};

use super::{REDACTED, character};

/// Most patterns, and most segments of one.
const MOST_PATTERNS: usize = 64;
const MOST_SEGMENTS: usize = 8;

/// A segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// In small letters.
    Literal(Box<[u8]>),
    /// Any one.
    Any,
    /// Any one, and nobody is to know it.
    Secret,
}

/// Why patterns cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretPathError {
    /// There are too many.
    #[error("more than {MOST_PATTERNS} patterns")]
    TooMany,
    /// One is none.
    #[error(
        "`{0}` is no pattern of a secret path; write such as `/reset/{{token}}`: segments after `/`, the first a plain one, `*` for any, the last one in braces; at most {MOST_SEGMENTS}"
    )]
    Pattern(Box<str>),
}

/// Which parts of paths are secrets.
#[derive(Debug, Clone, Default)]
pub struct SecretPaths {
    patterns: Vec<Vec<Part>>,
}

impl SecretPaths {
    /// Reads patterns such as `/invite/*/{code}`. A segment in braces is a
    /// secret; the last one has to be, and whatever follows it goes as well.
    ///
    /// # Errors
    /// Names the pattern that is none.
    pub fn new(patterns: &[String]) -> Result<Self, SecretPathError> {
        if patterns.len() > MOST_PATTERNS {
            return Err(SecretPathError::TooMany);
        }
        let read = |pattern: &String| {
            parse(pattern).ok_or_else(|| SecretPathError::Pattern(pattern.as_str().into()))
        };
        Ok(Self {
            patterns: patterns.iter().map(read).collect::<Result<_, _>>()?,
        })
    }

    /// Takes the secrets out of every text of an event.
    pub fn clean(&self, event: &mut Event) {
        if self.patterns.is_empty() {
            return;
        }
        for (field, _) in Field::ALL {
            if let Some(clean) = event.own(field).and_then(|text| self.without(text)) {
                event.set(field, &clean);
            }
        }
        let labels: Vec<(String, String)> = event
            .labels()
            .filter_map(|(name, text)| Some((name.to_owned(), self.without(text)?)))
            .collect();
        for (name, clean) in labels {
            event.set_label(&name, &clean);
        }
    }

    /// The text without secrets; none when it holds none.
    fn without(&self, text: &str) -> Option<String> {
        let bytes = text.as_bytes();
        let mut secrets: Vec<Range<usize>> = Vec::new();
        let mut before = Vec::new();
        let (mut at, mut begin) = (0, 0);
        while at < bytes.len() {
            let (byte, depth, length) = character(bytes, at);
            let after = at + length;
            if is_slash(byte) {
                enter(&mut before, bytes, begin..at);
                begin = after;
                let length = secrets.len();
                for pattern in &self.patterns {
                    note_matches(pattern, &before, &mut secrets);
                }
                if secrets.len() > length {
                    let after = past_slashes(bytes, after);
                    let end = end_of_path(bytes, after, depth);
                    if let Some(last) = secrets.last_mut() {
                        *last = after..end;
                    }
                    before.clear();
                    (at, begin) = (end, end);
                    continue;
                }
            } else if ends_path(byte) {
                before.clear();
                begin = after;
            }
            at = after;
        }
        replace(text, secrets)
    }
}

fn parse(pattern: &str) -> Option<Vec<Part>> {
    let parts: Vec<Part> = pattern
        .strip_prefix('/')?
        .split('/')
        .map(part)
        .collect::<Option<_>>()?;
    let sound = matches!(parts.first(), Some(Part::Literal(_)))
        && parts.last() == Some(&Part::Secret)
        && parts.len() <= MOST_SEGMENTS;
    sound.then_some(parts)
}

fn part(segment: &str) -> Option<Part> {
    if segment == "*" {
        return Some(Part::Any);
    }
    if let Some(name) = segment.strip_prefix('{') {
        let name = name.strip_suffix('}')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        return (!name.is_empty() && name.bytes().all(plain)).then_some(Part::Secret);
    }
    let odd =
        |byte: u8| ends_path(byte) || is_slash(byte) || matches!(byte, b'%' | b'*' | b'{' | b'}');
    let dots = matches!(segment, "" | "." | "..");
    (!dots && !segment.bytes().any(odd))
        .then(|| Part::Literal(segment.to_ascii_lowercase().into_bytes().into()))
}

/// A segment that came before, decoded and in small letters.
struct Segment {
    text: Vec<u8>,
    place: Range<usize>,
}

/// Takes note of a segment as servers understand it.
fn enter(before: &mut Vec<Segment>, bytes: &[u8], place: Range<usize>) {
    let mut text = Vec::new();
    let mut at = place.start;
    while at < place.end {
        let (byte, _, length) = character(bytes, at);
        text.push(byte.to_ascii_lowercase());
        at += length;
    }
    // A key, as in `next=/reset/…`, is none of the path.
    if let Some(equals) = memchr::memrchr(b'=', &text) {
        text.drain(..=equals);
    }
    match text.as_slice() {
        b"" | b"." => {}
        b".." => drop(before.pop()),
        _ => {
            if before.len() == MOST_SEGMENTS {
                before.remove(0);
            }
            before.push(Segment { text, place });
        }
    }
}

/// Adds the secrets among the segments when the pattern fits them up to its
/// last part, and an empty range for that one.
fn note_matches(pattern: &[Part], before: &[Segment], secrets: &mut Vec<Range<usize>>) {
    let Some((_, pattern)) = pattern.split_last() else {
        return;
    };
    let Some(segments) = before
        .len()
        .checked_sub(pattern.len())
        .and_then(|from| before.get(from..))
    else {
        return;
    };
    let fits = |(part, segment): (&Part, &Segment)| match part {
        Part::Literal(literal) => **literal == *segment.text,
        Part::Any | Part::Secret => true,
    };
    if pattern.iter().zip(segments).all(fits) {
        let within = pattern.iter().zip(segments);
        let within = within.filter(|(part, _)| **part == Part::Secret);
        secrets.extend(within.map(|(_, segment)| segment.place.clone()));
        secrets.push(0..0);
    }
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

fn past_slashes(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match character(bytes, at) {
            (byte, _, length) if is_slash(byte) => at += length,
            _ => return at,
        }
    }
}

/// What cannot be part of a path.
fn ends_path(byte: u8) -> bool {
    matches!(byte, b'?' | b'#' | b'&' | b'"' | b'<' | b'>') || byte.is_ascii_whitespace()
}

/// Where the path goes no further: at what ends one and is encoded no deeper
/// than the slash before.
fn end_of_path(bytes: &[u8], mut at: usize, depth: usize) -> usize {
    while at < bytes.len() {
        let (byte, found, length) = character(bytes, at);
        if ends_path(byte) && found <= depth {
            return at;
        }
        at += length;
    }
    bytes.len()
}

fn replace(text: &str, mut secrets: Vec<Range<usize>>) -> Option<String> {
    secrets.retain(|place| {
        let secret = text.get(place.clone()).unwrap_or_default();
        !secret.is_empty() && secret != REDACTED
    });
    if secrets.is_empty() {
        return None;
    }
    secrets.sort_by_key(|place| place.start);
    let mut clean = String::with_capacity(text.len());
    let mut copied = 0;
    for place in secrets {
        if place.start < copied {
            continue;
        }
        clean.push_str(text.get(copied..place.start).unwrap_or_default());
        clean.push_str(REDACTED);
        copied = place.end;
    }
    clean.push_str(text.get(copied..).unwrap_or_default());
    Some(clean)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret_paths(patterns: &[&str]) -> SecretPaths {
        let patterns: Vec<String> = patterns.iter().map(|one| (*one).to_owned()).collect();
        SecretPaths::new(&patterns).unwrap()
    }

    fn cleaned(patterns: &[&str], text: &str) -> String {
        let clean = secret_paths(patterns).without(text);
        clean.unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn what_follows_the_path_of_a_secret_goes() {
        for (text, clean) in [
            ("/reset/hush", "/reset/REDACTED"),
            ("/reset/hush/", "/reset/REDACTED"),
            ("/reset/hush/now?a=b", "/reset/REDACTED?a=b"),
            ("/site/reset/hush#top", "/site/reset/REDACTED#top"),
            ("//reset//hush", "//reset//REDACTED"),
            ("/x/../reset/./hush", "/x/../reset/REDACTED"),
            ("/%72ESET/hush", "/%72ESET/REDACTED"),
            ("/reset%2Fhush", "/reset%2FREDACTED"),
            ("/reset/a%2Fb%3Fc=d", "/reset/REDACTED"),
            ("\\reset\\hush", "\\reset\\REDACTED"),
            (
                "https://a.example/reset/hush?x",
                "https://a.example/reset/REDACTED?x",
            ),
            (
                "/login?next=/reset/hush&x=1",
                "/login?next=/reset/REDACTED&x=1",
            ),
            (
                "/login?next=reset%2Fhush%26y%3D1&x=1",
                "/login?next=reset%2FREDACTED%26y%3D1&x=1",
            ),
            ("GET /reset/hush HTTP/1.1", "GET /reset/REDACTED HTTP/1.1"),
            (
                "{\"a\":\"\\/reset\\/hush\"}",
                "{\"a\":\"\\/reset\\/REDACTED\"}",
            ),
        ] {
            assert_eq!(cleaned(&["/reset/{token}"], text), clean, "{text}");
        }
    }

    #[test]
    fn other_paths_stay() {
        for text in [
            "/reset",
            "/reset/",
            "/reset/?a=b",
            "/resets/open",
            "/a?reset&/open",
            "reset open",
            "/reset/REDACTED",
            "%",
            "",
        ] {
            assert_eq!(cleaned(&["/reset/{token}"], text), text, "{text}");
        }
    }

    #[test]
    fn secrets_in_the_middle_go_alone() {
        let patterns = ["/teams/*/invite/{code}/for/{user}", "/i/{code}"];
        assert_eq!(
            cleaned(&patterns, "/teams/7/invite/hush/for/zoe"),
            "/teams/7/invite/REDACTED/for/REDACTED"
        );
        assert_eq!(
            cleaned(&patterns, "/teams/7/invite/open"),
            "/teams/7/invite/open"
        );
        assert_eq!(cleaned(&patterns, "/a/i/hush"), "/a/i/REDACTED");
    }

    #[test]
    fn every_text_of_an_event_is_cleaned() {
        let mut event = Event::new();
        event.set(Field::UrlOriginal, "/reset/hush?a=b");
        event.set_part(Field::UrlPath, Field::UrlOriginal, 0..11);
        event.set(Field::HttpRequestReferrer, "https://a.example/reset/hush");
        event.set_label("seen", "/reset/hush");
        event.set_label("other", "stays");
        secret_paths(&["/reset/{token}"]).clean(&mut event);
        assert_eq!(event.own(Field::UrlOriginal), Some("/reset/REDACTED?a=b"));
        assert_eq!(event.own(Field::UrlPath), Some("/reset/REDACTED"));
        assert_eq!(
            event.own(Field::HttpRequestReferrer),
            Some("https://a.example/reset/REDACTED")
        );
        assert_eq!(event.label("seen"), Some("/reset/REDACTED"));
        assert_eq!(event.label("other"), Some("stays"));
    }

    #[test]
    fn patterns_that_would_take_out_nothing_or_everything_are_refused() {
        for bad in [
            "",
            "/",
            "reset/{token}",
            "/{token}",
            "/*/{token}",
            "/reset",
            "/reset/{token}/done",
            "/reset/{}",
            "/reset/{to ken}",
            "/re%73et/{token}",
            "/re*/{token}",
            "/a//{token}",
            "/../{token}",
            "/1/2/3/4/5/6/7/8/{token}",
        ] {
            let refused = SecretPaths::new(&[bad.to_owned()]);
            assert_eq!(
                refused.err(),
                Some(SecretPathError::Pattern(bad.into())),
                "{bad}"
            );
        }
        let many = vec!["/a/{b}".to_owned(); MOST_PATTERNS + 1];
        assert_eq!(
            SecretPaths::new(&many).err(),
            Some(SecretPathError::TooMany)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_secret_never_stays_and_once_is_enough(
            before in "[a-z/%.0-9=]{0,12}",
            slash in prop::sample::select(vec!["/", "%2f", "%2F", "%252F", "//", "/./", "\\"]),
            secret in "[A-Z]{12,20}",
            after in "[a-z/?&#%\"0-9 ]{0,12}",
        ) {
            let patterns = ["/reset/{token}"];
            let text = format!("{before}/reset{slash}{secret}{after}");
            let clean = cleaned(&patterns, &text);
            prop_assert!(!clean.contains(&secret), "{clean}");
            prop_assert_eq!(cleaned(&patterns, &clean), clean);
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            let clean = cleaned(&["/a/{b}", "/a/*/{b}"], &text);
            prop_assert_eq!(cleaned(&["/a/{b}", "/a/*/{b}"], &clean), clean);
        }
    }
}
