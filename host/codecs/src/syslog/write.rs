//! Writing, as strict as receivers require.

use super::SyslogHeader;
use crate::time::{Civil, padded, write_rfc3339};

/// Severity 0 to 7 of RFC 5424 for one of 0 to 10 as in CEF.
#[must_use]
pub fn severity_of(severity: u8) -> u8 {
    match severity {
        9.. => 2,
        7..=8 => 3,
        4..=6 => 4,
        1..=3 => 5,
        0 => 6,
    }
}

/// Appends an RFC 5424 message. Control characters in `message` are replaced
/// visibly, so the result holds no line end whatever it is framed with.
pub fn encode_5424(header: &SyslogHeader<'_>, message: &[u8], out: &mut Vec<u8>) {
    let mut text = String::with_capacity(128);
    push_priority(header, &mut text);
    text.push_str("1 ");
    if header.time == 0 {
        text.push('-');
    } else {
        write_rfc3339(header.time, &mut text);
    }
    for (word, longest) in [
        (header.hostname, 255),
        (header.app_name, 48),
        (header.process_id, 128),
        (header.message_id, 32),
    ] {
        text.push(' ');
        push_word(word, longest, |_| true, &mut text);
    }
    text.push(' ');
    if header.structured_data.is_empty() {
        text.push('-');
    }
    for element in header.structured_data {
        text.push('[');
        push_word(element.id, 32, is_name, &mut text);
        for (name, value) in element.params {
            text.push(' ');
            push_word(name, 32, is_name, &mut text);
            text.push_str("=\"");
            push_param(value, &mut text);
            text.push('"');
        }
        text.push(']');
    }
    text.push(' ');
    out.extend_from_slice(text.as_bytes());
    push_message(message, out);
}

/// Appends an RFC 3164 message, `app_name[process_id]:` being the tag; the
/// time is written in the zone `offset_seconds` east of UTC.
pub fn encode_3164(
    header: &SyslogHeader<'_>,
    offset_seconds: i32,
    message: &[u8],
    out: &mut Vec<u8>,
) {
    let mut text = String::with_capacity(96);
    push_priority(header, &mut text);
    let time = Civil::from_epoch(header.time, i64::from(offset_seconds));
    text.push_str(time.month_name());
    text.push_str(if time.day < 10 { "  " } else { " " });
    padded(time.day, 1, &mut text);
    for (before, value) in [(' ', time.hour), (':', time.minute), (':', time.second)] {
        text.push(before);
        padded(value, 2, &mut text);
    }
    text.push(' ');
    push_word(
        header.hostname,
        255,
        |byte| byte != b':' && byte != b'[',
        &mut text,
    );
    text.push(' ');
    push_word(header.app_name, 32, is_tag, &mut text);
    if !header.process_id.is_empty() {
        text.push('[');
        push_word(header.process_id, 32, is_tag, &mut text);
        text.push(']');
    }
    text.push_str(": ");
    out.extend_from_slice(text.as_bytes());
    push_message(message, out);
}

fn push_priority(header: &SyslogHeader<'_>, text: &mut String) {
    text.push('<');
    padded(
        u32::from(header.facility.min(23)) * 8 + u32::from(header.severity.min(7)),
        1,
        text,
    );
    text.push('>');
}

fn is_name(byte: u8) -> bool {
    !matches!(byte, b'=' | b']' | b'"')
}

fn is_tag(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}

/// Appends printable ASCII; `-` for nothing, `_` for what is not allowed.
fn push_word(word: &str, longest: usize, allowed: impl Fn(u8) -> bool, text: &mut String) {
    if word.is_empty() {
        text.push('-');
    }
    text.extend(word.bytes().take(longest).map(|byte| {
        if byte.is_ascii_graphic() && allowed(byte) {
            char::from(byte)
        } else {
            '_'
        }
    }));
}

fn push_param(value: &str, text: &mut String) {
    for character in value.chars() {
        match character {
            '"' | '\\' | ']' => text.extend(['\\', character]),
            _ if character.is_ascii_control() => {
                push_octal(character as u8, |digit| text.push(char::from(digit)));
            }
            _ => text.push(character),
        }
    }
}

fn push_message(message: &[u8], out: &mut Vec<u8>) {
    for byte in message {
        if byte.is_ascii_control() {
            push_octal(*byte, |digit| out.push(digit));
        } else {
            out.push(*byte);
        }
    }
}

/// `#012` for a line feed.
fn push_octal(byte: u8, mut push: impl FnMut(u8)) {
    push(b'#');
    for shift in [6, 3, 0] {
        push(b'0' + (byte >> shift & 7));
    }
}
