//! The rules plugged into the component's slots.

use std::net::{IpAddr, Ipv6Addr};

use sidewatch_event::{Evidence, EvidenceValue};
use sidewatch_frame::{CatalogueEntry, DetectionClaims, KindClaim, MappingClaims};

use super::bindings;
use super::bindings::sidewatch::rule::{detection as wire, mapping as table, types};
use crate::rules::{
    Change, DetectionFrame, DetectionOutcome, Group, MappingFrame, MappingOutcome, Refusal,
    Reported, Rules, Span,
};

/// How a slot is configured and called.
struct Slot {
    configure: fn(&str) -> Result<wire::Descriptor, types::ParameterError>,
    evaluate: fn(&wire::Frame) -> wire::Outcome,
}

macro_rules! slots {
    ($($name:ident),*) => {
        [$(Slot { configure: bindings::$name::configure, evaluate: bindings::$name::evaluate }),*]
    };
}

/// By number.
const SLOTS: [Slot; 30] = slots![
    slot0, slot1, slot2, slot3, slot4, slot5, slot6, slot7, slot8, slot9, slot10, slot11, slot12,
    slot13, slot14, slot15, slot16, slot17, slot18, slot19, slot20, slot21, slot22, slot23, slot24,
    slot25, slot26, slot27, slot28, slot29
];

/// The component's slots.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slots;

impl Rules for Slots {
    fn configure_mapping(&self, parameters: &str) -> Result<MappingClaims, Refusal> {
        let claims = bindings::mapping::configure(parameters).map_err(refusal)?;
        Ok(MappingClaims {
            id: claims.id,
            version: claims.version,
            reads: claims.reads,
            writes: claims.writes,
            annotations: claims.annotations.into_iter().map(entry).collect(),
        })
    }

    fn map(&self, frame: MappingFrame) -> MappingOutcome {
        let outcome = bindings::mapping::evaluate(&table::Frame {
            block: frame.block,
            events: frame
                .events
                .into_iter()
                .map(|(status, server_port)| table::Event {
                    status,
                    server_port,
                })
                .collect(),
            texts: frame.texts.into_iter().map(span).collect(),
        });
        MappingOutcome {
            block: outcome.block,
            mapped: outcome
                .mapped
                .into_iter()
                .map(|mapped| (mapped.event, mapped.annotation))
                .collect(),
            computed: outcome
                .computed
                .into_iter()
                .map(|item| (item.event, item.field, own(item.text)))
                .collect(),
        }
    }

    fn configure(&self, slot: usize, parameters: &str) -> Result<DetectionClaims, Refusal> {
        let slot = SLOTS.get(slot).ok_or_else(|| Refusal {
            parameter: String::new(),
            message: format!("there is no slot {slot}"),
        })?;
        let claims = (slot.configure)(parameters).map_err(refusal)?;
        Ok(DetectionClaims {
            id: claims.id,
            version: claims.version,
            key: claims.key,
            reads: claims.reads,
            state_ttl: claims.state_ttl,
            state_limit: claims.state_limit,
            findings: claims
                .findings
                .into_iter()
                .map(|kind| KindClaim {
                    id: kind.id,
                    title: kind.title,
                    severity: kind.severity,
                    technique: kind.technique,
                })
                .collect(),
        })
    }

    fn fold(&self, slot: usize, frame: DetectionFrame) -> DetectionOutcome {
        let Some(slot) = SLOTS.get(slot) else {
            return DetectionOutcome::default();
        };
        let outcome = (slot.evaluate)(&wire::Frame {
            block: frame.block,
            events: frame.events.iter().map(event).collect(),
            texts: frame.texts.into_iter().map(span).collect(),
            groups: frame.groups.into_iter().map(group).collect(),
        });
        DetectionOutcome {
            block: outcome.block,
            changes: outcome
                .changes
                .into_iter()
                .map(|change| Change {
                    group: change.group,
                    state: own(change.state),
                })
                .collect(),
            findings: outcome.findings.into_iter().map(reported).collect(),
        }
    }
}

fn refusal(error: types::ParameterError) -> Refusal {
    Refusal {
        parameter: error.parameter,
        message: error.message,
    }
}

fn entry(entry: table::Annotation) -> CatalogueEntry {
    CatalogueEntry {
        action: entry.action,
        category: entry.category,
        kinds: entry.kinds,
        outcome: entry.outcome,
        code: entry.code,
        name: entry.name,
        severity: entry.severity,
        product: entry.product,
        suppress: entry.suppress,
    }
}

fn span(span: Span) -> types::Span {
    types::Span {
        start: span.start,
        length: span.length,
    }
}

fn own(span: types::Span) -> Span {
    Span {
        start: span.start,
        length: span.length,
    }
}

fn group(group: Group) -> wire::Group {
    wire::Group {
        first: group.first,
        count: group.count,
        state: span(group.state),
    }
}

fn event(numbers: &sidewatch_frame::Numbers) -> wire::Event {
    wire::Event {
        time: numbers.time,
        user: numbers.user,
        session: numbers.session,
        device: numbers.device,
        user_agent: numbers.user_agent,
        address_high: numbers.address_high,
        address_low: numbers.address_low,
        latitude: numbers.latitude,
        longitude: numbers.longitude,
        accuracy: numbers.accuracy,
        as_number: numbers.as_number,
        country: numbers.country,
        network_kind: numbers.network_kind,
        activity: numbers.activity,
        status: numbers.status,
    }
}

fn reported(finding: wire::Finding) -> Reported {
    Reported {
        event: finding.event,
        kind: finding.kind,
        incident: finding.incident,
        occurrence: finding.occurrence,
        severity: finding.severity,
        score: finding.score,
        title: finding.title,
        evidence: finding
            .evidence
            .into_iter()
            .map(|item| Evidence {
                name: item.name,
                value: value(item.value),
            })
            .collect(),
    }
}

fn value(value: wire::EvidenceValue) -> EvidenceValue {
    match value {
        wire::EvidenceValue::Text(text) => EvidenceValue::Text(text),
        wire::EvidenceValue::Integer(number) => EvidenceValue::Integer(number),
        wire::EvidenceValue::Real(number) => EvidenceValue::Real(number),
        wire::EvidenceValue::Time(time) => EvidenceValue::Time(time),
        wire::EvidenceValue::Coordinates(place) => {
            EvidenceValue::Coordinates(place.latitude, place.longitude)
        }
        wire::EvidenceValue::Address(address) => {
            let bits = (u128::from(address.high) << 64) | u128::from(address.low);
            EvidenceValue::Address(IpAddr::V6(Ipv6Addr::from(bits)).to_canonical())
        }
    }
}
