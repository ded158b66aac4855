//! What is remembered of a session: the points it was used from.

use bytemuck::{Pod, Zeroable};
use rule_sdk::detection::presence::{Place, Sight};
use rule_sdk::detection::{Event, NetworkKind, Side};
use rule_sdk::geo::Point;
use rule_sdk::incident::Incident;
use rule_sdk::recent::short;
use rule_sdk::{Bounded, State, bytemuck as bytes};

/// Most points remembered.
const SPOTS: usize = 6;

/// Most bytes a state takes.
#[expect(clippy::cast_possible_truncation, reason = "a few hundred bytes")]
pub(crate) const STATE_LIMIT: u32 = (size_of::<Header>() + SPOTS * size_of::<Spot>()) as u32;

/// Seconds by which a point's last use may lag behind.
const GRANULARITY: u32 = 60;

/// Its coordinates mean something.
const PLACED: u8 = 1;
/// Reported: not believed to be the session's owner.
pub(crate) const SUSPECT: u8 = 2;
/// A tool or bot.
pub(crate) const TOOL: u8 = 4;

/// Systems whose browsers pass for each other: a phone's when it asks for the
/// desktop site, an app's when it opens a page outside of it.
const FAMILIES: [(&[&str], &[&str]); 2] = [
    (&["iOS", "iPadOS"], &["macOS", "Mac OS X", "Mac OS"]),
    (&["Android"], &["Linux", "ChromeOS", "Chrome OS"]),
];

/// Marks the system of a phone or tablet.
const MOBILE: u32 = 0x80;

/// Number of the system a client runs on; 0 when unknown. The lowest byte is
/// that of its family, 0 for systems without one.
pub(crate) fn system(os_name: Option<&str>) -> u32 {
    let Some(name) = os_name.filter(|name| !name.is_empty()) else {
        return 0;
    };
    let among = |members: &[&str]| {
        members
            .iter()
            .any(|member| member.eq_ignore_ascii_case(name))
    };
    let family = FAMILIES
        .iter()
        .zip(1..)
        .find_map(|((mobile, desktop), number)| match () {
            () if among(mobile) => Some(MOBILE | number),
            () if among(desktop) => Some(number),
            () => None,
        })
        .unwrap_or(0);
    let letters: Vec<u64> = name
        .bytes()
        .map(|byte| u64::from(byte.to_ascii_lowercase()))
        .collect();
    short(rule_sdk::detection::incident(&letters)) & !0xff | 0x100 | family
}

/// Whether two systems can be one phone.
pub(crate) fn one_phone(a: u32, b: u32) -> bool {
    let family = |system: u32| system & 0xff & !MOBILE;
    family(a) != 0 && family(a) == family(b) && (a | b) & MOBILE != 0
}

/// A client in one network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Spot {
    address_high: u64,
    address_low: u64,
    /// /24 or /48, or the place of a fixed site without an address.
    pub(crate) network: u64,
    pub(crate) agent: u64,
    pub(crate) device: u64,
    /// Seconds since the epoch of the first use.
    pub(crate) first: u32,
    /// Of the last, up to [`GRANULARITY`] too early.
    pub(crate) last: u32,
    latitude: f32,
    longitude: f32,
    pub(crate) as_number: u32,
    /// As [`system`] says.
    pub(crate) system: u32,
    pub(crate) country: u16,
    accuracy_km: u16,
    kind: u8,
    flags: u8,
    padding: [u8; 2],
}

impl Spot {
    pub(crate) fn begin(sight: &Sight, event: &Event<'_>) -> Self {
        let unset = Place {
            point: Point {
                latitude: 0.0,
                longitude: 0.0,
            },
            accuracy_km: 0,
        };
        let place = sight.place.unwrap_or(unset);
        let placed = if sight.place.is_some() { PLACED } else { 0 };
        let tool = if sight.tool { TOOL } else { 0 };
        Self {
            address_high: sight.address.0,
            address_low: sight.address.1,
            network: network(sight, event),
            agent: sight.agent,
            device: sight.device,
            first: sight.now,
            last: sight.now,
            latitude: place.point.latitude,
            longitude: place.point.longitude,
            as_number: sight.as_number,
            system: system(event.text(1)),
            country: sight.country,
            accuracy_km: place.accuracy_km,
            kind: sight.kind as u8,
            flags: placed | tool,
            padding: [0; 2],
        }
    }

    /// Whether the event comes from this client in this network.
    pub(crate) fn is_of(&self, sight: &Sight, network: u64) -> bool {
        self.network == network && self.agent == sight.agent && self.device == sight.device
    }

    pub(crate) fn covers(&self, now: u32) -> bool {
        now < self.last.saturating_add(GRANULARITY)
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn suspect(&mut self) {
        self.flags |= SUSPECT;
    }

    pub(crate) fn place(&self) -> Option<Place> {
        let point = Point {
            latitude: self.latitude,
            longitude: self.longitude,
        };
        (self.flags & PLACED != 0).then_some(Place {
            point,
            accuracy_km: self.accuracy_km,
        })
    }

    pub(crate) fn kind(&self) -> NetworkKind {
        NetworkKind::from_number(u32::from(self.kind))
    }

    /// Whether both are IPv4 or both IPv6.
    pub(crate) fn is_of_protocol(&self, other: &Self) -> bool {
        (self.address_high == 0) == (other.address_high == 0)
    }

    pub(crate) fn side(&self) -> Side {
        Side {
            address: (self.address_high, self.address_low),
            place: self.place(),
            as_number: self.as_number,
            country: self.country,
            kind: self.kind(),
            session: 0,
            device: self.device,
            agent: self.agent,
        }
    }
}

/// The network of an event, or its door where it has no address.
pub(crate) fn network(sight: &Sight, event: &Event<'_>) -> u64 {
    match event.network() {
        0 => sight.door,
        network => network,
    }
}

/// The fixed part of a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Header {
    version: u32,
    /// How often two distant places took turns without a pause.
    pub(crate) turns: u32,
    /// Seconds since the epoch of the last turn.
    pub(crate) turned: u32,
    padding: u32,
    pub(crate) incident: Incident,
}

/// Form of the state; another number makes the rule start anew.
const VERSION: u32 = 2;

/// The state of one session.
#[derive(Debug, Default, PartialEq)]
pub struct Spots {
    pub(crate) header: Header,
    pub(crate) spots: Bounded<Spot, SPOTS>,
}

impl Spots {
    /// Remembers a point; of the others the believed ones stay longest.
    pub(crate) fn remember(&mut self, spot: Spot) {
        self.spots
            .push_in_place_of_least(spot, |known| (!known.has(SUSPECT), known.last));
    }

    /// The points believed to be the owner's.
    pub(crate) fn believed(&self) -> impl Iterator<Item = &Spot> {
        self.spots
            .as_slice()
            .iter()
            .filter(|spot| !spot.has(SUSPECT))
    }
}

impl State for Spots {
    fn decode(state: &[u8]) -> Option<Self> {
        let (header, spots) = state.split_at_checked(size_of::<Header>())?;
        let header: Header = bytes::try_pod_read_unaligned(header).ok()?;
        (header.version == VERSION).then_some(())?;
        Some(Self {
            header,
            spots: Bounded::decode(spots)?,
        })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(bytes::bytes_of(&Header {
            version: VERSION,
            ..self.header
        }));
        self.spots.encode(out);
    }
}
