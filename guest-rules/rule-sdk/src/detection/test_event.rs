//! An event written the way a person would say it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::{Activity, NetworkKind, wire};

/// 2026-03-02 08:00:00 UTC, a Monday: minute 0 of every test.
pub const START: i64 = 1_772_438_400_000;

/// An event written the way a person would say it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TestEvent {
    /// Milliseconds since the Unix epoch, UTC.
    pub time: i64,
    /// Name of the user; empty means absent, here and below.
    pub user: String,
    /// Name of the session.
    pub session: String,
    /// Name of the device.
    pub device: String,
    /// User-agent family and operating system, such as `Firefox/Linux`.
    pub user_agent: String,
    /// Source address.
    pub address: Option<IpAddr>,
    /// Degrees north, degrees east, radius in kilometres.
    pub place: Option<(f64, f64, f32)>,
    /// Autonomous system; 0 means unknown.
    pub as_number: u32,
    /// Two ISO letters.
    pub country: String,
    /// Number of the kind of network.
    pub network_kind: u32,
    /// Number of the activity.
    pub activity: u32,
    /// HTTP status; 0 means unknown.
    pub status: u32,
    /// Text fields by name.
    pub texts: BTreeMap<String, String>,
}

/// What stands in for the keyed hash of a user, session, device or user agent
/// in tests; 0 for an empty name.
#[must_use]
pub fn hash(name: &str) -> u64 {
    if name.is_empty() {
        return 0;
    }
    let bytes: Vec<u64> = name.bytes().map(u64::from).collect();
    super::incident(&bytes).max(1)
}

impl TestEvent {
    /// An event of `user` at `minutes` after the start of the test.
    #[must_use]
    pub fn new(user: &str, minutes: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "test times are small")]
        Self {
            time: START + (minutes * 60_000.0) as i64,
            user: user.to_owned(),
            ..Self::default()
        }
    }

    /// From an address, such as `192.0.2.7`. Unreadable text means none.
    #[must_use]
    pub fn from(mut self, address: &str) -> Self {
        self.address = address.parse().ok();
        self
    }

    /// At coordinates, with an accuracy radius in kilometres.
    #[must_use]
    pub fn at(mut self, latitude: f64, longitude: f64, accuracy_km: f32) -> Self {
        self.place = Some((latitude, longitude, accuracy_km));
        self
    }

    /// In a session.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        session.clone_into(&mut self.session);
        self
    }

    /// With a device identifier.
    #[must_use]
    pub fn device(mut self, device: &str) -> Self {
        device.clone_into(&mut self.device);
        self
    }

    /// With a user-agent family, such as `Firefox/Linux`.
    #[must_use]
    pub fn user_agent(mut self, family: &str) -> Self {
        family.clone_into(&mut self.user_agent);
        self
    }

    /// In an autonomous system.
    #[must_use]
    pub fn as_number(mut self, number: u32) -> Self {
        self.as_number = number;
        self
    }

    /// In a country, by its two ISO letters.
    #[must_use]
    pub fn country(mut self, letters: &str) -> Self {
        letters.clone_into(&mut self.country);
        self
    }

    /// Behind a kind of network.
    #[must_use]
    pub fn network(mut self, kind: NetworkKind) -> Self {
        self.network_kind = kind as u32;
        self
    }

    /// Doing something.
    #[must_use]
    pub fn activity(mut self, activity: Activity) -> Self {
        self.activity = activity as u32;
        self
    }

    /// Answered with an HTTP status.
    #[must_use]
    pub fn status(mut self, status: u32) -> Self {
        self.status = status;
        self
    }

    /// With a text field.
    #[must_use]
    pub fn text(mut self, field: &str, value: &str) -> Self {
        self.texts.insert(field.to_owned(), value.to_owned());
        self
    }

    /// The numbers of the event as they cross the rule boundary.
    #[must_use]
    pub fn numbers(&self) -> wire::Event {
        let bits = match self.address {
            None => 0,
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
            Some(IpAddr::V6(address)) => address.to_bits(),
        };
        let (latitude, longitude, accuracy) = self.place.unwrap_or((f64::NAN, f64::NAN, 0.0));
        let country = match self.country.as_bytes() {
            [first, second] => (u32::from(*first) << 8) | u32::from(*second),
            _ => 0,
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the two halves of the address"
        )]
        wire::Event {
            time: self.time,
            user: hash(&self.user),
            session: hash(&self.session),
            device: hash(&self.device),
            user_agent: hash(&self.user_agent),
            address_high: (bits >> 64) as u64,
            address_low: bits as u64,
            latitude,
            longitude,
            accuracy,
            as_number: self.as_number,
            country,
            network_kind: self.network_kind,
            activity: self.activity,
            status: self.status,
        }
    }

    pub(crate) fn key(&self, names: &[String]) -> Option<Vec<u64>> {
        let numbers = self.numbers();
        names.iter().map(|name| key_parts(&numbers, name)).collect()
    }
}

/// The part of a state key with this name; `None` when the event lacks it.
pub(crate) fn key_parts(numbers: &wire::Event, name: &str) -> Option<u64> {
    let part = match name {
        "user" => numbers.user,
        "session" => numbers.session,
        "device" => numbers.device,
        "user-agent" => numbers.user_agent,
        "source-ip" => numbers.address_high ^ numbers.address_low.rotate_left(17),
        "source-network" => super::Event::new(numbers, &[], &[]).network(),
        _ => 0,
    };
    (part != 0).then_some(part)
}
