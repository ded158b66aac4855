//! What a rule reports, and completing it: identifiers, the event, and what the
//! host knows about the addresses in the evidence.

use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use sidewatch_event::{Event, Evidence, EvidenceValue, Finding};

/// A finding before the pipeline gives it an identifier and its event.
#[derive(Debug, Clone)]
pub struct RawFinding {
    /// Index of the event within the batch.
    pub event: usize,
    /// See [`sidewatch_event::Finding::incident`].
    pub incident: u64,
    /// See [`sidewatch_event::Finding::occurrence`].
    pub occurrence: u32,
    /// Rule that reported it.
    pub rule: Arc<str>,
    /// Its version.
    pub rule_version: Arc<str>,
    /// Kind of finding.
    pub kind: Arc<str>,
    /// MITRE ATT&CK technique, or empty.
    pub technique: Arc<str>,
    /// 0 to 10.
    pub severity: u8,
    /// 0 to 1.
    pub score: f32,
    /// One line for a human.
    pub title: String,
    /// In the rule's order.
    pub evidence: Vec<Evidence>,
}

/// Gives a finding its identifier and event, and says in words where the
/// addresses of its evidence are, as far as `describe` knows.
#[must_use]
pub fn complete(
    raw: RawFinding,
    event: Arc<Event>,
    describe: impl Fn(IpAddr) -> Option<String>,
) -> Finding {
    let id = identifier(&raw, event.id);
    let evidence = with_places(raw.evidence, describe);
    Finding {
        id,
        incident: raw.incident,
        occurrence: raw.occurrence,
        rule: raw.rule,
        rule_version: raw.rule_version,
        kind: raw.kind,
        technique: raw.technique,
        severity: raw.severity,
        score: raw.score,
        title: raw.title,
        time: event.time,
        evidence,
        event,
    }
}

/// The same event, rule, incident and occurrence give the same identifier, so
/// a replay or a repeated delivery can be recognised.
fn identifier(raw: &RawFinding, event: u128) -> u128 {
    let mut bytes = Vec::with_capacity(96);
    bytes.extend_from_slice(&event.to_le_bytes());
    bytes.extend_from_slice(&raw.incident.to_le_bytes());
    bytes.extend_from_slice(&raw.occurrence.to_le_bytes());
    bytes.extend_from_slice(raw.rule.as_bytes());
    bytes.push(0);
    bytes.extend_from_slice(raw.kind.as_bytes());
    Sha256::digest(&bytes)
        .iter()
        .take(16)
        .fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

/// After `previous_address` comes `previous_address_place`, and so on.
fn with_places(
    evidence: Vec<Evidence>,
    describe: impl Fn(IpAddr) -> Option<String>,
) -> Vec<Evidence> {
    let mut complete = Vec::with_capacity(evidence.len() + 4);
    for item in evidence {
        let place = match item.value {
            EvidenceValue::Address(address) => describe(address),
            _ => None,
        };
        let name = format!("{}_place", item.name);
        complete.push(item);
        if let Some(place) = place {
            complete.push(Evidence {
                name,
                value: EvidenceValue::Text(place),
            });
        }
    }
    complete
}
