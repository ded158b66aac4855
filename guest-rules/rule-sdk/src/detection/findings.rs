//! What a rule reports.

use std::net::IpAddr;

use super::event::Location;
use super::{Description, wire};

/// A finding with its evidence.
#[derive(Debug, Clone)]
pub struct Finding {
    inner: wire::Finding,
    severity_set: bool,
}

impl Finding {
    /// A finding of kind number `kind` (index into `Description::kinds`).
    #[must_use]
    pub fn new(kind: u32, title: impl Into<String>) -> Self {
        let inner = wire::Finding {
            event: 0,
            kind,
            incident: 0,
            occurrence: 1,
            severity: 0,
            score: 1.0,
            title: title.into(),
            evidence: Vec::new(),
        };
        Self {
            inner,
            severity_set: false,
        }
    }

    /// Adds evidence; names are `snake_case` with the unit last.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<EvidenceValue>) -> Self {
        let EvidenceValue(value) = value.into();
        self.inner.evidence.push(wire::Evidence {
            name: name.to_owned(),
            value,
        });
        self
    }

    /// Adds a time as evidence, milliseconds since the Unix epoch.
    #[must_use]
    pub fn with_time(self, name: &str, time: i64) -> Self {
        self.with(name, EvidenceValue(wire::EvidenceValue::Time(time)))
    }

    /// Adds evidence when there is any.
    #[must_use]
    pub fn with_some<V: Into<EvidenceValue>>(self, name: &str, value: Option<V>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Which incident this belongs to and how often it was reported by now.
    #[must_use]
    pub fn incident(mut self, incident: u64, occurrence: u32) -> Self {
        self.inner.incident = incident;
        self.inner.occurrence = occurrence;
        self
    }

    /// Overrides the kind's severity, 0 to 10.
    #[must_use]
    pub fn severity(mut self, severity: u32) -> Self {
        self.inner.severity = severity.min(10);
        self.severity_set = true;
        self
    }

    /// How sure the rule is, 0 to 1.
    #[must_use]
    pub fn score(mut self, score: f32) -> Self {
        self.inner.score = score.clamp(0.0, 1.0);
        self
    }
}

/// A value of evidence.
#[derive(Debug, Clone)]
pub struct EvidenceValue(pub(crate) wire::EvidenceValue);

impl EvidenceValue {
    /// A time, milliseconds since the Unix epoch.
    #[must_use]
    pub fn time(milliseconds: i64) -> Self {
        Self(wire::EvidenceValue::Time(milliseconds))
    }
}

macro_rules! from {
    ($($type:ty, $value:ident => $variant:expr;)*) => {$(
        impl From<$type> for EvidenceValue {
            fn from($value: $type) -> Self {
                Self($variant)
            }
        }
    )*};
}
from! {
    &str, text => wire::EvidenceValue::Text(text.to_owned());
    String, text => wire::EvidenceValue::Text(text);
    i64, number => wire::EvidenceValue::Integer(number);
    u32, number => wire::EvidenceValue::Integer(i64::from(number));
    f64, number => wire::EvidenceValue::Real(number);
    f32, number => wire::EvidenceValue::Real(f64::from(number));
    (u64, u64), halves => wire::EvidenceValue::Address(wire::Address { high: halves.0, low: halves.1 });
    Location, place => wire::EvidenceValue::Coordinates(wire::Coordinates {
        latitude: place.latitude,
        longitude: place.longitude,
    });
}

impl From<IpAddr> for EvidenceValue {
    fn from(address: IpAddr) -> Self {
        let bits = match address {
            IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
            IpAddr::V6(address) => address.to_bits(),
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the two halves of the number"
        )]
        Self::from(((bits >> 64) as u64, bits as u64))
    }
}

/// Collects the findings of a frame.
#[derive(Debug)]
pub struct Findings<'a> {
    pub(crate) list: &'a mut Vec<wire::Finding>,
    pub(crate) event: u32,
    pub(crate) description: &'a Description,
}

impl Findings<'_> {
    /// Reports a finding raised by the event being evaluated.
    pub fn report(&mut self, finding: Finding) {
        let Finding {
            mut inner,
            severity_set,
        } = finding;
        inner.event = self.event;
        if !severity_set {
            let kind = usize::try_from(inner.kind)
                .ok()
                .and_then(|kind| self.description.kinds.get(kind));
            inner.severity = kind.map_or(0, |kind| kind.severity);
        }
        self.list.push(inner);
    }
}

/// A stable incident number from parts: the same parts give the same number
/// on every machine (64-bit FNV-1a over the parts' little-endian bytes).
#[must_use]
pub fn incident(parts: &[u64]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}
