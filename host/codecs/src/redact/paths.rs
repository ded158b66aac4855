//! Parts of paths that are secrets, such as the token of `/reset/<token>`.
//!
//! A site says which. They are taken out wherever such a path stands: in a
//! target, a referrer, the value of a query key, a message, and in whatever
//! percent-encoding. A pattern fits anywhere in a path, because proxies and
//! sites put paths below others: rather too much goes than a secret stays.
//! For the same reason a character ends a secret only where it cannot be part
//! of a path: `&` is one of a segment unless a query has begun, and in a text
//! that was decoded already every character may be one.
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
            let text = event.own(field);
            if let Some(clean) = text.and_then(|text| self.without(text, Kind::of(field))) {
                event.set(field, &clean);
            }
        }
        // Values of forms and queries are decoded when they become labels.
        let labels: Vec<(String, String)> = event
            .labels()
            .filter_map(|(name, text)| {
                let clean = self.without(text, Kind::Decoded)?;
                Some((name.to_owned(), clean))
            })
            .collect();
        for (name, clean) in labels {
            event.set_label(&name, &clean);
        }
    }

    /// The text without secrets; none when it holds none.
    fn without(&self, text: &str, kind: Kind) -> Option<String> {
        let bytes = text.as_bytes();
        let mut secrets: Vec<Range<usize>> = Vec::new();
        let mut before = Vec::new();
        let mut place = Place::new(kind);
        let (mut at, mut begin) = (0, 0);
        while at < bytes.len() {
            let (byte, depth, length) = character(bytes, at);
            let after = at + length;
            if is_slash(byte) {
                enter(&mut before, bytes, begin..at);
                begin = after;
                place.slash(depth);
                let length = secrets.len();
                for pattern in &self.patterns {
                    note_matches(pattern, &before, &mut secrets);
                }
                if secrets.len() > length {
                    let after = past_slashes(bytes, after);
                    let end = place.end_of_path(bytes, after);
                    if let Some(last) = secrets.last_mut() {
                        *last = after..end;
                    }
                    before.clear();
                    (at, begin) = (end, end);
                    continue;
                }
            } else if place.ends_path(byte, depth) {
                before.clear();
                begin = after;
                place.leave_path(byte, depth);
            } else if byte == b'=' {
                place.equals(depth);
            }
            at = after;
        }
        replace(text, secrets)
    }
}

/// What a text is, and so what ends a path in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Decoded: whatever was encoded in the path looks like its end now, so
    /// that nothing is.
    Decoded,
    /// A URL or a part of one: only what begins its query or fragment, and
    /// what separates the pairs of the query.
    Url,
    /// The same from the query on.
    Query,
    /// Any other: blanks and quotes as well.
    Text,
}

impl Kind {
    fn of(field: Field) -> Self {
        match field {
            Field::UrlPath => Self::Decoded,
            Field::UrlOriginal | Field::HttpRequestReferrer => Self::Url,
            Field::UrlQuery => Self::Query,
            _ => Self::Text,
        }
    }
}

/// What is known of the text up to a character.
struct Place {
    kind: Kind,
    /// How often the slash of the path is encoded that is encoded least; none
    /// before the first one.
    path: Option<usize>,
    /// How often that is encoded which began a query, one bit for each number.
    queries: u64,
}

impl Place {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            path: None,
            queries: u64::from(kind == Kind::Query),
        }
    }

    fn slash(&mut self, depth: usize) {
        self.path = Some(self.path.map_or(depth, |least| least.min(depth)));
    }

    /// A key, as in `next=/reset/…`, is one of a query; in a path it is none.
    fn equals(&mut self, depth: usize) {
        if self.path.is_none() {
            self.queries |= bit(depth);
        }
    }

    /// Whether a character is no part of the path: it is encoded no deeper
    /// than the path is, and cannot be one of a segment.
    fn ends_path(&self, byte: u8, depth: usize) -> bool {
        if self.kind == Kind::Decoded || self.path.is_some_and(|least| depth > least) {
            return false;
        }
        match byte {
            b'&' => self.queries & bit(depth) != 0,
            b'?' | b'#' => true,
            _ => self.kind == Kind::Text && is_delimiter(byte),
        }
    }

    /// Goes on after the character that ended a path.
    fn leave_path(&mut self, byte: u8, depth: usize) {
        let bit = bit(depth);
        self.path = None;
        // What was encoded as deep or deeper is over.
        self.queries &= bit.wrapping_sub(1);
        if matches!(byte, b'?' | b'&') {
            self.queries |= bit;
        }
    }

    /// Where the path goes no further.
    fn end_of_path(&self, bytes: &[u8], mut at: usize) -> usize {
        while at < bytes.len() {
            let (byte, depth, length) = character(bytes, at);
            if self.ends_path(byte, depth) {
                return at;
            }
            at += length;
        }
        bytes.len()
    }
}

/// One bit for a depth, and none for one beyond reason: no query begins there.
fn bit(depth: usize) -> u64 {
    let depth = u32::try_from(depth).ok();
    depth
        .and_then(|depth| 1_u64.checked_shl(depth))
        .unwrap_or(0)
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
    let odd = |byte: u8| {
        is_delimiter(byte) || is_slash(byte) || matches!(byte, b'%' | b'*' | b'{' | b'}')
    };
    let dots = matches!(segment, "" | "." | "..");
    (!dots && !segment.bytes().any(odd))
        .then(|| Part::Literal(segment.to_ascii_lowercase().into_bytes().into()))
}

/// A segment that came before, decoded and in small letters.
struct Segment {
    text: Vec<u8>,
    place: Range<usize>,
}

impl Segment {
    /// Whether it is the literal, or ends with it after what may not be of the
    /// path: a key, as in `next=reset/…`, or another text.
    fn is(&self, literal: &[u8]) -> bool {
        let before = self.text.strip_suffix(literal);
        before.is_some_and(|before| {
            let last = before.last();
            last.is_none_or(|last| *last == b'=' || is_delimiter(*last))
        })
    }
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
        Part::Literal(literal) => segment.is(literal),
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

/// What may end a path, unless it is encoded.
fn is_delimiter(byte: u8) -> bool {
    matches!(byte, b'?' | b'#' | b'&' | b'"' | b'<' | b'>') || byte.is_ascii_whitespace()
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
mod tests;
