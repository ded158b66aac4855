//! A request target taken apart into the `url.*` fields of an event.
//!
//! `url.original` is the target as received but without secrets; `url.path`
//! is what nginx matches locations with: percent-decoded once, empty and dot
//! segments resolved.

use std::ops::Range;

use sidewatch_event::{Event, Field};

use crate::redact;
use crate::text::hex_pair;

/// What a target holds beside path and query.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin<'a> {
    /// Without `://`; empty unless the target is absolute.
    pub(crate) scheme: &'a str,
    /// Host and port; empty in origin form.
    pub(crate) authority: &'a str,
}

/// Sets `url.original`, `url.path` and `url.query`.
pub(crate) fn set_target<'a>(event: &mut Event, method: &str, target: &'a str) -> Origin<'a> {
    let (scheme, rest) = if target.starts_with("//") {
        ("", target)
    } else {
        redact::split_scheme(target)
    };
    if scheme.is_empty() && method.eq_ignore_ascii_case("connect") {
        let authority = redact::without_user(target);
        event.set(Field::UrlOriginal, authority);
        return Origin {
            scheme: "",
            authority,
        };
    }
    let (authority, rest) = if scheme.is_empty() {
        ("", rest)
    } else {
        redact::split_authority(rest)
    };
    let authority = redact::without_user(authority);
    let (path, after) = rest
        .split_at_checked(path_length(rest))
        .unwrap_or((rest, ""));
    let normal = is_normal(path);
    let mut path_range = 0..0;
    let mut length = 0;
    event.set_with(Field::UrlOriginal, |text| {
        let base = text.len();
        if !scheme.is_empty() {
            text.push_str(scheme);
            redact::query(authority, text);
        }
        path_range.start = text.len() - base;
        if normal {
            text.push_str(path);
        } else {
            redact::query(path, text);
        }
        path_range.end = text.len() - base;
        if !after.is_empty() {
            redact::query(after, text);
        }
        length = text.len() - base;
    });
    set_path(event, path, normal, path_range.clone());
    if after.starts_with('?') {
        let fragment = memchr::memchr(b'#', after.as_bytes());
        let end = if fragment.is_some() {
            None
        } else {
            Some(length)
        };
        set_query(event, after, path_range.end + 1, end);
    }
    Origin {
        scheme: scheme.strip_suffix("://").unwrap_or_default(),
        authority,
    }
}

fn path_length(rest: &str) -> usize {
    memchr::memchr2(b'?', b'#', rest.as_bytes()).unwrap_or(rest.len())
}

fn set_query(event: &mut Event, after: &str, start: usize, end: Option<usize>) {
    match end {
        Some(end) => event.set_part(Field::UrlQuery, Field::UrlOriginal, start..end),
        None => {
            let query = after
                .split('#')
                .next()
                .and_then(|query| query.get(1..))
                .unwrap_or_default();
            event.set_with(Field::UrlQuery, |text| redact::query(query, text));
        }
    }
}

fn set_path(event: &mut Event, path: &str, normal: bool, original: Range<usize>) {
    if path.is_empty() {
        if original.start > 0 {
            event.set(Field::UrlPath, "/");
        }
    } else if normal {
        event.set_part(Field::UrlPath, Field::UrlOriginal, original);
    } else {
        let mut shown = String::new();
        redact::query(path, &mut shown);
        event.set_with(Field::UrlPath, |text| push_normal(&shown, text));
    }
}

fn is_normal(path: &str) -> bool {
    let bytes = path.as_bytes();
    // No early exit, so that it compiles to vector instructions.
    let is_odd = |byte: u8, next: u8| {
        (byte == b'%')
            | (byte == b'=')
            | (byte == b'@')
            | (byte == b'"')
            | (byte == b'/') & ((next == b'/') | (next == b'.'))
    };
    let next = bytes.get(1..).unwrap_or_default();
    let odd = bytes
        .iter()
        .zip(next)
        .fold(false, |odd, (byte, next)| odd | is_odd(*byte, *next));
    !odd && !matches!(bytes.last(), Some(b'%' | b'=' | b'@' | b'"'))
}

/// Appends a path percent-decoded once, with `//`, `/./` and `/../` resolved.
/// What does not decode to UTF-8 stays encoded.
pub(crate) fn push_normal(path: &str, out: &mut String) {
    let base = out.len();
    let mut rest = path;
    while let Some(at) = memchr::memchr(b'%', rest.as_bytes()) {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        push_segments(before, base, out);
        rest = push_decoded(after, base, out);
    }
    push_segments(rest, base, out);
    close_segment(base, out);
    if out.len() == base && path.starts_with('/') {
        out.push('/');
    }
}

/// Decodes the percent-encoded bytes `rest` starts with, as many as there are
/// in a row, and gives what follows.
fn push_decoded<'a>(rest: &'a str, base: usize, out: &mut String) -> &'a str {
    let mut bytes = [0; 128];
    let mut count = 0;
    let mut tail = rest;
    while let Some((byte, after)) = decode_one(tail)
        && let Some(slot) = bytes.get_mut(count)
    {
        *slot = byte;
        count += 1;
        tail = after;
    }
    if count == 0 {
        push_segments("%", base, out);
        return rest.strip_prefix('%').unwrap_or_default();
    }
    for chunk in bytes.get(..count).unwrap_or_default().utf8_chunks() {
        push_segments(chunk.valid(), base, out);
        for byte in chunk.invalid() {
            push_percent(*byte, out);
        }
    }
    tail
}

fn decode_one(text: &str) -> Option<(u8, &str)> {
    let [b'%', high, low, ..] = text.as_bytes() else {
        return None;
    };
    Some((hex_pair(*high, *low)?, text.get(3..)?))
}

fn push_percent(byte: u8, out: &mut String) {
    out.push('%');
    for nibble in [byte >> 4, byte & 15] {
        out.extend(char::from_digit(u32::from(nibble), 16).map(|digit| digit.to_ascii_uppercase()));
    }
}

fn push_segments(text: &str, base: usize, out: &mut String) {
    let mut first = true;
    for part in text.split('/') {
        if !first {
            close_segment(base, out);
            if !(out.len() > base && out.ends_with('/')) {
                out.push('/');
            }
        }
        out.push_str(part);
        first = false;
    }
}

/// Resolves the last segment when it is `.` or `..`.
fn close_segment(base: usize, out: &mut String) {
    let written = out.get(base..).unwrap_or_default();
    let Some(slash) = written.rfind('/') else {
        return;
    };
    match written.get(slash + 1..) {
        Some(".") => out.truncate(base + slash + 1),
        Some("..") => {
            let parent = written
                .get(..slash)
                .and_then(|before| before.rfind('/'))
                .map_or(0, |at| at + 1);
            out.truncate(base + parent.max(usize::from(written.starts_with('/'))));
        }
        _ => {}
    }
}

/// Sets `url.domain` from a Host header or authority: lower case, no port.
pub(crate) fn set_domain(event: &mut Event, host: &str) {
    let name = host_name(redact::without_user(host));
    if name.is_empty() {
        return;
    }
    event.set_with(Field::UrlDomain, |text| {
        text.extend(name.chars().map(|character| character.to_ascii_lowercase()));
    });
}

fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.contains(':') =>
        {
            name
        }
        _ => host,
    }
}

/// Sets method, target and version from a request line. False when the text
/// is none; nothing is set then.
pub(crate) fn set_request_line<'a>(event: &mut Event, line: &'a str) -> Option<Origin<'a>> {
    const LONGEST_METHOD: usize = 32;
    let is_method = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'_');
    let end = line
        .bytes()
        .take(LONGEST_METHOD)
        .position(|byte| !is_method(byte))
        .filter(|end| *end > 0)?;
    let (method, rest) = line.split_at_checked(end)?;
    let rest = rest.strip_prefix(' ')?;
    let (target, version) = split_version(rest);
    if target.is_empty() {
        return None;
    }
    event.set(Field::HttpRequestMethod, method);
    event.set(Field::HttpVersion, version);
    Some(set_target(event, method, target))
}

/// Splits ` HTTP/1.1` off a request line; HTTP/0.9 has none.
fn split_version(rest: &str) -> (&str, &str) {
    const LENGTH: usize = " HTTP/1.1".len();
    let usual = rest
        .len()
        .checked_sub(LENGTH)
        .filter(|at| rest.as_bytes().get(*at) == Some(&b' '));
    let blank = usual.or_else(|| memchr::memrchr(b' ', rest.as_bytes()));
    match blank.and_then(|at| rest.split_at_checked(at)) {
        Some((target, version)) if let Some(version) = version.strip_prefix(" HTTP/") => {
            (target, version)
        }
        _ => (rest, "0.9"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(target: &str) -> (Option<String>, Option<String>, Option<String>) {
        let mut event = Event::new();
        set_target(&mut event, "GET", target);
        let text = |field| event.get(field).map(str::to_owned);
        (
            text(Field::UrlOriginal),
            text(Field::UrlPath),
            text(Field::UrlQuery),
        )
    }

    fn path(target: &str) -> String {
        parsed(target).1.unwrap()
    }

    #[test]
    fn paths_are_those_nginx_would_match() {
        for (target, expected) in [
            ("/", "/"),
            ("/a/b", "/a/b"),
            ("//a///b/", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/../../etc", "/etc"),
            ("/a%2F..%2fb", "/b"),
            ("/%61dm%69n", "/admin"),
            ("/zo%C3%AB", "/zoë"),
            ("/%ff%zz%", "/%FF%zz%"),
            ("/%2e%2e/x", "/x"),
            ("/%252e", "/%2e"),
            ("/.hidden/..x/...", "/.hidden/..x/..."),
            ("http://h/a//b?x", "/a/b"),
            ("http://h", "/"),
            ("/p;jsessionid=1/../q", "/p;jsessionid=REDACTED"),
        ] {
            assert_eq!(path(target), expected, "{target}");
        }
    }

    #[test]
    fn secrets_are_in_no_field() {
        let (original, path, query) =
            parsed("https://joe:pw@Host/a%20b?token=SECRET&x=1#code=SECRET");
        assert_eq!(
            original.as_deref(),
            Some("https://Host/a%20b?token=REDACTED&x=1#code=REDACTED")
        );
        assert_eq!(path.as_deref(), Some("/a b"));
        assert_eq!(query.as_deref(), Some("token=REDACTED&x=1"));
    }

    #[test]
    fn request_lines_of_every_version() {
        for (line, method, target, version) in [
            ("GET / HTTP/1.1", "GET", "/", "1.1"),
            ("GET /a b HTTP/2.0", "GET", "/a b", "2.0"),
            ("GET /old", "GET", "/old", "0.9"),
            ("PROPFIND /x HTTP/3.0", "PROPFIND", "/x", "3.0"),
            ("CONNECT h:443 HTTP/1.1", "CONNECT", "h:443", "1.1"),
            ("OPTIONS * HTTP/1.1", "OPTIONS", "*", "1.1"),
        ] {
            let mut event = Event::new();
            assert!(set_request_line(&mut event, line).is_some(), "{line}");
            assert_eq!(event.get(Field::HttpRequestMethod), Some(method));
            assert_eq!(event.get(Field::UrlOriginal), Some(target));
            assert_eq!(event.get(Field::HttpVersion), Some(version));
        }
        for line in ["", "-", "GET", "\u{16}\u{3}\u{1} x", "GET ", " / HTTP/1.1"] {
            assert_eq!(set_request_line(&mut Event::new(), line), None, "{line}");
        }
    }

    #[test]
    fn hosts_lose_port_and_case() {
        for (host, expected) in [
            ("Example.ORG:8443", "example.org"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("h", "h"),
        ] {
            let mut event = Event::new();
            set_domain(&mut event, host);
            assert_eq!(event.get(Field::UrlDomain), Some(expected));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn normal_paths_are_rooted_and_free_of_dots(target in "/[a-c./%2eEfF]{0,40}") {
            let path = path(&target);
            prop_assert!(path.starts_with('/'));
            prop_assert!(!path.contains("//"));
            prop_assert!(!path.split('/').any(|segment| segment == "." || segment == ".."));
        }

        #[test]
        fn every_target_gives_an_original(target in "\\PC{1,80}") {
            prop_assert!(parsed(&target).0.is_some());
        }
    }
}
