//! Removes secrets from texts before they enter an event.
//!
//! Keys of a query keep their name and lose their value when the name sounds
//! like a secret, also inside a value that is itself an encoded URL
//! (`next=%2Fcb%3Ftoken%3D…`), however often it was encoded. User information
//! is cut out of absolute URLs. Everything is one pass over the text.

/// What a secret's value becomes.
pub const REDACTED: &str = "REDACTED";

/// Names longer than this count as secret: no honest key is that long.
const LONGEST_NAME: usize = 64;

/// Appends `url` (a request target or an absolute URL) to `out` without the
/// values of secret-like query keys and without user information.
pub fn url(url: &str, out: &mut String) {
    if memchr::memchr3(b'=', b'%', b'@', url.as_bytes()).is_none() {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Equals,
    Separator,
    /// Bytes without meaning here.
    Plain,
}

/// What stands at `at`: its meaning, how often it is percent-encoded, and its
/// length.
fn mark(bytes: &[u8], at: usize) -> (Mark, usize, usize) {
    let tail = bytes.get(at..).unwrap_or_default();
    match tail {
        [b'=', ..] => (Mark::Equals, 0, 1),
        [b'&' | b'?' | b'#' | b';', ..] => (Mark::Separator, 0, 1),
        [b'%', ..] => match encoded(tail) {
            Some((b'=', depth, length)) => (Mark::Equals, depth, length),
            Some((b'&' | b'?' | b'#' | b';', depth, length)) => (Mark::Separator, depth, length),
            Some((_, _, length)) => (Mark::Plain, 0, length),
            None => (Mark::Plain, 0, 1),
        },
        _ => (Mark::Plain, 0, 1),
    }
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

/// Appends a text that may hold `key=value` pairs (a query string, with or
/// without what precedes it) to `out` without the values of secrets.
pub fn query(text: &str, out: &mut String) {
    let bytes = text.as_bytes();
    if memchr::memchr2(b'=', b'%', bytes).is_none() {
        out.push_str(text);
        return;
    }
    let mut copied = 0;
    let mut name = 0;
    let mut at = 0;
    while at < bytes.len() {
        if bytes.get(at).is_some_and(|byte| !is_mark(*byte)) {
            at += 1;
            continue;
        }
        let (kind, depth, length) = mark(bytes, at);
        let after = at + length;
        if kind == Mark::Equals && is_secret(bytes.get(name..at).unwrap_or_default()) {
            let end = end_of_value(bytes, after, depth);
            out.push_str(text.get(copied..after).unwrap_or_default());
            if end > after {
                out.push_str(REDACTED);
            }
            (copied, name, at) = (end, end, end);
            continue;
        }
        if kind != Mark::Plain {
            name = after;
        }
        at = after;
    }
    out.push_str(text.get(copied..).unwrap_or_default());
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'=' | b'&' | b'?' | b'#' | b';' | b'%')
}

/// Where the value that starts at `at` ends: at the next separator encoded no
/// deeper than its `=`.
fn end_of_value(bytes: &[u8], mut at: usize, depth: usize) -> usize {
    while at < bytes.len() {
        let (kind, found, length) = mark(bytes, at);
        if kind == Mark::Separator && found <= depth {
            return at;
        }
        at += length;
    }
    bytes.len()
}

/// Whether a key, header, cookie or form field of that name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    is_secret(name.as_bytes())
}

/// Parts of names that give a secret away wherever they occur, in any case.
const PARTS: [&[u8]; 18] = [
    b"token",
    b"passw",
    b"passphrase",
    b"privatekey",
    b"secret",
    b"session",
    b"sessid",
    b"signature",
    b"samlre",
    b"saml_re",
    b"apikey",
    b"auth",
    b"assertion",
    b"credential",
    b"cookie",
    b"csrf",
    b"xsrf",
    b"bearer",
];

/// Beginnings of the parts, which rule most places out at once.
const HEADS: [u32; 18] = heads();

/// Whole words that give a secret away; `code` does unless it is harmless.
const WORDS: [u64; 17] = [
    packed(b"key"),
    packed(b"sig"),
    packed(b"pass"),
    packed(b"pwd"),
    packed(b"pw"),
    packed(b"pin"),
    packed(b"otp"),
    packed(b"totp"),
    packed(b"sid"),
    packed(b"sess"),
    packed(b"mfa"),
    packed(b"tfa"),
    packed(b"2fa"),
    packed(b"jwt"),
    packed(b"ticket"),
    packed(b"hmac"),
    packed(b"nonce"),
];

const CODE: u64 = packed(b"code");

/// Words that make a `code` harmless: `country_code`.
const HARMLESS: [u64; 10] = [
    packed(b"country"),
    packed(b"status"),
    packed(b"error"),
    packed(b"zip"),
    packed(b"postal"),
    packed(b"area"),
    packed(b"lang"),
    packed(b"language"),
    packed(b"currency"),
    packed(b"response"),
];

/// A word of up to eight bytes as a number; longer ones keep the last eight.
const fn packed(word: &[u8]) -> u64 {
    let mut value = 0;
    let mut rest = word;
    while let [byte, tail @ ..] = rest {
        value = value << 8 | *byte as u64;
        rest = tail;
    }
    value
}

const fn heads() -> [u32; 18] {
    let mut heads = [0; 18];
    let mut slots: &mut [u32] = &mut heads;
    let mut parts: &[&[u8]] = &PARTS;
    while let ([slot, more @ ..], [part, others @ ..]) = (slots, parts) {
        *slot = head(part);
        slots = more;
        parts = others;
    }
    heads
}

/// The first four bytes in lower case; other characters change, too, which
/// only makes the comparison of the whole part necessary.
const fn head(tail: &[u8]) -> u32 {
    match tail.first_chunk::<4>() {
        Some(bytes) => u32::from_le_bytes(*bytes) | 0x2020_2020,
        None => 0,
    }
}

fn has_part_at(name: &[u8], at: usize) -> bool {
    let tail = name.get(at..).unwrap_or_default();
    let head = head(tail);
    // No early exit, so that it compiles to vector instructions.
    HEADS
        .iter()
        .fold(false, |hit, known| hit | (*known == head))
        && PARTS.iter().any(|part| begins(tail, part))
        && (!begins(tail, b"author") || begins(tail, b"authoriz"))
}

fn begins(tail: &[u8], part: &[u8]) -> bool {
    tail.get(..part.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(part))
}

/// A percent-decoded name. Nothing when it is longer than any honest one.
fn decoded(raw: &[u8]) -> Option<([u8; LONGEST_NAME], usize)> {
    let mut name = [0; LONGEST_NAME];
    let mut length = 0;
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        let (byte, taken) = encoded(rest).map_or((*first, 1), |(byte, _, taken)| (byte, taken));
        *name.get_mut(length)? = byte;
        length += 1;
        rest = tail.get(taken - 1..).unwrap_or_default();
    }
    Some((name, length))
}

/// What a name says so far.
#[derive(Default)]
struct Verdict {
    secret: bool,
    code: bool,
    harmless: bool,
}

impl Verdict {
    fn add(&mut self, word: u64) {
        self.secret |= WORDS.contains(&word);
        self.code |= word == CODE;
        self.harmless |= HARMLESS.contains(&word);
    }
}

fn is_secret(name: &[u8]) -> bool {
    judge(name).unwrap_or_else(|| {
        let decoded = decoded(name);
        decoded.is_none_or(|(name, length)| {
            // What could not be decoded separates words like anything else.
            let mut name = name;
            name.iter_mut()
                .filter(|byte| **byte == b'%')
                .for_each(|byte| *byte = b'-');
            name.get(..length).and_then(judge).unwrap_or(true)
        })
    })
}

/// One pass: parts wherever they are, words as they end. A word ends where
/// letters and digits do, and before a capital that follows a small letter.
/// Nothing when the name has to be decoded first.
fn judge(name: &[u8]) -> Option<bool> {
    let mut verdict = Verdict::default();
    let mut word = 0_u64;
    let mut lower_before = false;
    let mut start = 0;
    for (at, byte) in name.iter().enumerate() {
        if byte.is_ascii_alphanumeric() || *byte >= 0x80 {
            verdict.secret |= has_part_at(name, at);
            if lower_before && byte.is_ascii_uppercase() {
                verdict.add(word);
                word = 0;
            }
            word = word << 8 | u64::from(byte.to_ascii_lowercase());
        } else if *byte == b'%' {
            return None;
        } else {
            verdict.add(word);
            word = 0;
            if matches!(byte, b' ' | b'/' | b',' | b'+') {
                // What came before is prose or a path, not the name.
                verdict = Verdict::default();
                start = at + 1;
            }
        }
        lower_before = byte.is_ascii_lowercase();
    }
    verdict.add(word);
    Some(verdict.secret || (verdict.code && !verdict.harmless) || name.len() - start > LONGEST_NAME)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn redacted(text: &str) -> String {
        let mut out = String::new();
        url(text, &mut out);
        out
    }

    #[test]
    fn values_of_secret_keys_go_and_keys_stay() {
        for (given, expected) in [
            ("/cb?code=abc&state=1", "/cb?code=REDACTED&state=1"),
            ("/p?Access_Token=a&q=b", "/p?Access_Token=REDACTED&q=b"),
            (
                "/p?user[password]=x&id=2",
                "/p?user[password]=REDACTED&id=2",
            ),
            ("/p?user%5Bpassword%5D=x", "/p?user%5Bpassword%5D=REDACTED"),
            ("/p?%74oken=x", "/p?%74oken=REDACTED"),
            (
                "/p?X-Amz-Signature=ff;a=1",
                "/p?X-Amz-Signature=REDACTED;a=1",
            ),
            ("/p;jsessionid=AA11?x=1", "/p;jsessionid=REDACTED?x=1"),
            ("/p#access_token=zz", "/p#access_token=REDACTED"),
            ("/p?token=", "/p?token="),
            ("/p?token=a=b=c&d", "/p?token=REDACTED&d"),
            (
                "/p?apiKey=1&authCode=2",
                "/p?apiKey=REDACTED&authCode=REDACTED",
            ),
            ("https://joe:pw@host/p?a=b", "https://host/p?a=b"),
            ("//joe:pw@host?key=b", "//host?key=REDACTED"),
        ] {
            assert_eq!(redacted(given), expected);
        }
    }

    #[test]
    fn secrets_in_nested_encoded_urls_go() {
        assert_eq!(
            redacted("/l?next=%2Fcb%3Ftoken%3Dabc%26b%3D1&c=2"),
            "/l?next=%2Fcb%3Ftoken%3DREDACTED%26b%3D1&c=2"
        );
        assert_eq!(
            redacted("/l?n=%252Fcb%253Fcode%253Dabc&c=2"),
            "/l?n=%252Fcb%253Fcode%253DREDACTED&c=2"
        );
        assert_eq!(redacted("/l?token=a%26b%3Dc&d=1"), "/l?token=REDACTED&d=1");
    }

    #[test]
    fn harmless_keys_keep_their_values() {
        for text in [
            "/s?keyword=a&author=b&assessment=1&country_code=CZ&zipcode=1&monkey=2&compass=3&page=4",
            "/a%zz?b=%",
            "*",
            "host:443",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_secret_survives(
            before in "[a-z/=&?%;]{0,12}",
            name in prop::sample::select(vec!["token", "my_password", "sessionId", "client-secret", "sig", "code"]),
            depth in 0_usize..4,
        ) {
            let mut pair = format!("?{name}=CANARY");
            for _ in 0..depth {
                pair = pair.replace('%', "%25").replace('?', "%3F").replace('=', "%3D");
            }
            let text = redacted(&format!("/{before}{pair}"));
            prop_assert!(!text.contains("CANARY"), "{}", text);
        }

        #[test]
        fn text_without_pairs_is_untouched(text in "[^=%]*") {
            let mut out = String::new();
            query(&text, &mut out);
            prop_assert_eq!(out, text);
        }

        #[test]
        fn redacting_again_changes_nothing(text in "[a-zA-Z=&?#;%0-9_/]{0,60}") {
            let mut once = String::new();
            query(&text, &mut once);
            let mut twice = String::new();
            query(&once, &mut twice);
            prop_assert_eq!(once, twice);
        }
    }
}
