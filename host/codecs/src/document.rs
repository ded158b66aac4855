//! Writing one JSON object on one line from dotted names.
//!
//! Shared by every encoder that writes JSON: [`write_nested`] for names known
//! only at run time, [`Layout`] for those that never change. Every text is
//! escaped so that the line holds no line end, control or bidirectional
//! character of any kind; escapes are lossless.

mod layout;

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::net::IpAddr;

use sidewatch_event::{Event, Evidence, EvidenceValue};

use crate::text::is_unsafe;
use crate::time::write_rfc3339;

pub(crate) use layout::Layout;

/// A value on its way into the object.
pub(crate) enum Value<'a> {
    Text(&'a str),
    /// Comma-separated, written as an array.
    List(&'a str),
    Unsigned(u64),
    Real(f64),
    Time(i64),
    Address(IpAddr),
    Point(f64, f64),
    True,
    Flag(bool),
    /// Any texts, written as an array.
    Words(Vec<Cow<'a, str>>),
    /// Put together for this record.
    Owned(String),
    /// 32 hexadecimal digits.
    Id(u128),
    /// 16 hexadecimal digits: too large for readers that know only floats.
    Incident(u64),
    Labels(&'a Event),
    /// Labels without a place of their own; dots become underscores, because
    /// readers take them for objects.
    FlatLabels(&'a Event),
    Evidence(&'a [Evidence]),
}

/// Names and values, sorted before they are written.
pub(crate) type Entries<'a> = Vec<(&'a str, Value<'a>)>;

/// Writes sorted dotted names as nested objects: those of one object stand
/// together, because a dot sorts before every letter.
pub(crate) fn write_nested<'n>(
    entries: impl IntoIterator<Item = (&'n str, Value<'n>)>,
    out: &mut String,
) {
    let mut before = "";
    let mut first = true;
    out.push('{');
    for (name, value) in entries {
        // Mostly the next name lies in the same object.
        let beside = name
            .strip_prefix(before)
            .and_then(|rest| rest.strip_prefix('.'))
            .filter(|rest| memchr::memchr(b'.', rest.as_bytes()).is_none());
        let leaf = if let Some(leaf) = beside {
            leaf
        } else {
            let (parents, leaf) = name.rsplit_once('.').unwrap_or(("", name));
            first = write_way(before, parents, first, out);
            before = parents;
            leaf
        };
        write_key(leaf, first, out);
        first = false;
        write_value(&value, out);
    }
    out.extend(segments(before).map(|_| '}'));
    out.push('}');
}

/// Leaves the objects of one path for those of another; whether the next key
/// is the first of its object, as it is when it was before.
fn write_way(from: &str, to: &str, mut first: bool, out: &mut String) -> bool {
    let (leave, enter) = beyond_shared(from, to);
    for _ in segments(leave) {
        out.push('}');
        first = false;
    }
    for parent in segments(enter) {
        write_key(parent, first, out);
        out.push('{');
        first = true;
    }
    first
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('.').filter(|part| !part.is_empty())
}

/// What two paths have after the segments both begin with.
fn beyond_shared<'a>(from: &'a str, to: &'a str) -> (&'a str, &'a str) {
    let same = from.bytes().zip(to.bytes()).take_while(|(a, b)| a == b);
    let same = same.count();
    let ends = |path: &str| path.as_bytes().get(same).is_none_or(|byte| *byte == b'.');
    let shared = if ends(from) && ends(to) {
        same
    } else {
        let common = from.as_bytes().get(..same).unwrap_or_default();
        memchr::memrchr(b'.', common).unwrap_or(0)
    };
    let after = |path: &'a str| path.get(shared..).unwrap_or_default();
    (after(from), after(to))
}

pub(crate) fn write_key(key: &str, first: bool, out: &mut String) {
    if !first {
        out.push(',');
    }
    write_text(key, out);
    out.push(':');
}

pub(crate) fn write_value(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Text(text) => write_text(text, out),
        Value::List(list) => {
            for (at, item) in list.split(',').filter(|item| !item.is_empty()).enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                write_text(item, out);
            }
            out.push_str(if list.split(',').all(str::is_empty) {
                "[]"
            } else {
                "]"
            });
        }
        Value::Unsigned(number) => out.push_str(itoa::Buffer::new().format(*number)),
        Value::Real(number) => write_real(*number, out),
        Value::Time(time) => {
            out.push('"');
            write_rfc3339(*time, out);
            out.push('"');
        }
        Value::Address(address) => write_plain(format_args!("\"{address}\""), out),
        Value::Point(latitude, longitude) => write_point(*latitude, *longitude, out),
        Value::True => out.push_str("true"),
        Value::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Owned(text) => write_text(text, out),
        Value::Words(words) => {
            out.push('[');
            for (at, word) in words.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_text(word, out);
            }
            out.push(']');
        }
        Value::Id(id) => write_plain(format_args!("\"{id:032x}\""), out),
        Value::Incident(incident) => write_plain(format_args!("\"{incident:016x}\""), out),
        Value::Labels(event) => {
            out.push('{');
            for (at, (name, text)) in event.labels().enumerate() {
                write_key(name, at == 0, out);
                write_text(text, out);
            }
            out.push('}');
        }
        Value::FlatLabels(event) => write_flat_labels(event, out),
        Value::Evidence(evidence) => write_evidence(evidence, out),
    }
}

fn write_flat_labels(event: &Event, out: &mut String) {
    out.push('{');
    let mut seen: Vec<String> = Vec::new();
    for (name, text) in event.labels() {
        if name.starts_with("mattermost.audit.") || text.is_empty() {
            continue;
        }
        let name = name.replace('.', "_");
        if !seen.contains(&name) {
            write_key(&name, seen.is_empty(), out);
            write_text(text, out);
            seen.push(name);
        }
    }
    out.push('}');
}

/// A name a rule uses twice gets a number, so that no reader drops one.
fn write_evidence(evidence: &[Evidence], out: &mut String) {
    out.push('{');
    for (at, item) in evidence.iter().enumerate() {
        let before = evidence
            .iter()
            .take(at)
            .filter(|other| other.name == item.name)
            .count();
        if before == 0 {
            write_key(&item.name, at == 0, out);
        } else {
            write_key(&format!("{}_{}", item.name, before + 1), false, out);
        }
        match &item.value {
            EvidenceValue::Text(text) => write_text(text, out),
            EvidenceValue::Integer(number) => out.push_str(itoa::Buffer::new().format(*number)),
            EvidenceValue::Real(number) => write_real(*number, out),
            EvidenceValue::Time(time) => write_value(&Value::Time(*time), out),
            EvidenceValue::Address(address) => write_value(&Value::Address(*address), out),
            EvidenceValue::Coordinates(latitude, longitude) => {
                write_point(*latitude, *longitude, out);
            }
        }
    }
    out.push('}');
}

fn write_point(latitude: f64, longitude: f64, out: &mut String) {
    out.push_str("{\"lat\":");
    write_real(latitude, out);
    out.push_str(",\"lon\":");
    write_real(longitude, out);
    out.push('}');
}

/// JSON has no infinities: they become null.
pub(crate) fn write_real(number: f64, out: &mut String) {
    match serde_json::Number::from_f64(number) {
        Some(number) => write_plain(number, out),
        None => out.push_str("null"),
    }
}

/// What needs no escaping.
fn write_plain(value: impl Display, out: &mut String) {
    // Writing to a string does not fail.
    write!(out, "{value}").unwrap_or_default();
}

/// Whether a byte stands for itself in JSON and for nothing unsafe.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    // Without an early end the compiler looks at many bytes at once.
    if text
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
    {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut rest = text;
    loop {
        // Most texts hold nothing to be escaped; bytes are quicker to look at.
        let plain = rest
            .bytes()
            .position(|byte| !is_plain(byte))
            .unwrap_or(rest.len());
        let (before, after) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        out.push_str(before);
        let mut characters = after.chars();
        let Some(character) = characters.next() else {
            break;
        };
        write_character(character, out);
        rest = characters.as_str();
    }
    out.push('"');
}

fn write_character(character: char, out: &mut String) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if is_unsafe(character) => {
            out.push_str("\\u");
            let code = u32::from(character);
            for shift in [12, 8, 4, 0] {
                out.extend(char::from_digit(code >> shift & 15, 16));
            }
        }
        _ => out.push(character),
    }
}
