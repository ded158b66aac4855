//! Removes secrets from texts before they enter an event.
//!
//! Keys of a query keep their name and lose their value when the name sounds
//! like a secret, also inside a value that is itself an encoded URL
//! (`next=%2Fcb%3Ftoken%3D…`) or JSON (`q={"token":…}`), however often it was
//! encoded. User information is cut out of absolute URLs, and out of whatever
//! looks like one inside the text. Linear: what is looked ahead at is either
//! skipped or remembered.

mod names;
mod paths;

use names::is_secret;

pub use names::is_secret_name;
pub use paths::{SecretPathError, SecretPaths};

/// What a secret's value becomes.
pub const REDACTED: &str = "REDACTED";

/// Appends `url` (a request target or an absolute URL) to `out` without the
/// values of secret-like query keys and without user information.
pub fn url(url: &str, out: &mut String) {
    if is_harmless(url) {
        out.push_str(url);
        return;
    }
    let (scheme, rest) = split_scheme(url);
    out.push_str(scheme);
    let (authority, rest) = if scheme.is_empty() {
        ("", rest)
    } else {
        split_authority(rest)
    };
    query(without_user(authority), out);
    query(rest, out);
}

/// Splits `https://` (or `//`) off an absolute URL; empty when relative.
pub(crate) fn split_scheme(url: &str) -> (&str, &str) {
    if url.starts_with('/') && !url.starts_with("//") {
        return ("", url);
    }
    let bytes = url.as_bytes();
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let name = bytes.iter().take_while(|byte| is_scheme(byte)).count();
    let end = match bytes.get(name..) {
        Some([b':', b'/', b'/', ..]) if name > 0 => name + 3,
        Some([b'/', b'/', ..]) if name == 0 => 2,
        _ => 0,
    };
    url.split_at_checked(end).unwrap_or(("", url))
}

/// Splits the authority off what follows a scheme.
pub(crate) fn split_authority(rest: &str) -> (&str, &str) {
    let is_end = |byte: &u8| matches!(byte, b'/' | b'?' | b'#' | b'\\' | b';');
    let end = rest
        .as_bytes()
        .iter()
        .position(is_end)
        .unwrap_or(rest.len());
    rest.split_at_checked(end).unwrap_or((rest, ""))
}

/// An authority without `user:password@`.
pub(crate) fn without_user(authority: &str) -> &str {
    let user = memchr::memrchr(b'@', authority.as_bytes());
    user.and_then(|at| authority.get(at + 1..))
        .unwrap_or(authority)
}

/// The byte behind `%41`, `%2541`, `%252541` …, how often it is encoded, and
/// the length of the whole.
fn encoded(tail: &[u8]) -> Option<(u8, usize, usize)> {
    let mut rest = tail.strip_prefix(b"%")?;
    let mut depth = 1;
    while let Some(deeper) = rest.strip_prefix(b"25") {
        rest = deeper;
        depth += 1;
    }
    match rest {
        [high, low, ..] if let Some(byte) = crate::text::hex_pair(*high, *low) => {
            Some((byte, depth, depth * 2 + 1))
        }
        // A percent sign encoded, and then no two digits.
        _ if depth > 1 => Some((b'%', depth - 1, depth * 2 - 1)),
        _ => None,
    }
}

/// A byte of the text, how often it is percent-encoded, and its length there.
fn character(bytes: &[u8], at: usize) -> (u8, usize, usize) {
    match bytes.get(at..).unwrap_or_default() {
        tail @ [b'%', ..] => encoded(tail).unwrap_or((b'%', 0, 1)),
        [byte, ..] => (*byte, 0, 1),
        [] => (0, 0, 1),
    }
}

/// Whether a text holds nothing this module looks for.
fn is_harmless(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr3(b'=', b'%', b'@', bytes).is_none() && memchr::memchr(b'"', bytes).is_none()
}

/// Appends a text that may hold `key=value` pairs, JSON or URLs (a query
/// string, with or without what precedes it) to `out` without the values of
/// secrets and without user information.
pub fn query(text: &str, out: &mut String) {
    if is_harmless(text) {
        out.push_str(text);
        return;
    }
    let bytes = text.as_bytes();
    let mut scan = Scan::default();
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes.get(at).is_some_and(|byte| !is_mark(*byte)) {
            at += 1;
            continue;
        }
        let (byte, depth, length) = character(bytes, at);
        let after = at + length;
        if let Some((from, to)) = scan.secret(bytes, byte, depth, at..after) {
            out.push_str(text.get(copied..from).unwrap_or_default());
            if to > from {
                out.push_str(REDACTED);
            }
            scan.restart(to);
            (copied, at) = (to, to);
        } else {
            at = after;
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
}

fn is_mark(byte: u8) -> bool {
    matches!(
        byte,
        b'=' | b'&' | b'?' | b'#' | b';' | b'%' | b':' | b'/' | b'"' | b' ' | b'\\' | b'<' | b'>'
    )
}

/// What is known of the text up to a place.
#[derive(Default)]
struct Scan {
    /// Where the name of a key would have begun.
    name: usize,
    /// Where the user of `user:password@` would have begun.
    user: usize,
    /// After the last quote, and what stood between it and the one before.
    quote: usize,
    quoted: std::ops::Range<usize>,
    /// After the last slash.
    slash: usize,
    /// No user information begins before this.
    seen: usize,
}

impl Scan {
    /// Begins anew after what was taken out.
    fn restart(&mut self, at: usize) {
        *self = Self {
            name: at,
            user: at,
            quote: at,
            quoted: at..at,
            slash: self.slash,
            seen: self.seen.max(at),
        };
    }

    /// The secret that is given away by the character at `place`, if any.
    fn secret(
        &mut self,
        bytes: &[u8],
        byte: u8,
        depth: usize,
        place: std::ops::Range<usize>,
    ) -> Option<(usize, usize)> {
        let (at, after) = (place.start, place.end);
        match byte {
            b'=' => {
                let name = bytes.get(self.name..at).unwrap_or_default();
                (self.name, self.user) = (after, after);
                return is_secret(name).then(|| (after, end_of_value(bytes, after, depth)));
            }
            b':' if self.quote == at => {
                let name = bytes.get(self.quoted.clone()).unwrap_or_default();
                (self.name, self.user) = (after, after);
                return is_secret(name).then(|| (after, end_of_json_value(bytes, after, depth)));
            }
            b':' if at >= self.seen => return self.user_information(bytes, self.user, after),
            b'/' => {
                let double = self.slash == at;
                (self.slash, self.user) = (after, after);
                if double {
                    return self.user_information(bytes, after, after);
                }
            }
            b'"' => {
                self.quoted = self.quote..at;
                (self.quote, self.user) = (after, after);
            }
            b' ' => {
                if self.quote == at {
                    self.quote = after;
                }
                self.user = after;
            }
            b'&' | b'?' | b'#' | b';' => (self.name, self.user) = (after, after),
            b'\\' | b'<' | b'>' => self.user = after,
            _ => {}
        }
        None
    }

    /// From `user` up to the last `@` before what cannot be part of it.
    fn user_information(
        &mut self,
        bytes: &[u8],
        user: usize,
        mut at: usize,
    ) -> Option<(usize, usize)> {
        let mut found = None;
        while at < bytes.len() {
            let (byte, _, length) = character(bytes, at);
            match byte {
                b'/' | b'?' | b'#' | b'&' | b' ' | b'"' | b'\\' | b'<' | b'>' => break,
                b'@' => found = Some((user, at)),
                _ => {}
            }
            at += length;
        }
        self.seen = at;
        found
    }
}

/// Where the value that starts at `at` ends: at the next separator encoded no
/// deeper than its `=`.
fn end_of_value(bytes: &[u8], mut at: usize, depth: usize) -> usize {
    while at < bytes.len() {
        let (byte, found, length) = character(bytes, at);
        if matches!(byte, b'&' | b'?' | b'#' | b';') && found <= depth {
            return at;
        }
        at += length;
    }
    bytes.len()
}

/// Where the secret value of a JSON key ends: with the query key whose value
/// the JSON is, so that no list or object has to be understood. Separators
/// inside a string end nothing.
fn end_of_json_value(bytes: &[u8], mut at: usize, depth: usize) -> usize {
    let mut open = false;
    let mut escaped = false;
    while at < bytes.len() {
        let (byte, found, length) = character(bytes, at);
        match byte {
            _ if escaped => escaped = false,
            b'\\' if open => escaped = true,
            b'"' if found <= depth => open = !open,
            b'&' | b'?' | b'#' | b';' if !open && found <= depth => return at,
            _ => {}
        }
        at += length;
    }
    bytes.len()
}

#[cfg(test)]
mod tests;
