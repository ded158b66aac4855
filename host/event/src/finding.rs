//! What a detection rule reports.
//!
//! A finding always carries its evidence and the event that raised it; the
//! incident id stays the same while an incident goes on, so a consumer can
//! count instead of being flooded.

use std::net::IpAddr;
use std::sync::Arc;

use crate::event::Event;

/// A value in a finding's evidence.
#[derive(Debug, Clone, PartialEq)]
pub enum EvidenceValue {
    /// Free text.
    Text(String),
    /// A count.
    Integer(i64),
    /// A measure; its unit is part of the evidence's name (`distance_km`).
    Real(f64),
    /// Milliseconds since the Unix epoch, UTC.
    Time(i64),
    /// An address.
    Address(IpAddr),
    /// Latitude and longitude in degrees.
    Coordinates(f64, f64),
}

/// One named piece of evidence. Names are `snake_case` with the unit last.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What it is, e.g. `previous_address`.
    pub name: String,
    /// Its value.
    pub value: EvidenceValue,
}

/// What a detection rule reports, with evidence.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Stable identifier of this report.
    pub id: u128,
    /// Stable identifier of the incident this report belongs to.
    pub incident: u64,
    /// 1 for the first report of an incident, then counting up.
    pub occurrence: u32,
    /// Rule that reported it.
    pub rule: Arc<str>,
    /// Version of that rule.
    pub rule_version: Arc<str>,
    /// Kind of finding as the rule's descriptor names it.
    pub kind: Arc<str>,
    /// MITRE ATT&CK technique, e.g. `T1078`; empty when none fits.
    pub technique: Arc<str>,
    /// 0 to 10 as in CEF.
    pub severity: u8,
    /// How sure the rule is, 0 to 1.
    pub score: f32,
    /// One line for a human.
    pub title: String,
    /// Event time of the event that raised it, milliseconds since the epoch.
    pub time: i64,
    /// The whole evidence, in the rule's order.
    pub evidence: Vec<Evidence>,
    /// The event that raised it.
    pub event: Arc<Event>,
}
