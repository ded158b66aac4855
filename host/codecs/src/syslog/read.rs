//! Reading, as tolerant as senders require.

use super::SyslogMessage;
use crate::time::{self, Civil, Digits};

/// Why a record is no syslog message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyslogError {
    /// Not `<0>` to `<191>`.
    #[error("no syslog priority at the start; expected `<0>` to `<191>`")]
    Priority,
}

/// Takes one record apart, whichever RFC it follows. RFC 3164 has no year and
/// no zone: the year is chosen so that the time is nearest to `received`
/// (milliseconds since the epoch), the zone is `offset_seconds` east of UTC.
/// A record without time and host is all message, as some senders have it.
///
/// # Errors
/// The record does not start with a priority.
pub fn decode(
    record: &[u8],
    received: i64,
    offset_seconds: i32,
) -> Result<SyslogMessage<'_>, SyslogError> {
    let (priority, rest) = priority(record).ok_or(SyslogError::Priority)?;
    let mut message = SyslogMessage {
        facility: priority / 8,
        severity: priority % 8,
        time: None,
        hostname: "",
        app_name: "",
        process_id: "",
        message_id: "",
        structured_data: "",
        message: rest,
    };
    if read_5424(rest, &mut message).is_none() {
        read_3164(rest, &mut message, received, i64::from(offset_seconds));
    }
    message.message = trimmed(message.message);
    Ok(message)
}

fn priority(record: &[u8]) -> Option<(u8, &[u8])> {
    let inner = record.strip_prefix(b"<")?;
    let end = inner.iter().take(4).position(|byte| *byte == b'>')?;
    let (digits, rest) = inner.split_at_checked(end)?;
    let value: u8 = std::str::from_utf8(digits)
        .ok()
        .filter(|text| !text.starts_with('+'))?
        .parse()
        .ok()?;
    (value <= 191).then_some((value, rest.strip_prefix(b">")?))
}

fn trimmed(message: &[u8]) -> &[u8] {
    let mut message = message.strip_prefix(b"\xef\xbb\xbf").unwrap_or(message);
    while let [head @ .., b'\n' | b'\r' | 0] = message {
        message = head;
    }
    message
}

/// The text up to the next blank, and what follows the blank.
fn word(rest: &[u8]) -> Option<(&str, &[u8])> {
    let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
    let (word, after) = rest.split_at_checked(end)?;
    Some((
        std::str::from_utf8(word).ok()?,
        after.strip_prefix(b" ").unwrap_or(after),
    ))
}

fn read_5424<'a>(rest: &'a [u8], message: &mut SyslogMessage<'a>) -> Option<()> {
    let nil = |text: &'a str| if text == "-" { "" } else { text };
    let (time, rest) = word(rest.strip_prefix(b"1 ")?)?;
    let time = if time == "-" {
        None
    } else {
        Some(time::parse_iso(time)?)
    };
    let (hostname, rest) = word(rest)?;
    let (app_name, rest) = word(rest)?;
    let (process_id, rest) = word(rest)?;
    let (message_id, rest) = word(rest)?;
    let length = structured_length(rest)?;
    let (structured, rest) = rest.split_at_checked(length)?;
    *message = SyslogMessage {
        time,
        hostname: nil(hostname),
        app_name: nil(app_name),
        process_id: nil(process_id),
        message_id: nil(message_id),
        structured_data: nil(std::str::from_utf8(structured).ok()?),
        message: rest.strip_prefix(b" ").unwrap_or(rest),
        ..*message
    };
    Some(())
}

/// Length of `-` or of `[…][…]`, quotes and escapes heeded.
fn structured_length(rest: &[u8]) -> Option<usize> {
    if let [b'-', tail @ ..] = rest {
        return matches!(tail.first(), None | Some(b' ')).then_some(1);
    }
    let (mut inside, mut quoted, mut escaped) = (false, false, false);
    for (at, byte) in rest.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if inside => quoted = !quoted,
            _ if quoted => {}
            b'[' if !inside => inside = true,
            b']' if inside => inside = false,
            _ if inside => {}
            _ => return (at > 0).then_some(at),
        }
    }
    (!inside && !rest.is_empty()).then_some(rest.len())
}

/// Parameters of structured data as (element, name, value), unescaped; what
/// is malformed ends the list.
#[must_use]
pub fn structured_params(structured_data: &str) -> Vec<(String, String, String)> {
    let mut params = Vec::new();
    let mut rest = structured_data;
    while let Some(element) = rest.strip_prefix('[') {
        let Some(end) = element.find([' ', ']']) else {
            return params;
        };
        let (id, mut inner) = element.split_at_checked(end).unwrap_or((element, ""));
        while let Some(pair) = inner.strip_prefix(' ') {
            let Some((name, value)) = pair.split_once("=\"") else {
                return params;
            };
            let Some((value, after)) = param_value(value) else {
                return params;
            };
            params.push((id.to_owned(), name.to_owned(), value));
            inner = after;
        }
        rest = inner.strip_prefix(']').unwrap_or_default();
    }
    params
}

fn param_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return Some((value, characters.as_str())),
            '\\' => match characters.next()? {
                escaped @ ('"' | '\\' | ']') => value.push(escaped),
                other => value.extend(['\\', other]),
            },
            _ => value.push(character),
        }
    }
    None
}

fn read_3164<'a>(rest: &'a [u8], message: &mut SyslogMessage<'a>, received: i64, offset: i64) {
    // Mattermost writes a blank after the priority.
    let start = rest.strip_prefix(b" ").unwrap_or(rest);
    let Some((time, rest)) = short_time(start, received, offset).or_else(|| iso_time(start)) else {
        return;
    };
    message.time = Some(time);
    message.message = rest;
    let Some((first, after)) = word(rest) else {
        return;
    };
    // Local senders leave the host name out: the first word is the tag then.
    let (host, rest) = if first.ends_with(':') || first.contains('[') {
        ("", rest)
    } else {
        (first, after)
    };
    message.hostname = host;
    message.message = rest;
    if let Some((tag, process, text)) = tag(rest) {
        (message.app_name, message.process_id, message.message) = (tag, process, text);
    }
}

/// `tag: ` or `tag[process]: ` at the start of a message.
fn tag(rest: &[u8]) -> Option<(&str, &str, &[u8])> {
    let is_tag =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/');
    let end = rest
        .iter()
        .take(64)
        .position(|byte| !is_tag(byte))
        .filter(|end| *end > 0)?;
    let (tag, after) = rest.split_at_checked(end)?;
    let (process, after) = match after.strip_prefix(b"[") {
        Some(inner) => {
            let end = inner.iter().take(64).position(|byte| *byte == b']')?;
            let (process, after) = inner.split_at_checked(end)?;
            (process, after.strip_prefix(b"]")?)
        }
        None => (&[][..], after),
    };
    let text = after.strip_prefix(b":")?;
    let text = text.strip_prefix(b" ").unwrap_or(text);
    Some((
        std::str::from_utf8(tag).ok()?,
        std::str::from_utf8(process).ok()?,
        text,
    ))
}

/// `Nov 21 01:02:03 `, the day padded with a blank.
fn short_time(rest: &[u8], received: i64, offset: i64) -> Option<(i64, &[u8])> {
    let (head, rest) = rest.split_at_checked(15)?;
    let mut digits = Digits(std::str::from_utf8(head).ok()?);
    let mut civil = Civil {
        month: time::month(digits.text(3)?)?,
        offset,
        ..Civil::default()
    };
    digits.fixed(" ")?;
    civil.day = digits.text(2)?.trim_start().parse().ok()?;
    digits.fixed(" ")?;
    digits.clock(&mut civil)?;
    let year = Civil::from_epoch(received, offset).year;
    let candidates = [year - 1, year, year + 1]
        .into_iter()
        .filter_map(|year| Civil { year, ..civil }.epoch());
    let nearest = candidates.min_by_key(|time| time.abs_diff(received))?;
    Some((nearest, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// RFC 3339 in place of the short time, as rsyslog forwards it.
fn iso_time(rest: &[u8]) -> Option<(i64, &[u8])> {
    let (time, after) = word(rest)?;
    Some((time::parse_iso(time)?, after))
}
