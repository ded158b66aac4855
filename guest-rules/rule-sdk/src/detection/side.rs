//! Evidence about one point of a finding, named alike in every rule.

use super::presence::{Place, Sight};
use super::{EvidenceValue, Finding, Location, NetworkKind, network_text};
use crate::geo::rounded;

/// Where and with what an event was made.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// As [`Event::address_halves`](super::Event::address_halves).
    pub address: (u64, u64),
    /// Where that is.
    pub place: Option<Place>,
    /// Autonomous system; 0 when unknown.
    pub as_number: u32,
    /// Two letters as a number; 0 when unknown.
    pub country: u16,
    /// Kind of network.
    pub kind: NetworkKind,
    /// Hash; 0 when unknown.
    pub session: u64,
    /// Hash; 0 when unknown.
    pub device: u64,
    /// Hash; 0 when unknown.
    pub agent: u64,
}

impl Finding {
    /// Adds what one point tells: `address`, `network`, `place`, `accuracy_km`,
    /// `as_number`, `country`, `network_kind` and the hashes, each name with
    /// `prefix` in front; what is unknown is left out.
    #[must_use]
    pub fn with_side(self, prefix: &str, side: &Side) -> Self {
        let name = |name: &str| format!("{prefix}{name}");
        let degrees = |degrees: f32| rounded(f64::from(degrees), 4);
        let location = side.place.map(|place| Location {
            latitude: degrees(place.point.latitude),
            longitude: degrees(place.point.longitude),
            accuracy_km: f32::from(place.accuracy_km),
        });
        let addressed = side.address != (0, 0);
        let hex = |hash: u64| (hash != 0).then(|| format!("{hash:016x}"));
        self.with_some(&name("address"), addressed.then_some(side.address))
            .with_some(
                &name("network"),
                addressed.then(|| network_text(side.address)),
            )
            .with_some(&name("place"), location)
            .with_some(
                &name("accuracy_km"),
                location.map(|place| place.accuracy_km),
            )
            .with_some(
                &name("as_number"),
                (side.as_number != 0).then_some(side.as_number),
            )
            .with_some(
                &name("country"),
                (side.country != 0).then(|| country_text(side.country)),
            )
            .with(&name("network_kind"), side.kind.as_str())
            .with_some(&name("session_hash"), hex(side.session))
            .with_some(&name("device_hash"), hex(side.device))
            .with_some(&name("user_agent_hash"), hex(side.agent))
    }

    /// Adds a time given in seconds since the epoch.
    #[must_use]
    pub fn with_seconds(self, name: &str, seconds: u32) -> Self {
        self.with(name, time_of(seconds))
    }
}

/// A time in seconds since the epoch as evidence.
#[must_use]
pub fn time_of(seconds: u32) -> EvidenceValue {
    EvidenceValue::time(i64::from(seconds) * 1000)
}

impl Sight {
    /// What the event tells of its point.
    #[must_use]
    pub fn side(&self) -> Side {
        Side {
            address: self.address,
            place: self.place,
            as_number: self.as_number,
            country: self.country,
            kind: self.kind,
            session: self.session,
            device: self.device,
            agent: self.agent,
        }
    }
}

/// How two hashes compare, for a person: `same`, `different` or `unknown`.
#[must_use]
pub fn comparison(a: u64, b: u64) -> &'static str {
    match (a, b) {
        (0, _) | (_, 0) => "unknown",
        _ if a == b => "same",
        _ => "different",
    }
}

/// Two ISO letters as text.
#[must_use]
pub fn country_text(country: u16) -> String {
    country
        .to_be_bytes()
        .iter()
        .map(|byte| char::from(*byte))
        .collect()
}
