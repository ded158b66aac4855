//! One normalised record.
//!
//! All texts of an event live in one string; a field is a span of it. Setting
//! a field appends, reading slices, and [`Event::clear`] keeps the capacity,
//! so a pooled event allocates nothing in the steady state.

use std::net::IpAddr;
use std::sync::Arc;

use crate::activity::Activity;
use crate::annotation::Annotation;
use crate::field::{Field, FieldName};
use crate::network::NetworkKind;

mod record;

/// Longest text a field keeps, in bytes. Longer texts are cut on a character
/// boundary and the event is flagged [`Event::truncated`].
pub const MAX_TEXT: usize = 16 * 1024;

/// Most labels an event keeps; further ones are dropped and flagged.
pub const MAX_LABELS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u32,
    length: u32,
}

const ABSENT: Span = Span {
    start: u32::MAX,
    length: 0,
};

/// Where an address or site is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// Radius within which the true place lies, in kilometres.
    pub accuracy_km: f32,
}

/// Keyed 64-bit hashes of identifying values; 0 means absent. Rules compare
/// and remember these instead of names. Filled by enrichment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keys {
    /// Of `user.name`, else `user.id`, else `user.email`.
    pub user: u64,
    /// Of `session.id`.
    pub session: u64,
    /// Of `device.id`.
    pub device: u64,
    /// Of the user-agent family and operating system.
    pub user_agent: u64,
}

/// Label under which codecs leave X-Real-IP as received and enrichment looks
/// for it.
pub const REAL_IP_LABEL: &str = "client.real_ip";

/// Where a record ended in a file that can be read again: everything before
/// was handed over, and reading goes on there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Fingerprint of the file.
    pub file: u128,
    /// Offset of the first byte after the record, in bytes.
    pub end: u64,
    /// Hash of the last bytes before `end`, by which the same content is known
    /// to go on there; 0 when unknown, as in what older releases stored.
    pub content: u64,
}

impl Origin {
    /// A place whose content is unknown.
    #[must_use]
    pub fn new(file: u128, end: u64) -> Self {
        Self {
            file,
            end,
            content: 0,
        }
    }
}

/// One normalised record: what happened, who, from where, when.
#[derive(Debug, Clone)]
pub struct Event {
    /// Stable identifier, the same on every delivery of this event.
    pub id: u128,
    /// Event time in milliseconds since the Unix epoch, UTC; 0 when unknown.
    pub time: i64,
    /// When Sidewatch received it, same unit.
    pub received: i64,
    /// `http.response.status_code`; 0 when unknown.
    pub status: u16,
    /// `http.response.body.bytes`.
    pub response_bytes: Option<u64>,
    /// `source.ip`: the client's address after the trusted-proxy walk.
    pub source_ip: Option<IpAddr>,
    /// `source.port`; 0 when unknown.
    pub source_port: u16,
    /// Address of the connecting peer (nginx' `$remote_addr`).
    pub peer_ip: Option<IpAddr>,
    /// `server.port`; 0 when unknown.
    pub server_port: u16,
    /// `source.as.number`; 0 when unknown.
    pub as_number: u32,
    /// `source.geo.location` with its accuracy.
    pub location: Option<Location>,
    /// Kind of the network behind `source_ip`.
    pub network_kind: NetworkKind,
    /// What was done, reduced for rules.
    pub activity: Activity,
    /// The record itself says what was done; mappings leave that alone. Not
    /// kept in records: mappings are done by then.
    pub stated: bool,
    /// It is a mirrored request: until its log line joins it, nobody knows
    /// whether the application let its sender in.
    pub mirrored: bool,
    /// `event.severity`, 0 to 10 as in CEF.
    pub severity: Option<u8>,
    /// A mapping decided that this event is noise.
    pub suppressed: bool,
    /// Something was cut to a bound.
    pub truncated: bool,
    /// The record held bytes that are not UTF-8; they are kept as `\xHH`.
    pub lossy: bool,
    /// Hashes for rules.
    pub keys: Keys,
    /// What a mapping says of this event; [`Event::get`] falls back to it.
    pub annotation: Option<Arc<Annotation>>,
    /// Identifier of the configured source.
    pub source: Option<Arc<str>>,
    /// Where reading goes on once this event is in safety. Not part of what
    /// happened: no sink, rule or store sees it.
    pub origin: Option<Origin>,
    text: String,
    spans: [Span; Field::COUNT],
    labels: Vec<(Box<str>, Box<str>)>,
}

impl Default for Event {
    fn default() -> Self {
        Self {
            id: 0,
            time: 0,
            received: 0,
            status: 0,
            response_bytes: None,
            source_ip: None,
            source_port: 0,
            peer_ip: None,
            server_port: 0,
            as_number: 0,
            location: None,
            network_kind: NetworkKind::Unknown,
            activity: Activity::Other,
            stated: false,
            mirrored: false,
            severity: None,
            suppressed: false,
            truncated: false,
            lossy: false,
            keys: Keys::default(),
            annotation: None,
            source: None,
            origin: None,
            text: String::new(),
            spans: [ABSENT; Field::COUNT],
            labels: Vec::new(),
        }
    }
}

impl Event {
    /// An event with nothing set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything but keeps the allocated text buffer.
    pub fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        let mut labels = std::mem::take(&mut self.labels);
        text.clear();
        labels.clear();
        *self = Self {
            text,
            labels,
            ..Self::default()
        };
    }

    /// The text of a field: the event's own, else its mapping's.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&str> {
        self.own(field).or_else(|| {
            self.annotation
                .as_deref()
                .and_then(|annotation| annotation.get(field))
        })
    }

    /// The event's own text of a field, ignoring any mapping.
    #[must_use]
    pub fn own(&self, field: Field) -> Option<&str> {
        let span = self.spans.get(field as usize)?;
        let start = span.start as usize;
        self.text
            .get(start..start.checked_add(span.length as usize)?)
    }

    /// The event's own severity, else its mapping's, else 0.
    #[must_use]
    pub fn severity_or_mapped(&self) -> u8 {
        let mapped = self.annotation.as_ref();
        let mapped = mapped.and_then(|annotation| annotation.severity);
        self.severity.or(mapped).unwrap_or(0)
    }

    /// The text of a field or label named by a rule or filter.
    #[must_use]
    pub fn get_named(&self, name: &FieldName) -> Option<&str> {
        match name {
            FieldName::Field(field) => self.get(*field),
            FieldName::Label(label) => self.label(label),
        }
    }

    /// Sets a field, replacing what it held. Longer than [`MAX_TEXT`] is cut.
    pub fn set(&mut self, field: Field, value: &str) {
        self.set_with(field, |text| text.push_str(value));
    }

    /// Sets a field by writing into the event's buffer, which saves a copy
    /// where the value is computed. `write` must only append.
    pub fn set_with(&mut self, field: Field, write: impl FnOnce(&mut String)) {
        let start = self.text.len();
        write(&mut self.text);
        if self.text.len() < start {
            return;
        }
        if self.text.len() - start > MAX_TEXT {
            let end = self.text.floor_char_boundary(start + MAX_TEXT);
            self.text.truncate(end);
            self.truncated = true;
        }
        let length = self.text.len() - start;
        if let (Some(slot), Ok(start), Ok(length)) = (
            self.spans.get_mut(field as usize),
            u32::try_from(start),
            u32::try_from(length),
        ) {
            *slot = Span { start, length };
        }
    }

    /// Makes a field a part of another one's text, which saves a copy: a path
    /// of its URL. A range beyond that text is cut; one that does not start
    /// and end on character boundaries makes the field read as absent.
    pub fn set_part(&mut self, field: Field, of: Field, range: std::ops::Range<usize>) {
        let Some(whole) = self.spans.get(of as usize).copied() else {
            return;
        };
        let limit = whole.length as usize;
        let (from, to) = (range.start.min(limit), range.end.min(limit));
        if whole == ABSENT || from > to {
            return;
        }
        if let (Some(slot), Ok(from), Ok(to)) = (
            self.spans.get_mut(field as usize),
            u32::try_from(from),
            u32::try_from(to),
        ) {
            *slot = Span {
                start: whole.start + from,
                length: to - from,
            };
        }
    }

    /// Sets those of several fields that the event itself does not have yet,
    /// with one copy: `fields` are pieces of `block`, each a start and a
    /// length in bytes. A piece that is no text of its own (out of range,
    /// within a character) reads as absent.
    pub fn fill_block(&mut self, block: &str, fields: &[(Field, u16, u16)]) {
        let Ok(base) = u32::try_from(self.text.len()) else {
            return;
        };
        self.text.push_str(block);
        for (field, start, length) in fields {
            if let Some(slot) = self.spans.get_mut(*field as usize)
                && *slot == ABSENT
            {
                *slot = Span {
                    start: base.saturating_add(u32::from(*start)),
                    length: u32::from(*length),
                };
            }
        }
    }

    /// Makes a field absent. Its bytes stay in the buffer until the event is
    /// dropped or cleared, but nothing can read them.
    pub fn unset(&mut self, field: Field) {
        if let Some(slot) = self.spans.get_mut(field as usize) {
            *slot = ABSENT;
        }
    }

    /// The activity as rules see it (`event.activity` in `wit/detection.wit`):
    /// of a mirrored request whose outcome is unknown only that it was made.
    #[must_use]
    pub fn activity_number(&self) -> u32 {
        if self.mirrored && self.status == 0 {
            Activity::UNANSWERED
        } else {
            self.activity as u32
        }
    }

    /// Cuts every text to `longest` bytes, for receivers with a bound; 0 leaves
    /// none at all, and no labels.
    pub fn shorten(&mut self, longest: usize) {
        for (field, _) in Field::ALL {
            let Some(text) = self.own(field) else {
                continue;
            };
            let end = text.floor_char_boundary(longest);
            if longest == 0 {
                self.unset(field);
            } else if end < text.len()
                && let (Some(slot), Ok(length)) =
                    (self.spans.get_mut(field as usize), u32::try_from(end))
            {
                slot.length = length;
                self.truncated = true;
            }
        }
        if longest == 0 {
            self.truncated = true;
            self.labels.clear();
        }
        for (_, value) in &mut self.labels {
            let end = value.floor_char_boundary(longest);
            if end < value.len() {
                *value = value.get(..end).unwrap_or_default().into();
                self.truncated = true;
            }
        }
    }

    /// The value of a label (`labels.<name>`).
    #[must_use]
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| &**value)
    }

    /// Sets a label, replacing one of the same name.
    pub fn set_label(&mut self, name: &str, value: &str) {
        let end = value.floor_char_boundary(MAX_TEXT);
        self.truncated |= end < value.len();
        let value = value.get(..end).unwrap_or_default();
        if let Some(slot) = self.labels.iter_mut().find(|(key, _)| &**key == name) {
            slot.1 = value.into();
        } else if self.labels.len() < MAX_LABELS {
            self.labels.push((name.into(), value.into()));
        } else {
            self.truncated = true;
        }
    }

    /// Labels in the order they were set.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Present text fields in alphabetical order of their names, mapping
    /// included.
    pub fn fields(&self) -> impl Iterator<Item = (Field, &str)> {
        Field::ALL
            .into_iter()
            .filter_map(|(field, _)| self.get(field).map(|text| (field, text)))
    }

    /// Adopts what `other` knows and `self` does not: used to join a mirrored
    /// request with its access-log line.
    pub fn fill_from(&mut self, other: &Self) {
        for (field, _) in Field::ALL {
            if self.own(field).is_none()
                && let Some(value) = other.own(field)
            {
                self.set(field, value);
            }
        }
        for (name, value) in other.labels() {
            if self.label(name).is_none() {
                self.set_label(name, value);
            }
        }
        fn fill<T: PartialEq + Default + Copy>(mine: &mut T, theirs: T) {
            if *mine == T::default() {
                *mine = theirs;
            }
        }
        fill(&mut self.time, other.time);
        fill(&mut self.status, other.status);
        fill(&mut self.source_port, other.source_port);
        fill(&mut self.server_port, other.server_port);
        self.response_bytes = self.response_bytes.or(other.response_bytes);
        self.source_ip = self.source_ip.or(other.source_ip);
        self.peer_ip = self.peer_ip.or(other.peer_ip);
        self.lossy |= other.lossy;
        self.truncated |= other.truncated;
    }

    /// Bytes the event holds on the heap, for memory bounds.
    #[must_use]
    pub fn heap_size(&self) -> usize {
        let labels: usize = self
            .labels
            .iter()
            .map(|(name, value)| name.len() + value.len() + 32)
            .sum();
        self.text.capacity() + labels
    }
}

#[cfg(test)]
mod tests;
