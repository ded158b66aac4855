//! What one event says about where its user is.

use rule_sdk::detection::{Activity, Event, NetworkKind};
use rule_sdk::geo::Point;

/// A place on the ground that the network vouches for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) point: Point,
    /// Radius of uncertainty in whole kilometres, rounded up.
    pub(crate) accuracy_km: u16,
}

/// An event reduced to what the rule compares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    /// Seconds since the epoch.
    pub(crate) now: u32,
    pub(crate) address: (u64, u64),
    /// Equal for events that come through the same door: one network, one
    /// carrier, or one kind of network that hides places.
    pub(crate) door: u64,
    pub(crate) session: u64,
    pub(crate) device: u64,
    pub(crate) agent: u64,
    pub(crate) as_number: u32,
    pub(crate) country: u16,
    pub(crate) kind: NetworkKind,
    /// Absent where the network says nothing about a person's whereabouts.
    pub(crate) place: Option<Place>,
    pub(crate) login: bool,
    pub(crate) tool: bool,
}

/// Whether addresses of this kind say where their user is.
pub(crate) fn vouches(kind: NetworkKind) -> bool {
    matches!(
        kind,
        NetworkKind::Unknown | NetworkKind::Residential | NetworkKind::Site
    )
}

/// Whether this kind is a door anybody can hire to hide behind.
pub(crate) fn hides(kind: NetworkKind) -> bool {
    matches!(
        kind,
        NetworkKind::Hosting | NetworkKind::Vpn | NetworkKind::Tor
    )
}

impl Sight {
    /// `None` when the event says nothing: nobody was let in, or its time is
    /// unknown.
    pub(crate) fn of(event: &Event<'_>, default_accuracy_km: f64) -> Option<Self> {
        let now = event.seconds()?;
        if !event.is_presence() {
            return None;
        }
        let kind = event.network_kind();
        let login = event.activity() == Activity::LoginSuccess;
        let tool = matches!(event.text(0), Some("tool" | "bot"));
        let place = place(event, kind, default_accuracy_km).filter(|_| login || !tool);
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
            login,
            tool,
        })
    }
}

fn place(event: &Event<'_>, kind: NetworkKind, default_accuracy_km: f64) -> Option<Place> {
    if !vouches(kind) {
        return None;
    }
    let location = event.location()?;
    let stated = f64::from(location.accuracy_km);
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
