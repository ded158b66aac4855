//! Completing what a rule reports: identifiers, the event, and what the host
//! knows about the addresses in the evidence.

use std::net::IpAddr;
use std::sync::Arc;

use sidewatch_engine::RawFinding;
use sidewatch_engine::cache::digest;
use sidewatch_enrich::Enricher;
use sidewatch_event::{Event, Evidence, EvidenceValue, Finding};

/// Gives a finding its identifier and event, and says in words where the
/// addresses of its evidence are.
#[must_use]
pub fn complete(raw: RawFinding, event: Arc<Event>, enricher: &Enricher) -> Finding {
    let id = identifier(&raw, event.id);
    let evidence = with_places(raw.evidence, enricher);
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
    let digest = digest(&bytes);
    digest
        .iter()
        .take(16)
        .fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

/// After `previous_address` comes `previous_address_place`, and so on.
fn with_places(evidence: Vec<Evidence>, enricher: &Enricher) -> Vec<Evidence> {
    let mut complete = Vec::with_capacity(evidence.len() + 4);
    for item in evidence {
        let place = match item.value {
            EvidenceValue::Address(address) => place(address, enricher),
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

/// Such as `Oslo, NO, AS64500 Example Net, vpn`.
fn place(address: IpAddr, enricher: &Enricher) -> Option<String> {
    let known = enricher.describe_address(address);
    let network = match (known.as_number, known.as_name.as_deref()) {
        (0, _) => None,
        (number, Some(name)) => Some(format!("AS{number} {name}")),
        (number, None) => Some(format!("AS{number}")),
    };
    let kind = known.network_kind.as_str();
    let parts = [
        known.city.as_deref().map(str::to_owned),
        known.country.as_deref().map(str::to_owned),
        network,
        known.network_name.as_deref().map(str::to_owned),
        (kind != "unknown").then(|| kind.to_owned()),
    ];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    (!text.is_empty()).then_some(text)
}
