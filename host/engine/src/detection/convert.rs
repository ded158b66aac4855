//! Between the event model and the numbers and values on the wire.

use std::net::{IpAddr, Ipv6Addr};

use sidewatch_event::{Event, EvidenceValue};
use sidewatch_frame::{DetectionClaims, KindClaim};

use crate::bindings::detection::exports::sidewatch::rule::detection as wire;
use crate::rows::{EventNumbers, Row};

/// The numbers of an event as detection rules see them.
pub(crate) fn numbers(event: &Event) -> Row<EventNumbers> {
    let numbers = sidewatch_frame::numbers(event);
    Row(EventNumbers {
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
    })
}

pub(super) fn claims(descriptor: wire::Descriptor) -> DetectionClaims {
    let kind = |kind: wire::FindingKind| KindClaim {
        id: kind.id,
        title: kind.title,
        severity: kind.severity,
        technique: kind.technique,
    };
    DetectionClaims {
        id: descriptor.id,
        version: descriptor.version,
        key: descriptor.key,
        reads: descriptor.reads,
        state_ttl: descriptor.state_ttl,
        state_limit: descriptor.state_limit,
        findings: descriptor.findings.into_iter().map(kind).collect(),
    }
}

pub(super) fn value(value: wire::EvidenceValue) -> EvidenceValue {
    match value {
        wire::EvidenceValue::Text(text) => EvidenceValue::Text(text),
        wire::EvidenceValue::Integer(number) => EvidenceValue::Integer(number),
        wire::EvidenceValue::Real(number) => EvidenceValue::Real(number),
        wire::EvidenceValue::Time(time) => EvidenceValue::Time(time),
        wire::EvidenceValue::Coordinates(place) => {
            EvidenceValue::Coordinates(place.latitude, place.longitude)
        }
        wire::EvidenceValue::Address(address) => {
            let address =
                Ipv6Addr::from((u128::from(address.high) << 64) | u128::from(address.low));
            EvidenceValue::Address(
                address
                    .to_ipv4_mapped()
                    .map_or(IpAddr::V6(address), IpAddr::V4),
            )
        }
    }
}
