//! The numbers of an event as detection rules see them.

use sidewatch_event::{Event, Field};

use crate::key::address_bits;

/// `detection.event` of the rule interface; see `wit/detection.wit` for units.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the interface documents them")]
pub struct Numbers {
    pub time: i64,
    pub user: u64,
    pub session: u64,
    pub device: u64,
    pub user_agent: u64,
    pub address_high: u64,
    pub address_low: u64,
    pub latitude: f64,
    pub longitude: f64,
    pub accuracy: f32,
    pub as_number: u32,
    pub country: u32,
    pub network_kind: u32,
    pub activity: u32,
    pub status: u32,
}

/// The numbers of an event.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the two halves of the address"
)]
#[inline]
#[must_use]
pub fn numbers(event: &Event) -> Numbers {
    let bits = event.source_ip.map_or(0, address_bits);
    let (latitude, longitude, accuracy) = match event.location {
        Some(place) => (place.latitude, place.longitude, place.accuracy_km),
        None => (f64::NAN, f64::NAN, 0.0),
    };
    let country = match event.get(Field::SourceGeoCountryIsoCode).map(str::as_bytes) {
        Some([first, second]) => (u32::from(*first) << 8) | u32::from(*second),
        _ => 0,
    };
    Numbers {
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
    }
}
