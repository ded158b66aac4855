//! An event as bytes that outlive the process.
//!
//! Only what can be read is written: bytes of fields that were replaced or
//! removed (a secret, say) stay behind. A field that is part of the one
//! written before it (a path of its URL) costs its place only. Fields go by
//! [`Field::code`], which does not change when fields are added.

use std::net::IpAddr;

use super::{ABSENT, Event, Keys, Location, Span};
use crate::activity::Activity;
use crate::field::Field;
use crate::network::NetworkKind;
use crate::record::{Dictionary, Shared};
use crate::wire::{Reader, put_bytes, put_integer, put_signed};

const SUPPRESSED: u32 = 1;
const TRUNCATED: u32 = 1 << 1;
const LOSSY: u32 = 1 << 2;
const RESPONSE_BYTES: u32 = 1 << 3;
const SOURCE_IP: u32 = 1 << 4;
const PEER_IP: u32 = 1 << 5;
const LOCATION: u32 = 1 << 6;
const SEVERITY: u32 = 1 << 7;
const KEYS: u32 = 1 << 8;
const ANNOTATION: u32 = 1 << 9;
const SOURCE: u32 = 1 << 10;
const MIRRORED: u32 = 1 << 11;

fn put_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        IpAddr::V6(address) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
    }
}

fn address(reader: &mut Reader<'_>) -> Option<IpAddr> {
    match reader.byte()? {
        4 => reader.array::<4>().map(IpAddr::from),
        6 => reader.array::<16>().map(IpAddr::from),
        _ => None,
    }
}

impl Event {
    /// Appends the event; what it shares with others goes to `dictionary`.
    pub(crate) fn write(&self, dictionary: &mut Dictionary, out: &mut Vec<u8>) {
        let flag = |present: bool, flag: u32| if present { flag } else { 0 };
        let flags = flag(self.suppressed, SUPPRESSED)
            | flag(self.truncated, TRUNCATED)
            | flag(self.lossy, LOSSY)
            | flag(self.response_bytes.is_some(), RESPONSE_BYTES)
            | flag(self.source_ip.is_some(), SOURCE_IP)
            | flag(self.peer_ip.is_some(), PEER_IP)
            | flag(self.location.is_some(), LOCATION)
            | flag(self.severity.is_some(), SEVERITY)
            | flag(self.keys != Keys::default(), KEYS)
            | flag(self.annotation.is_some(), ANNOTATION)
            | flag(self.source.is_some(), SOURCE)
            | flag(self.mirrored, MIRRORED);
        put_integer(out, flags.into());
        out.extend_from_slice(&self.id.to_le_bytes());
        put_signed(out, self.time);
        put_signed(out, self.received.wrapping_sub(self.time));
        for number in [
            self.status.into(),
            self.source_port.into(),
            self.server_port.into(),
            self.as_number,
        ] {
            put_integer(out, number.into());
        }
        out.push(self.network_kind as u8);
        out.push(self.activity as u8);
        self.write_optional(dictionary, out);
        self.write_texts(out);
    }

    fn write_optional(&self, dictionary: &mut Dictionary, out: &mut Vec<u8>) {
        if let Some(bytes) = self.response_bytes {
            put_integer(out, bytes);
        }
        for address in [self.source_ip, self.peer_ip].into_iter().flatten() {
            put_address(out, address);
        }
        if let Some(location) = self.location {
            out.extend_from_slice(&location.latitude.to_le_bytes());
            out.extend_from_slice(&location.longitude.to_le_bytes());
            out.extend_from_slice(&location.accuracy_km.to_le_bytes());
        }
        out.extend(self.severity);
        if self.keys != Keys::default() {
            let Keys {
                user,
                session,
                device,
                user_agent,
            } = self.keys;
            for key in [user, session, device, user_agent] {
                out.extend_from_slice(&key.to_le_bytes());
            }
        }
        if let Some(annotation) = &self.annotation {
            put_integer(out, dictionary.annotation(annotation));
        }
        if let Some(source) = &self.source {
            put_integer(out, dictionary.text(source));
        }
    }

    fn write_texts(&self, out: &mut Vec<u8>) {
        let count = self.spans.iter().filter(|span| **span != ABSENT).count();
        put_integer(out, count as u64);
        let mut whole = ABSENT;
        for ((field, _), span) in Field::ALL.iter().zip(&self.spans) {
            if *span == ABSENT {
                continue;
            }
            out.extend_from_slice(&field.code().to_le_bytes());
            let inside = whole != ABSENT
                && span.start >= whole.start
                && span.start + span.length <= whole.start + whole.length;
            if inside {
                put_integer(out, u64::from(span.length) << 1 | 1);
                put_integer(out, u64::from(span.start - whole.start));
                continue;
            }
            let text = self.own(*field).unwrap_or_default();
            put_integer(out, (text.len() as u64) << 1);
            out.extend_from_slice(text.as_bytes());
            whole = *span;
        }
        put_integer(out, self.labels.len() as u64);
        for (name, value) in &self.labels {
            put_bytes(out, name.as_bytes());
            put_bytes(out, value.as_bytes());
        }
    }

    /// Reads what [`Event::write`] wrote.
    pub(crate) fn read(reader: &mut Reader<'_>, shared: &Shared) -> Option<Self> {
        let flags: u32 = reader.number()?;
        let has = |flag: u32| flags & flag != 0;
        let mut event = Self {
            suppressed: has(SUPPRESSED),
            truncated: has(TRUNCATED),
            lossy: has(LOSSY),
            mirrored: has(MIRRORED),
            id: u128::from_le_bytes(reader.array()?),
            ..Self::default()
        };
        event.time = reader.signed()?;
        event.received = event.time.wrapping_add(reader.signed()?);
        event.status = reader.number()?;
        event.source_port = reader.number()?;
        event.server_port = reader.number()?;
        event.as_number = reader.number()?;
        // A kind of a later release reads as unknown.
        let kind = usize::from(reader.byte()?);
        event.network_kind = NetworkKind::ALL.get(kind).copied().unwrap_or_default();
        let activity = usize::from(reader.byte()?);
        event.activity = Activity::ALL.get(activity).copied().unwrap_or_default();
        event.read_optional(reader, shared, &has)?;
        event.read_texts(reader)?;
        Some(event)
    }

    fn read_optional(
        &mut self,
        reader: &mut Reader<'_>,
        shared: &Shared,
        has: &impl Fn(u32) -> bool,
    ) -> Option<()> {
        if has(RESPONSE_BYTES) {
            self.response_bytes = Some(reader.integer()?);
        }
        if has(SOURCE_IP) {
            self.source_ip = Some(address(reader)?);
        }
        if has(PEER_IP) {
            self.peer_ip = Some(address(reader)?);
        }
        if has(LOCATION) {
            self.location = Some(Location {
                latitude: f64::from_le_bytes(reader.array()?),
                longitude: f64::from_le_bytes(reader.array()?),
                accuracy_km: f32::from_le_bytes(reader.array()?),
            });
        }
        if has(SEVERITY) {
            self.severity = Some(reader.byte()?);
        }
        if has(KEYS) {
            let mut key = || reader.array().map(u64::from_le_bytes);
            self.keys = Keys {
                user: key()?,
                session: key()?,
                device: key()?,
                user_agent: key()?,
            };
        }
        if has(ANNOTATION) {
            self.annotation = Some(shared.annotation(reader.integer()?)?);
        }
        if has(SOURCE) {
            self.source = Some(shared.text(reader.integer()?)?);
        }
        Some(())
    }

    fn read_texts(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let mut whole = None;
        for _ in 0..reader.count()? {
            let field = Field::from_code(u16::from_le_bytes(reader.array()?));
            let header = reader.integer()?;
            let length = usize::try_from(header >> 1).ok()?;
            if header & 1 == 0 {
                let text = std::str::from_utf8(reader.take(length)?).ok()?;
                let start = u32::try_from(self.text.len()).ok()?;
                self.text.push_str(text);
                whole = Some((start, text.len()));
                self.place(field, start, text.len())?;
            } else {
                let offset: usize = reader.number()?;
                let (start, limit) = whole?;
                offset.checked_add(length).filter(|end| *end <= limit)?;
                let start = start.checked_add(u32::try_from(offset).ok()?)?;
                self.place(field, start, length)?;
            }
        }
        for _ in 0..reader.count()? {
            let (name, value) = (reader.text()?, reader.text()?);
            self.labels.push((name.into(), value.into()));
        }
        Some(())
    }

    /// Makes a stretch of the text a field; one unknown to this release is
    /// left out.
    fn place(&mut self, field: Option<Field>, start: u32, length: usize) -> Option<()> {
        let length = u32::try_from(length).ok()?;
        if let Some(slot) = field.and_then(|field| self.spans.get_mut(field as usize)) {
            *slot = Span { start, length };
        }
        Some(())
    }
}
