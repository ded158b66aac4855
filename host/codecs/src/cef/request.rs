//! The short layout: one web request, with the keys, the order and the time
//! format that consumers of auditmatica's records know.
//!
//! `cs1Label cs1 rt requestMethod request src suser msg`; a key whose value the
//! event does not have is left out. `rt` is UTC.

use std::io::Write as _;
use std::net::IpAddr;

use sidewatch_event::{Event, Field};

use super::CefSettings;
use super::write::{class_and_name, event_time};
use crate::text::{is_unsafe, push_visible};
use crate::time::Civil;

/// Appends one record, without a line end.
pub(super) fn write(event: &Event, severity: u8, settings: &CefSettings, out: &mut Vec<u8>) {
    let (class, name) = class_and_name(event);
    let product = event
        .get(Field::ObserverProduct)
        .filter(|text| !text.is_empty())
        .unwrap_or(&settings.product);
    out.extend_from_slice(b"CEF:0|");
    for field in [&settings.vendor, product, &settings.version, class, name] {
        push(field, b'|', out);
        out.push(b'|');
    }
    out.extend_from_slice(itoa::Buffer::new().format(severity.min(10)).as_bytes());
    out.push(b'|');
    let start = out.len();
    if let Some(agent) = present(event, Field::UserAgentOriginal) {
        out.extend_from_slice(b"cs1Label=requestClientApplication cs1=");
        push(agent, b'=', out);
    }
    key(" rt=", start, out);
    push_time(event_time(event), out);
    for (name, field) in [
        (" requestMethod=", Field::HttpRequestMethod),
        (" request=", Field::UrlOriginal),
    ] {
        pair(event, name, field, out);
    }
    if let Some(address) = event.source_ip.or(event.peer_ip) {
        out.extend_from_slice(b" src=");
        push_address(address, out);
    }
    for (name, field) in [(" suser=", Field::UserName), (" msg=", Field::Message)] {
        pair(event, name, field, out);
    }
}

fn present(event: &Event, field: Field) -> Option<&str> {
    event.get(field).filter(|text| !text.is_empty())
}

fn pair(event: &Event, name: &str, field: Field, out: &mut Vec<u8>) {
    if let Some(text) = present(event, field) {
        out.extend_from_slice(name.as_bytes());
        push(text, b'=', out);
    }
}

/// Appends a key, without its blank at the start of the extension.
fn key(name: &str, start: usize, out: &mut Vec<u8>) {
    let name = if out.len() == start {
        name.trim_start()
    } else {
        name
    };
    out.extend_from_slice(name.as_bytes());
}

/// Appends a text with `\` and `special` escaped. Most texts need nothing.
fn push(text: &str, special: u8, out: &mut Vec<u8>) {
    // No early exit, so that it compiles to vector instructions.
    let is_odd = |byte: u8| !(0x20..0x7f).contains(&byte) | (byte == b'\\') | (byte == special);
    if text.bytes().fold(false, |odd, byte| odd | is_odd(byte)) {
        push_escaped(text, special, out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

fn push_escaped(text: &str, special: u8, out: &mut Vec<u8>) {
    let in_header = special == b'|';
    let mut visible = String::new();
    for character in text.chars() {
        match character {
            '\n' if !in_header => out.extend_from_slice(b"\\n"),
            '\r' if !in_header => out.extend_from_slice(b"\\r"),
            _ if character == '\\' || character == char::from(special) => {
                out.push(b'\\');
                out.extend(u8::try_from(character));
            }
            _ if is_unsafe(character) => {
                visible.clear();
                push_visible(character, &mut visible);
                out.extend_from_slice(visible.as_bytes());
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// `Nov 21 2026 01:02:03`, UTC.
fn push_time(milliseconds: i64, out: &mut Vec<u8>) {
    let civil = Civil::from_epoch(milliseconds, 0);
    out.extend_from_slice(civil.month_name().as_bytes());
    let year = civil.year.unsigned_abs();
    for (before, value) in [
        (b' ', civil.day),
        (b' ', year / 100),
        (0, year),
        (b' ', civil.hour),
        (b':', civil.minute),
        (b':', civil.second),
    ] {
        if before != 0 {
            out.push(before);
        }
        out.extend(
            [value / 10 % 10, value % 10].map(|digit| b'0' + u8::try_from(digit).unwrap_or(0)),
        );
    }
}

fn push_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let mut dot = false;
            for octet in address.octets() {
                if dot {
                    out.push(b'.');
                }
                dot = true;
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
        }
        // Writing into memory cannot fail.
        IpAddr::V6(address) => write!(out, "{address}").unwrap_or_default(),
    }
}
