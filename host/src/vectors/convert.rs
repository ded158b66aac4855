//! Between what a vector writes and what the engine takes and gives.

use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::wire;
use sidewatch_engine::RawFinding;
use sidewatch_engine::detection::DetectionDescriptor;
use sidewatch_event::{Activity, Event, EvidenceValue, Field, FieldName, Location, NetworkKind};

/// The event as enrichment would leave it; its identifier is its number.
pub(super) fn event(number: u128, test: &TestEvent) -> Box<Event> {
    let numbers = test.numbers();
    let mut event = Box::new(Event::new());
    event.id = number;
    event.time = numbers.time;
    event.status = u16::try_from(numbers.status).unwrap_or(0);
    event.keys.user = numbers.user;
    event.keys.session = numbers.session;
    event.keys.device = numbers.device;
    event.keys.user_agent = numbers.user_agent;
    event.source_ip = test.address;
    event.location = test
        .place
        .map(|(latitude, longitude, accuracy_km)| Location {
            latitude,
            longitude,
            accuracy_km,
        });
    event.as_number = numbers.as_number;
    let kind = usize::try_from(numbers.network_kind).unwrap_or(0);
    event.network_kind = NetworkKind::ALL.get(kind).copied().unwrap_or_default();
    activity(&mut event, numbers.activity);
    if !test.country.is_empty() {
        event.set(Field::SourceGeoCountryIsoCode, &test.country);
    }
    for (name, text) in &test.texts {
        match FieldName::parse(name) {
            Ok(FieldName::Field(field)) => event.set(field, text),
            Ok(FieldName::Label(label)) => event.set_label(&label, text),
            Err(_) => {}
        }
    }
    event
}

/// The last number is no activity: it stands for a mirrored request whose
/// outcome nobody knows.
fn activity(event: &mut Event, number: u32) {
    const KNOWN: [Activity; 10] = [
        Activity::Other,
        Activity::LoginSuccess,
        Activity::LoginFailure,
        Activity::MfaPrompt,
        Activity::MfaFailure,
        Activity::Logout,
        Activity::PasswordChange,
        Activity::TokenCreation,
        Activity::MfaRemoval,
        Activity::PermissionDenied,
    ];
    let known = KNOWN.into_iter().find(|one| *one as u32 == number);
    event.activity = known.unwrap_or_default();
    event.mirrored = known.is_none();
}

/// As much of a descriptor as comparing findings needs.
pub(super) fn descriptor(descriptor: &DetectionDescriptor) -> wire::Descriptor {
    wire::Descriptor {
        id: descriptor.id.to_string(),
        version: descriptor.version.to_string(),
        key: descriptor.key.clone(),
        reads: Vec::new(),
        state_ttl: descriptor.state_ttl,
        state_limit: descriptor.state_limit,
        findings: descriptor
            .kinds
            .iter()
            .map(|kind| wire::FindingKind {
                id: kind.id.to_string(),
                title: kind.title.clone(),
                severity: kind.severity.into(),
                technique: kind.technique.to_string(),
            })
            .collect(),
    }
}

/// A finding as the interface writes it.
pub(super) fn finding(descriptor: &DetectionDescriptor, finding: &RawFinding) -> wire::Finding {
    let kind = descriptor
        .kinds
        .iter()
        .position(|kind| kind.id == finding.kind);
    wire::Finding {
        event: u32::try_from(finding.event).unwrap_or(u32::MAX),
        kind: kind
            .and_then(|kind| u32::try_from(kind).ok())
            .unwrap_or(u32::MAX),
        incident: finding.incident,
        occurrence: finding.occurrence,
        severity: finding.severity.into(),
        score: finding.score,
        title: finding.title.clone(),
        evidence: finding
            .evidence
            .iter()
            .map(|item| wire::Evidence {
                name: item.name.clone(),
                value: value(&item.value),
            })
            .collect(),
    }
}

fn value(value: &EvidenceValue) -> wire::EvidenceValue {
    match value {
        EvidenceValue::Text(text) => wire::EvidenceValue::Text(text.clone()),
        EvidenceValue::Integer(number) => wire::EvidenceValue::Integer(*number),
        EvidenceValue::Real(number) => wire::EvidenceValue::Real(*number),
        EvidenceValue::Time(time) => wire::EvidenceValue::Time(*time),
        EvidenceValue::Coordinates(latitude, longitude) => {
            wire::EvidenceValue::Coordinates(wire::Coordinates {
                latitude: *latitude,
                longitude: *longitude,
            })
        }
        EvidenceValue::Address(address) => {
            let bits = match address {
                std::net::IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
                std::net::IpAddr::V6(address) => address.to_bits(),
            };
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the two halves of the address"
            )]
            wire::EvidenceValue::Address(wire::Address {
                high: (bits >> 64) as u64,
                low: bits as u64,
            })
        }
    }
}
