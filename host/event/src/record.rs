//! Events and findings as bytes that outlive the process: the outbox, halves
//! of requests that wait, dead letters.
//!
//! What many records share (the constant texts of a mapping, names of sources
//! and rules) is written once, in a [`Dictionary`] beside them. Reading checks
//! everything: bytes that are no record give nothing, and never more than they
//! are long.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::annotation::Annotation;
use crate::event::Event;
use crate::field::Field;
use crate::finding::{Evidence, EvidenceValue, Finding};
use crate::wire::{Reader, put_bytes, put_integer, put_signed};

/// Collects what records share while they are written.
#[derive(Debug, Default)]
pub struct Dictionary {
    annotations: Vec<Arc<Annotation>>,
    texts: Vec<Arc<str>>,
    /// Where an annotation or text is, by its address: the vectors keep them
    /// alive, so an address is not used again.
    known: HashMap<usize, u64>,
    last: (usize, u64),
}

impl Dictionary {
    /// Forgets everything, keeping what was allocated.
    pub fn clear(&mut self) {
        self.annotations.clear();
        self.texts.clear();
        self.known.clear();
        self.last = (0, 0);
    }

    pub(crate) fn annotation(&mut self, annotation: &Arc<Annotation>) -> u64 {
        let address = Arc::as_ptr(annotation).addr();
        // Neighbours are often alike.
        if self.last.0 == address {
            return self.last.1;
        }
        let number = *self.known.entry(address).or_insert_with(|| {
            self.annotations.push(Arc::clone(annotation));
            self.annotations.len() as u64 - 1
        });
        self.last = (address, number);
        number
    }

    pub(crate) fn text(&mut self, text: &Arc<str>) -> u64 {
        // Few in number: sources, and the names of a rule.
        let same = |known: &Arc<str>| Arc::ptr_eq(known, text) || **known == **text;
        if let Some(at) = self.texts.iter().position(same) {
            return at as u64;
        }
        self.texts.push(Arc::clone(text));
        self.texts.len() as u64 - 1
    }

    /// Appends an event.
    pub fn put_event(&mut self, event: &Event, out: &mut Vec<u8>) {
        event.write(self, out);
    }

    /// Appends a finding without its event, which the caller keeps beside it.
    pub fn put_finding(&mut self, finding: &Finding, out: &mut Vec<u8>) {
        out.extend_from_slice(&finding.id.to_le_bytes());
        out.extend_from_slice(&finding.incident.to_le_bytes());
        put_integer(out, finding.occurrence.into());
        for text in [
            &finding.rule,
            &finding.rule_version,
            &finding.kind,
            &finding.technique,
        ] {
            put_integer(out, self.text(text));
        }
        out.push(finding.severity);
        out.extend_from_slice(&finding.score.to_le_bytes());
        put_bytes(out, finding.title.as_bytes());
        put_signed(out, finding.time);
        put_integer(out, finding.evidence.len() as u64);
        for item in &finding.evidence {
            put_bytes(out, item.name.as_bytes());
            put_value(&item.value, out);
        }
    }

    /// Appends what the records written so far share.
    pub fn write(&self, out: &mut Vec<u8>) {
        put_integer(out, self.texts.len() as u64);
        for text in &self.texts {
            put_bytes(out, text.as_bytes());
        }
        put_integer(out, self.annotations.len() as u64);
        for annotation in &self.annotations {
            put_annotation(annotation, out);
        }
    }
}

fn put_annotation(annotation: &Annotation, out: &mut Vec<u8>) {
    out.push(annotation.severity.map_or(0, |severity| severity + 1));
    out.push(annotation.suppress.into());
    let fields = || {
        Field::ALL
            .into_iter()
            .filter_map(|(field, _)| annotation.get(field).map(|text| (field, text)))
    };
    put_integer(out, fields().count() as u64);
    for (field, text) in fields() {
        out.extend_from_slice(&field.code().to_le_bytes());
        put_bytes(out, text.as_bytes());
    }
}

fn read_annotation(reader: &mut Reader<'_>) -> Option<Annotation> {
    let severity = reader.byte()?.checked_sub(1);
    let suppress = reader.byte()? != 0;
    let mut fields = Vec::new();
    for _ in 0..reader.count()? {
        let field = Field::from_code(u16::from_le_bytes(reader.array()?));
        let text = reader.text()?;
        fields.extend(field.map(|field| (field, text.to_owned())));
    }
    Some(Annotation::new(fields, severity, suppress))
}

fn put_value(value: &EvidenceValue, out: &mut Vec<u8>) {
    match value {
        EvidenceValue::Text(text) => {
            out.push(0);
            put_bytes(out, text.as_bytes());
        }
        EvidenceValue::Integer(number) => {
            out.push(1);
            put_signed(out, *number);
        }
        EvidenceValue::Real(number) => {
            out.push(2);
            out.extend_from_slice(&number.to_le_bytes());
        }
        EvidenceValue::Time(time) => {
            out.push(3);
            put_signed(out, *time);
        }
        EvidenceValue::Address(IpAddr::V4(address)) => {
            out.push(4);
            out.extend_from_slice(&address.octets());
        }
        EvidenceValue::Address(IpAddr::V6(address)) => {
            out.push(6);
            out.extend_from_slice(&address.octets());
        }
        EvidenceValue::Coordinates(latitude, longitude) => {
            out.push(5);
            out.extend_from_slice(&latitude.to_le_bytes());
            out.extend_from_slice(&longitude.to_le_bytes());
        }
    }
}

fn read_value(reader: &mut Reader<'_>) -> Option<EvidenceValue> {
    Some(match reader.byte()? {
        0 => EvidenceValue::Text(reader.text()?.to_owned()),
        1 => EvidenceValue::Integer(reader.signed()?),
        2 => EvidenceValue::Real(f64::from_le_bytes(reader.array()?)),
        3 => EvidenceValue::Time(reader.signed()?),
        4 => EvidenceValue::Address(reader.array::<4>()?.into()),
        5 => EvidenceValue::Coordinates(
            f64::from_le_bytes(reader.array()?),
            f64::from_le_bytes(reader.array()?),
        ),
        6 => EvidenceValue::Address(reader.array::<16>()?.into()),
        _ => return None,
    })
}

/// What records share, read again.
#[derive(Debug, Default)]
pub struct Shared {
    texts: Vec<Arc<str>>,
    annotations: Vec<Arc<Annotation>>,
}

impl Shared {
    /// Reads what [`Dictionary::write`] wrote.
    pub fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut shared = Self::default();
        for _ in 0..reader.count()? {
            shared.texts.push(reader.text()?.into());
        }
        for _ in 0..reader.count()? {
            shared.annotations.push(Arc::new(read_annotation(reader)?));
        }
        Some(shared)
    }

    pub(crate) fn annotation(&self, number: u64) -> Option<Arc<Annotation>> {
        self.annotations.get(usize::try_from(number).ok()?).cloned()
    }

    pub(crate) fn text(&self, number: u64) -> Option<Arc<str>> {
        self.texts.get(usize::try_from(number).ok()?).cloned()
    }

    /// Reads an event.
    pub fn event(&self, reader: &mut Reader<'_>) -> Option<Event> {
        Event::read(reader, self)
    }

    /// Reads a finding about an event.
    pub fn finding(&self, reader: &mut Reader<'_>, event: Arc<Event>) -> Option<Finding> {
        let id = u128::from_le_bytes(reader.array()?);
        let incident = u64::from_le_bytes(reader.array()?);
        let occurrence = reader.number()?;
        let mut text = || self.text(reader.integer()?);
        let (rule, rule_version, kind, technique) = (text()?, text()?, text()?, text()?);
        let severity = reader.byte()?;
        let score = f32::from_le_bytes(reader.array()?);
        let title = reader.text()?.to_owned();
        let time = reader.signed()?;
        let mut evidence = Vec::new();
        for _ in 0..reader.count()? {
            let name = reader.text()?.to_owned();
            let value = read_value(reader)?;
            evidence.push(Evidence { name, value });
        }
        Some(Finding {
            id,
            incident,
            occurrence,
            rule,
            rule_version,
            kind,
            technique,
            severity,
            score,
            title,
            time,
            evidence,
            event,
        })
    }
}

#[cfg(test)]
mod tests;
