//! Reading, for round trips and for checking what was written.

use super::CefRecord;

/// Why a line is no CEF record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CefError {
    /// Does not start with `CEF:0|`.
    #[error("the line does not start with `CEF:0|`")]
    Version,
    /// Fewer than seven header fields.
    #[error("the header has fewer than seven fields")]
    Header,
    /// The extension is no list of `key=value`.
    #[error("the extension is no list of key=value")]
    Extension,
}

/// Takes a record apart.
///
/// # Errors
/// The line is no CEF record.
pub fn decode(line: &str) -> Result<CefRecord, CefError> {
    let mut rest = line.strip_prefix("CEF:0|").ok_or(CefError::Version)?;
    let mut field = || {
        let (field, after) = header_field(rest)?;
        rest = after;
        Some(field)
    };
    let mut header = || field().ok_or(CefError::Header);
    let mut record = CefRecord {
        vendor: header()?,
        product: header()?,
        version: header()?,
        class_id: header()?,
        name: header()?,
        severity: header()?,
        extensions: Vec::new(),
    };
    record.extensions = extensions(rest).ok_or(CefError::Extension)?;
    Ok(record)
}

/// The text up to the next bar without a backslash, unescaped.
fn header_field(rest: &str) -> Option<(String, &str)> {
    let end = unescaped(rest, b'|')?;
    let (field, after) = rest.split_at_checked(end)?;
    Some((unescape(field), after.strip_prefix('|')?))
}

/// Position of the first `wanted` that no backslash precedes.
fn unescaped(text: &str, wanted: u8) -> Option<usize> {
    let mut at = 0;
    loop {
        let found = at + memchr::memchr2(wanted, b'\\', text.as_bytes().get(at..)?)?;
        if text.as_bytes().get(found) == Some(&wanted) {
            return Some(found);
        }
        at = found + 2;
    }
}

fn is_key(key: &str) -> bool {
    let is_letter =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'[' | b']');
    !key.is_empty() && key.bytes().all(is_letter)
}

/// A value ends where the last blank before the next key stands.
fn extensions(text: &str) -> Option<Vec<(String, String)>> {
    let mut all = Vec::new();
    if text.is_empty() {
        return Some(all);
    }
    let (mut key, mut rest) = text.split_at_checked(unescaped(text, b'=')?)?;
    loop {
        if !is_key(key) {
            return None;
        }
        rest = rest.strip_prefix('=')?;
        let Some(next) = unescaped(rest, b'=') else {
            all.push((key.to_owned(), unescape(rest)));
            return Some(all);
        };
        let (before, after) = rest.split_at_checked(next)?;
        let (value, next_key) = before.rsplit_once(' ')?;
        all.push((key.to_owned(), unescape(value)));
        (key, rest) = (next_key, after);
    }
}

fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            out.push(character);
            continue;
        }
        match characters.next() {
            Some(escaped @ ('\\' | '=' | '|')) => out.push(escaped),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            other => {
                out.push('\\');
                out.extend(other);
            }
        }
    }
    out
}
