//! Bytes to text without loss: what is not UTF-8 is kept as the text `\xHH`.

use std::borrow::Cow;

/// Escaping an nginx log format uses for variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Escape {
    /// `"`, `\`, control and non-ASCII bytes become `\xHH`.
    #[default]
    Default,
    /// As in JSON strings; bytes that are not UTF-8 pass through.
    Json,
    /// Nothing is escaped.
    None,
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends `\xHH`.
pub(crate) fn push_hex(byte: u8, out: &mut String) {
    out.push_str("\\x");
    for nibble in [byte >> 4, byte & 15] {
        out.push(char::from(
            HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'),
        ));
    }
}

/// Value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

/// Value of two hexadecimal digits.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    Some(hex(high)? << 4 | hex(low)?)
}

/// Appends `bytes`; what is not UTF-8 becomes `\xHH`. True when that happened.
pub(crate) fn push_lossy(bytes: &[u8], out: &mut String) -> bool {
    let mut lossy = false;
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        for &byte in chunk.invalid() {
            push_hex(byte, out);
            lossy = true;
        }
    }
    lossy
}

/// The text of `bytes`, borrowed when it is UTF-8.
pub(crate) fn lossy<'a>(bytes: &'a [u8], flag: &mut bool) -> Cow<'a, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => {
            let mut text = String::with_capacity(bytes.len() + 16);
            *flag |= push_lossy(bytes, &mut text);
            Cow::Owned(text)
        }
    }
}

/// Undoes nginx' escaping; borrowed when nothing was escaped.
pub(crate) fn unescape<'a>(raw: &'a str, escape: Escape, flag: &mut bool) -> Cow<'a, str> {
    if escape == Escape::None || memchr::memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        bytes.extend_from_slice(before);
        rest = unescape_one(after, escape, &mut bytes);
    }
    bytes.extend_from_slice(rest);
    match String::from_utf8(bytes) {
        Ok(text) => Cow::Owned(text),
        Err(error) => {
            let mut text = String::with_capacity(raw.len());
            *flag |= push_lossy(error.as_bytes(), &mut text);
            Cow::Owned(text)
        }
    }
}

/// Undoes the escape `rest` starts with and gives what follows it. A
/// backslash that starts none is kept.
fn unescape_one<'a>(rest: &'a [u8], escape: Escape, out: &mut Vec<u8>) -> &'a [u8] {
    match rest {
        [_, b'x', high, low, tail @ ..] if let Some(byte) = hex_pair(*high, *low) => {
            out.push(byte);
            tail
        }
        [_, code, tail @ ..]
            if escape == Escape::Json
                && let Some(byte) = simple_escape(*code) =>
        {
            out.push(byte);
            tail
        }
        [_, b'u', tail @ ..]
            if escape == Escape::Json
                && let Some((character, tail)) = unicode_escape(tail) =>
        {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            tail
        }
        [backslash, tail @ ..] => {
            out.push(*backslash);
            tail
        }
        [] => rest,
    }
}

fn simple_escape(code: u8) -> Option<u8> {
    Some(match code {
        b'"' | b'\\' | b'/' => code,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// The character of `HHHH`, with a second `\uHHHH` when it is a surrogate.
fn unicode_escape(rest: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = four_digits(rest)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, rest));
    }
    let (second, tail) = four_digits(rest.strip_prefix(b"\\u")?)?;
    let both =
        char::decode_utf16([u16::try_from(first).ok()?, u16::try_from(second).ok()?]).next()?;
    Some((both.ok()?, tail))
}

fn four_digits(rest: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, tail) = rest.split_first_chunk::<4>()?;
    let value = digits
        .iter()
        .try_fold(0, |value, digit| Some(value << 4 | u32::from(hex(*digit)?)))?;
    Some((value, tail))
}

/// Whether a character ends lines, drives terminals or reorders text where
/// people read it: control characters, line and paragraph separators, and
/// bidirectional controls.
pub(crate) fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends what stands for an unsafe character: `#012`, `<U+2028>`.
pub(crate) fn push_visible(character: char, out: &mut String) {
    let code = u32::from(character);
    if code < 0x80 {
        out.push('#');
        out.extend(
            [code >> 6, code >> 3 & 7, code & 7]
                .map(|digit| char::from_digit(digit, 8).unwrap_or('0')),
        );
    } else {
        out.push_str("<U+");
        for shift in [12, 8, 4, 0] {
            out.extend(
                char::from_digit(code >> shift & 15, 16).map(|digit| digit.to_ascii_uppercase()),
            );
        }
        out.push('>');
    }
}

/// The longest beginning of `text` of at most `limit` bytes.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn undo(raw: &str, escape: Escape) -> (String, bool) {
        let mut flag = false;
        (unescape(raw, escape, &mut flag).into_owned(), flag)
    }

    /// The escaping of `ngx_http_log_escape`, as observed.
    fn nginx_escape(bytes: &[u8]) -> String {
        let mut text = String::new();
        for &byte in bytes {
            match byte {
                b'"' | b'\\' | 0..0x20 | 0x7f.. => push_hex(byte, &mut text),
                _ => text.push(char::from(byte)),
            }
        }
        text
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(undo("zo\\xC3\\xAB", Escape::Default), ("zoë".into(), false));
        assert_eq!(
            undo("a\\xFFb\\x22", Escape::Default),
            ("a\\xFFb\"".into(), true)
        );
        assert_eq!(
            undo("a\\n\\xZ\\", Escape::Default),
            ("a\\n\\xZ\\".into(), false)
        );
        assert_eq!(
            undo("\\u00e9\\n\\\"\\ud83d\\ude00\\ud800", Escape::Json),
            ("é\n\"😀\\ud800".into(), false)
        );
        assert_eq!(undo("\\x41", Escape::None), ("\\x41".into(), false));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn unescaping_undoes_what_nginx_writes(text in any::<String>()) {
            prop_assert_eq!(undo(&nginx_escape(text.as_bytes()), Escape::Default), (text.clone(), false));
            let quoted = serde_json::to_string(&text).unwrap();
            let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap();
            prop_assert_eq!(undo(inner, Escape::Json), (text, false));
        }

        #[test]
        fn bytes_that_are_not_text_are_flagged(bytes in any::<Vec<u8>>()) {
            let (_, flag) = undo(&nginx_escape(&bytes), Escape::Default);
            prop_assert_eq!(flag, std::str::from_utf8(&bytes).is_err());
        }
    }
}
