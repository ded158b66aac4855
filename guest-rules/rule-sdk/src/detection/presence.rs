//! What one event says about where its user is, the same for every rule.
//!
//! Invariant: a network that hides or moves its users never gives a place.

use super::{Activity, Event, NetworkKind};
use crate::geo::Point;

/// A place on the ground that the network vouches for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Its centre.
    pub point: Point,
    /// Radius of uncertainty in whole kilometres, rounded up.
    pub accuracy_km: u16,
}

/// Two places that are not one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gap {
    /// Between the centres.
    pub distance_km: f64,
    /// Between the circles of uncertainty.
    pub beyond_km: f64,
}

impl Place {
    /// How far the other place is; `None` when the circles are nearer than
    /// `nearness_km`, which for neighbours is found without trigonometry.
    #[must_use]
    pub fn gap(self, other: Self, nearness_km: f64) -> Option<Gap> {
        let radii = f64::from(self.accuracy_km) + f64::from(other.accuracy_km);
        if self.point.at_most_km(other.point) <= radii + nearness_km {
            return None;
        }
        let distance_km = self.point.distance_km(other.point);
        let beyond_km = distance_km - radii;
        (beyond_km > nearness_km).then_some(Gap {
            distance_km,
            beyond_km,
        })
    }
}

/// An event of somebody who was let in, reduced to what rules about places
/// compare.
#[derive(Debug, Clone, Copy)]
pub struct Sight {
    /// Seconds since the epoch.
    pub now: u32,
    /// As [`Event::address_halves`].
    pub address: (u64, u64),
    /// Equal for events that come through the same door: one network, one
    /// site, one carrier, or one kind of network that hides places.
    pub door: u64,
    /// As [`Event::session`].
    pub session: u64,
    /// As [`Event::device`].
    pub device: u64,
    /// As [`Event::user_agent`].
    pub agent: u64,
    /// As [`Event::as_number`].
    pub as_number: u32,
    /// As [`Event::country`].
    pub country: u16,
    /// As [`Event::network_kind`].
    pub kind: NetworkKind,
    /// Absent where the network says nothing about a person's whereabouts.
    pub place: Option<Place>,
    /// Of the operator's own network: where the database puts it. It is no
    /// proof of anybody's whereabouts, but may show that an office is near.
    pub office: Option<Place>,
    /// Whether this is a login.
    pub login: bool,
    /// Whether the client is a tool or bot.
    pub tool: bool,
}

/// Whether addresses of this kind say where their user is.
#[must_use]
pub fn vouches(kind: NetworkKind) -> bool {
    matches!(
        kind,
        NetworkKind::Unknown | NetworkKind::Residential | NetworkKind::Site
    )
}

/// Whether this kind is a door anybody can hire to hide behind.
#[must_use]
pub fn hides(kind: NetworkKind) -> bool {
    matches!(
        kind,
        NetworkKind::Hosting | NetworkKind::Vpn | NetworkKind::Tor
    )
}

impl Sight {
    /// Reads an event. `default_accuracy_km` stands in for a radius a database
    /// does not give; `device_type` is the text of `device.type`.
    ///
    /// `None` when the event says nothing: nobody was let in, or its time is
    /// unknown. A tool that did not log in has no place: it holds a token.
    #[must_use]
    pub fn of(
        event: &Event<'_>,
        default_accuracy_km: f64,
        device_type: Option<&str>,
    ) -> Option<Self> {
        let now = event.seconds()?;
        if !event.is_presence() {
            return None;
        }
        let kind = event.network_kind();
        let login = event.activity() == Activity::LoginSuccess;
        let tool = matches!(device_type, Some("tool" | "bot"));
        let place = place(event, kind, default_accuracy_km).filter(|_| login || !tool);
        let office = (kind == NetworkKind::Corporate)
            .then(|| located(event, kind, default_accuracy_km))
            .flatten();
        let country = u16::try_from(event.country()).unwrap_or(0);
        Some(Self {
            now,
            address: event.address_halves(),
            door: door(event, kind),
            session: event.session(),
            device: event.device(),
            agent: event.user_agent(),
            as_number: event.as_number(),
            country,
            kind,
            place,
            office,
            login,
            tool,
        })
    }
}

/// A radius beyond this names half a continent: a default of the database, not
/// a place.
const VAGUE_KM: f64 = 1000.0;

/// The place an event vouches for. `default_accuracy_km` stands in for a radius
/// a database does not give.
#[must_use]
pub fn place(event: &Event<'_>, kind: NetworkKind, default_accuracy_km: f64) -> Option<Place> {
    vouches(kind)
        .then(|| located(event, kind, default_accuracy_km))
        .flatten()
}

/// Where the database puts an address, unless that is half a continent.
fn located(event: &Event<'_>, kind: NetworkKind, default_accuracy_km: f64) -> Option<Place> {
    let location = event.location()?;
    let stated = f64::from(location.accuracy_km);
    if stated > VAGUE_KM {
        return None;
    }
    let accuracy = if stated > 0.0 || kind == NetworkKind::Site {
        stated
    } else {
        default_accuracy_km
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a radius; the cast saturates"
    )]
    Some(Place {
        point: Point {
            latitude: location.latitude as f32,
            longitude: location.longitude as f32,
        },
        accuracy_km: accuracy.ceil() as u16,
    })
}

/// Doors that are no network carry this bit; no network number does.
const NO_NETWORK: u64 = 1 << 63 | 1;

fn door(event: &Event<'_>, kind: NetworkKind) -> u64 {
    match kind {
        NetworkKind::Mobile => NO_NETWORK | u64::from(event.as_number()) << 8,
        // A fixed site is its place: it has many networks, or none at all.
        NetworkKind::Site => event.location().map_or(event.network(), |location| {
            let bits = location.latitude.to_bits().rotate_left(32) ^ location.longitude.to_bits();
            NO_NETWORK | bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 1
        }),
        NetworkKind::Unknown | NetworkKind::Residential | NetworkKind::Corporate => event.network(),
        _ => NO_NETWORK | (kind as u64) << 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::harness::TestEvent;
    use super::*;

    fn sight(event: &TestEvent) -> Option<Sight> {
        let numbers = event.numbers();
        Sight::of(
            &Event::new(&numbers, &[], &[]),
            50.0,
            event.texts.get("device.type").map(String::as_str),
        )
    }

    fn event() -> TestEvent {
        TestEvent::new("zoe", 0.0)
            .from("192.0.2.7")
            .at(50.0, 14.0, 10.2)
    }

    #[test]
    fn only_networks_that_neither_hide_nor_move_their_users_give_a_place() {
        let placed: Vec<&str> = NetworkKind::ALL
            .into_iter()
            .filter(|kind| sight(&event().network(*kind)).unwrap().place.is_some())
            .map(NetworkKind::as_str)
            .collect();
        assert_eq!(placed, ["unknown", "residential", "site"]);
        let hiding: Vec<&str> = NetworkKind::ALL
            .into_iter()
            .filter(|kind| hides(*kind))
            .map(NetworkKind::as_str)
            .collect();
        assert_eq!(hiding, ["hosting", "vpn", "tor"]);
    }

    #[test]
    fn only_the_operators_own_network_is_an_office_and_it_gives_no_place() {
        let offices: Vec<&str> = NetworkKind::ALL
            .into_iter()
            .filter(|kind| sight(&event().network(*kind)).unwrap().office.is_some())
            .map(NetworkKind::as_str)
            .collect();
        assert_eq!(offices, ["corporate"]);
        let vague = event()
            .network(NetworkKind::Corporate)
            .at(50.0, 14.0, 3000.0);
        assert_eq!(sight(&vague).unwrap().office, None);
    }

    #[test]
    fn radii_are_rounded_up_and_a_missing_one_is_assumed_except_for_sites() {
        let radius = |event: TestEvent| sight(&event).unwrap().place.unwrap().accuracy_km;
        assert_eq!(radius(event()), 11);
        assert_eq!(radius(event().at(50.0, 14.0, 0.0)), 50);
        assert_eq!(radius(event().at(50.0, 14.0, f32::NAN)), 50);
        assert_eq!(radius(event().at(50.0, 14.0, -3.0)), 50);
        assert_eq!(
            radius(event().at(50.0, 14.0, 0.0).network(NetworkKind::Site)),
            0
        );
    }

    #[test]
    fn doors_tell_networks_carriers_sites_and_hidden_kinds_apart() {
        let door = |event: TestEvent| sight(&event).unwrap().door;
        assert_eq!(door(event()), door(event().from("192.0.2.99")));
        assert_ne!(door(event()), door(event().from("192.0.3.7")));
        assert_ne!(
            door(event().network(NetworkKind::Vpn)),
            door(event().network(NetworkKind::Tor))
        );
        assert_eq!(
            door(event().network(NetworkKind::Vpn)),
            door(event().from("203.0.113.1").network(NetworkKind::Vpn))
        );
        let mobile = |number| event().network(NetworkKind::Mobile).as_number(number);
        assert_eq!(door(mobile(1)), door(mobile(1).from("203.0.113.1")));
        assert_ne!(door(mobile(1)), door(mobile(2)));
        let site = |latitude| event().at(latitude, 14.0, 1.0).network(NetworkKind::Site);
        assert_eq!(door(site(50.0)), door(site(50.0).from("203.0.113.1")));
        assert_ne!(door(site(50.0)), door(site(50.1)));
        assert_ne!(
            door(event().network(NetworkKind::Corporate)),
            door(event().from("203.0.113.1").network(NetworkKind::Corporate))
        );
    }

    #[test]
    fn a_tool_has_a_place_only_when_it_logs_in() {
        let tool = event().text("device.type", "tool");
        assert!(sight(&tool).unwrap().tool);
        assert_eq!(sight(&tool).unwrap().place, None);
        let login = sight(&tool.activity(Activity::LoginSuccess)).unwrap();
        assert!(login.login && login.place.is_some());
        let browser = sight(&event().text("device.type", "desktop")).unwrap();
        assert!(!browser.tool && !browser.login && browser.place.is_some());
    }

    #[test]
    fn whoever_was_not_let_in_is_not_seen() {
        assert!(sight(&event().activity(Activity::LoginFailure)).is_none());
        assert!(sight(&event().status(401)).is_none());
        assert!(sight(&event().status(403)).is_some());
        for status in [301, 302, 400, 404, 500] {
            assert!(sight(&event().status(status)).is_none(), "{status}");
        }
        let login = event().activity(Activity::LoginSuccess).status(302);
        assert!(sight(&login).is_some());
        assert!(sight(&event().activity(Activity::Unanswered)).is_none());
        assert!(sight(&TestEvent { time: 0, ..event() }).is_none());
        assert!(
            sight(&TestEvent {
                time: -5000,
                ..event()
            })
            .is_none()
        );
    }

    #[test]
    fn a_gap_takes_both_radii_off() {
        let place = |longitude, accuracy_km| Place {
            point: Point {
                latitude: 0.0,
                longitude,
            },
            accuracy_km,
        };
        let gap = place(0.0, 30).gap(place(10.0, 50), 100.0).unwrap();
        assert!(
            (gap.distance_km - 1111.9).abs() < 0.5
                && (gap.distance_km - gap.beyond_km - 80.0).abs() < 1e-9
        );
        assert_eq!(place(0.0, 500).gap(place(10.0, 500), 112.0), None);
        assert_eq!(place(0.0, 0).gap(place(0.0, 0), 0.0), None);
    }
}
