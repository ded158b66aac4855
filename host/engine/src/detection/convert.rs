//! Between the event model and the numbers and values on the wire.

use std::net::{IpAddr, Ipv6Addr};

use sidewatch_event::{Event, EvidenceValue, Field};

use crate::bindings::detection::exports::sidewatch::rule::detection as wire;
use crate::key::address_bits;
use crate::rows::{EventNumbers, Row};

/// The numbers of an event as detection rules see them.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves of the address"
)]
pub(crate) fn numbers(event: &Event) -> Row<EventNumbers> {
    let bits = event.source_ip.map_or(0, address_bits);
    let (latitude, longitude, accuracy) = match event.location {
        Some(place) => (place.latitude, place.longitude, place.accuracy_km),
        None => (f64::NAN, f64::NAN, 0.0),
    };
    let country = match event.get(Field::SourceGeoCountryIsoCode).map(str::as_bytes) {
        Some([first, second]) => (u32::from(*first) << 8) | u32::from(*second),
        _ => 0,
    };
    Row(EventNumbers {
        time: event.time,
        user: event.keys.user,
        session: event.keys.session,
        device: event.keys.device,
        user_agent: event.keys.user_agent,
        address_high: (bits >> 64) as u64,
        address_low: bits as u64,
        latitude,
        longitude,
        accuracy,
        as_number: event.as_number,
        country,
        network_kind: event.network_kind as u32,
        activity: event.activity_number(),
        status: u32::from(event.status),
    })
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
