//! Values of one line become fields of one event.
//!
//! Several variables may tell the same thing (`$msec` and `$time_local`,
//! `$host` and `$server_name`): the more exact one wins, in whatever order the
//! format has them.

use std::net::IpAddr;

use sidewatch_event::{Event, Field};

use super::variable::Meaning;
use crate::pseudonym::PseudonymKey;
use crate::text::{Escape, unescape};
use crate::{DecodeError, redact, target, time};

/// One line being read.
pub(super) struct Line<'e> {
    event: &'e mut Event,
    escape: Escape,
    key: Option<&'e PseudonymKey>,
    time_rank: u8,
    domain_rank: u8,
    user_rank: u8,
    has_request: bool,
}

impl<'e> Line<'e> {
    pub(super) fn new(event: &'e mut Event, escape: Escape, key: Option<&'e PseudonymKey>) -> Self {
        Self {
            event,
            escape,
            key,
            time_rank: 0,
            domain_rank: 0,
            user_rank: 0,
            has_request: false,
        }
    }

    /// Takes one value over. `-` and nothing at all mean absent.
    pub(super) fn take(
        &mut self,
        meaning: &Meaning,
        name: &str,
        raw: &str,
        column: usize,
    ) -> Result<(), DecodeError> {
        if matches!(raw.as_bytes(), [] | [b'-']) {
            return Ok(());
        }
        let invalid = |expected| DecodeError::Field {
            column,
            field: name.into(),
            expected,
        };
        match meaning {
            Meaning::Dropped => {}
            Meaning::RemoteAddress => self
                .address(raw)
                .ok_or_else(|| invalid("an IP address or `unix:`"))?,
            Meaning::RealIpAddress => self.event.set(Field::SourceAddress, raw),
            Meaning::RemotePort => {
                self.event.source_port = raw.parse().map_err(|_| invalid("a port number"))?;
            }
            Meaning::ServerPort => {
                self.event.server_port = raw.parse().map_err(|_| invalid("a port number"))?;
            }
            Meaning::TimeLocal => {
                let expected = "a time like `21/Nov/2026:01:02:03 +0000`";
                self.time(1, time::parse_local(raw).ok_or_else(|| invalid(expected))?);
            }
            Meaning::TimeIso => {
                let expected = "a time like `2026-11-21T01:02:03+00:00`";
                self.time(2, time::parse_iso(raw).ok_or_else(|| invalid(expected))?);
            }
            Meaning::Msec => self.time(
                3,
                time::parse_epoch(raw).ok_or_else(|| invalid("seconds since 1970"))?,
            ),
            Meaning::AnyTime => {
                let parsed = time::parse_iso(raw)
                    .or_else(|| time::parse_local(raw))
                    .or_else(|| time::parse_epoch(raw));
                self.time(1, parsed.ok_or_else(|| invalid("a time with its zone"))?);
            }
            Meaning::Status => {
                self.event.status =
                    status(raw).ok_or_else(|| invalid("a status of three digits"))?;
            }
            Meaning::BodyBytes => {
                self.event.response_bytes =
                    Some(raw.parse().map_err(|_| invalid("a number of bytes"))?);
            }
            _ => self.text(meaning, raw),
        }
        Ok(())
    }

    /// Values that are text and therefore never wrong.
    fn text(&mut self, meaning: &Meaning, raw: &str) {
        let text = unescape(raw, self.escape, &mut self.event.lossy);
        match meaning {
            Meaning::Request => self.request(&text),
            Meaning::RequestUri => self.target(&text),
            Meaning::NormalUri if !self.has_request => {
                self.event
                    .set_with(Field::UrlPath, |out| redact::query(&text, out));
            }
            Meaning::Arguments if !self.has_request => {
                self.event
                    .set_with(Field::UrlQuery, |out| redact::query(&text, out));
            }
            Meaning::Method => self.event.set(Field::HttpRequestMethod, &text),
            Meaning::Protocol => {
                self.event.set(
                    Field::HttpVersion,
                    text.strip_prefix("HTTP/").unwrap_or(&text),
                );
            }
            Meaning::Scheme => self.event.set(Field::UrlScheme, &text),
            Meaning::Host => self.domain(2, &text),
            Meaning::ServerName => self.domain(1, &text),
            Meaning::RemoteUser => self.user(1, &text),
            Meaning::UpstreamUser => self.user(2, &text),
            Meaning::ChosenUser => self.user(3, &text),
            Meaning::Referrer => self
                .event
                .set_with(Field::HttpRequestReferrer, |out| redact::url(&text, out)),
            Meaning::Text(field) => self.event.set(*field, &text),
            Meaning::Session => {
                if let Some(key) = self.key {
                    self.event.set_with(Field::SessionId, |out| {
                        key.write("session", text.as_bytes(), out);
                    });
                }
            }
            Meaning::Label(name) => self.label(name, &text),
            _ => {}
        }
    }

    /// What remains to be done once all values are there.
    pub(super) fn finish(self, dataset: &str, forgeable: bool) {
        let event = self.event;
        event.set(Field::EventDataset, dataset);
        if forgeable {
            event.set(Field::SidewatchTrust, "low");
        }
        if event.time == 0 {
            event.time = event.received;
        }
        if event.own(Field::UrlOriginal).is_none() && event.own(Field::UrlPath).is_some() {
            let path = event.own(Field::UrlPath).unwrap_or_default();
            let original = match event.own(Field::UrlQuery) {
                Some(query) => format!("{path}?{query}"),
                None => path.to_owned(),
            };
            event.set(Field::UrlOriginal, &original);
        }
    }

    fn address(&mut self, raw: &str) -> Option<()> {
        match parse_address(raw) {
            Some(address) => self.event.peer_ip = Some(address),
            None if raw.starts_with("unix:") => self.event.set(Field::SourceAddress, raw),
            None => return None,
        }
        Some(())
    }

    fn time(&mut self, rank: u8, milliseconds: i64) {
        if rank > self.time_rank {
            self.time_rank = rank;
            self.event.time = milliseconds;
        }
    }

    fn request(&mut self, line: &str) {
        match target::set_request_line(self.event, line) {
            Some(origin) => self.origin(origin),
            // Garbage that nginx answered with 400: worth keeping, but no URL.
            None => self.label("nginx.request", line),
        }
    }

    fn target(&mut self, text: &str) {
        let origin = target::set_target(self.event, "", text);
        self.origin(origin);
    }

    fn origin(&mut self, origin: target::Origin<'_>) {
        self.has_request = true;
        if !origin.scheme.is_empty() {
            self.event.set(Field::UrlScheme, origin.scheme);
        }
        if !origin.authority.is_empty() {
            self.domain(3, origin.authority);
        }
    }

    fn domain(&mut self, rank: u8, host: &str) {
        if rank >= self.domain_rank {
            self.domain_rank = rank;
            target::set_domain(self.event, host);
        }
    }

    fn user(&mut self, rank: u8, name: &str) {
        if rank >= self.user_rank {
            self.user_rank = rank;
            self.event.set(Field::UserName, name);
        }
    }

    fn label(&mut self, name: &str, text: &str) {
        let mut clean = String::with_capacity(text.len());
        redact::url(text, &mut clean);
        self.event.set_label(name, &clean);
    }
}

/// Dotted decimal is read here because every line has one and the standard
/// library takes several times as long; all else is left to it.
fn parse_address(raw: &str) -> Option<IpAddr> {
    let mut octets = [0_u8; 4];
    let mut parts = raw.as_bytes().split(|byte| *byte == b'.');
    for octet in &mut octets {
        *octet = match parts.next() {
            Some([ones @ b'0'..=b'9']) => ones - b'0',
            Some([tens @ b'1'..=b'9', ones @ b'0'..=b'9']) => (tens - b'0') * 10 + (ones - b'0'),
            Some([b'1', tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => {
                100 + (tens - b'0') * 10 + (ones - b'0')
            }
            Some([b'2', tens @ b'0'..=b'4', ones @ b'0'..=b'9']) => {
                200 + (tens - b'0') * 10 + (ones - b'0')
            }
            _ => return raw.parse().ok(),
        };
    }
    if parts.next().is_some() {
        None
    } else {
        Some(octets.into())
    }
}

fn status(raw: &str) -> Option<u16> {
    if raw.len() != 3 || !raw.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    raw.parse().ok()
}
