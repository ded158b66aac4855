//! What is remembered of an account: who sits where, and which places were
//! used at once.

use bytemuck::{Pod, Zeroable};
use rule_sdk::detection::NetworkKind;
use rule_sdk::detection::presence::{Place, Sight};
use rule_sdk::geo::Point;
use rule_sdk::incident::Incident;
use rule_sdk::recent::short;
use rule_sdk::{Bounded, State, bytemuck as bytes};

/// Most seats remembered.
pub(crate) const SEATS: usize = 10;
/// Most pairs of places remembered.
pub(crate) const PAIRS: usize = 6;

/// Most bytes a state takes.
#[expect(clippy::cast_possible_truncation, reason = "about a thousand bytes")]
pub(crate) const STATE_LIMIT: u32 =
    (size_of::<Header>() + PAIRS * size_of::<Pair>() + SEATS * size_of::<Seat>()) as u32;

/// Seconds by which a seat's last use may lag behind.
const GRANULARITY: u32 = 60;

/// Seconds of a day.
pub(crate) const DAY: u32 = 24 * 60 * 60;

/// Its coordinates mean something.
const PLACED: u8 = 1;

/// A client (device and user-agent family) behind one door.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Seat {
    pub(crate) address_high: u64,
    pub(crate) address_low: u64,
    pub(crate) door: u64,
    pub(crate) device: u64,
    pub(crate) agent: u64,
    /// The latest session, and another one lately used as well.
    pub(crate) session: u64,
    pub(crate) other_session: u64,
    /// Seconds since the epoch of the first use.
    pub(crate) first: u32,
    /// Of the last, up to [`GRANULARITY`] too early.
    pub(crate) last: u32,
    latitude: f32,
    longitude: f32,
    pub(crate) as_number: u32,
    pub(crate) country: u16,
    accuracy_km: u16,
    kind: u8,
    flags: u8,
    padding: [u8; 6],
}

impl Seat {
    pub(crate) fn begin(sight: &Sight) -> Self {
        let unset = Place {
            point: Point {
                latitude: 0.0,
                longitude: 0.0,
            },
            accuracy_km: 0,
        };
        // The operator's own network never counts as a place of its own, but may
        // lie in the town of a household.
        let placed = sight.place.or(sight.office);
        let place = placed.unwrap_or(unset);
        Self {
            address_high: sight.address.0,
            address_low: sight.address.1,
            door: sight.door,
            device: sight.device,
            agent: sight.agent,
            session: sight.session,
            other_session: 0,
            first: sight.now,
            last: sight.now,
            latitude: place.point.latitude,
            longitude: place.point.longitude,
            as_number: sight.as_number,
            country: sight.country,
            accuracy_km: place.accuracy_km,
            kind: sight.kind as u8,
            flags: if placed.is_some() { PLACED } else { 0 },
            padding: [0; 6],
        }
    }

    /// Whether `sight` is the same client behind the same door.
    pub(crate) fn is_of(&self, sight: &Sight) -> bool {
        self.door == sight.door && self.agent == sight.agent && self.device == sight.device
    }

    /// Whether the seat already says all that `sight` does.
    pub(crate) fn covers(&self, sight: &Sight) -> bool {
        sight.now < self.last.saturating_add(GRANULARITY) && self.has_session(sight.session)
    }

    /// Takes in another event.
    pub(crate) fn extend(&mut self, sight: &Sight) {
        if !self.has_session(sight.session) {
            self.other_session = std::mem::replace(&mut self.session, sight.session);
        }
        self.first = self.first.min(sight.now);
        if sight.now > self.last {
            self.last = sight.now;
            (self.address_high, self.address_low) = sight.address;
        }
    }

    /// Whether the session is among those lately used.
    pub(crate) fn has_session(&self, session: u64) -> bool {
        session == 0 || self.session == session || self.other_session == session
    }

    /// Whether it has used one session only, for days.
    pub(crate) fn keeps_session(&self) -> bool {
        let days = (self.last / DAY).saturating_sub(self.first / DAY);
        self.session != 0 && self.other_session == 0 && days >= 2
    }

    pub(crate) fn shares_session(&self, other: &Self) -> bool {
        let own = [self.session, self.other_session];
        own.iter().any(|session| {
            *session != 0 && (*session == other.session || *session == other.other_session)
        })
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
}

/// Two places that were used at once, or by turns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Pair {
    /// The lower door first.
    doors: [u64; 2],
    /// The latest day anything happened, in days since the epoch.
    day: u32,
    /// Days of overlap: bit 0 is `day`, bit 1 the day before.
    overlaps: u32,
    /// Days on which both took turns without overlap.
    turns: u32,
    padding: u32,
}

impl Pair {
    pub(crate) fn of(doors: [u64; 2]) -> Self {
        let [a, b] = doors;
        Self {
            doors: [a.min(b), a.max(b)],
            ..Self::default()
        }
    }

    pub(crate) fn is_of(&self, doors: [u64; 2]) -> bool {
        let [a, b] = doors;
        self.doors == [a.min(b), a.max(b)]
    }

    /// Notes a day; returns whether that is news.
    pub(crate) fn note(&mut self, day: u32, overlap: bool) -> bool {
        if day > self.day {
            let shift = day - self.day;
            self.overlaps = self.overlaps.checked_shl(shift).unwrap_or(0);
            self.turns = self.turns.checked_shl(shift).unwrap_or(0);
            self.day = day;
        }
        let Some(bit) = 1u32.checked_shl(self.day - day) else {
            return false;
        };
        let before = (self.overlaps, self.turns);
        if overlap {
            self.overlaps |= bit;
            self.turns &= !bit;
        } else if self.overlaps & bit == 0 {
            self.turns |= bit;
        }
        before != (self.overlaps, self.turns)
    }

    /// Days of overlap and of taking turns within the window that ends today.
    pub(crate) fn days(&self, window: u32) -> (u32, u32) {
        let mask = 1u32.checked_shl(window).map_or(u32::MAX, |bit| bit - 1);
        (
            (self.overlaps & mask).count_ones(),
            (self.turns & mask).count_ones(),
        )
    }
}

/// The fixed part of a state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
struct Header {
    version: u16,
    pairs: u16,
    /// User-agent families known to sit in two places at once: shared by
    /// several devices, so they connect nothing.
    common: [u32; 5],
    incident: Incident,
}

/// Form of the state; another number makes the rule start anew.
const VERSION: u16 = 1;

/// The state of one account.
#[derive(Debug, Default, PartialEq)]
pub struct Seats {
    pub(crate) incident: Incident,
    common: [u32; 5],
    pub(crate) pairs: Bounded<Pair, PAIRS>,
    pub(crate) seats: Bounded<Seat, SEATS>,
}

impl Seats {
    /// Whether several devices have this user-agent family.
    pub(crate) fn is_common(&self, agent: u64) -> bool {
        self.common.contains(&short(agent))
    }

    /// Remembers that several devices have this user-agent family.
    pub(crate) fn mark_common(&mut self, agent: u64) {
        if !self.is_common(agent) {
            self.common.rotate_right(1);
            if let Some(first) = self.common.first_mut() {
                *first = short(agent);
            }
        }
    }

    /// Takes a seat; the one not used longest makes room.
    pub(crate) fn sit(&mut self, seat: Seat) {
        self.seats.push_in_place_of_least(seat, |known| known.last);
    }

    /// Notes a day on which two places were used; returns the pair when that
    /// is news.
    pub(crate) fn note(&mut self, doors: [u64; 2], day: u32, overlap: bool) -> Option<Pair> {
        if !self.pairs.as_slice().iter().any(|pair| pair.is_of(doors)) {
            self.pairs
                .push_in_place_of_least(Pair::of(doors), |pair| pair.day);
        }
        let pair = self
            .pairs
            .as_mut_slice()
            .iter_mut()
            .find(|pair| pair.is_of(doors))?;
        pair.note(day, overlap).then_some(*pair)
    }
}

impl Seats {
    /// Becomes what the bytes say; false when they are of another form.
    fn replace(&mut self, state: &[u8]) -> bool {
        let Some((header, rest)) = state.split_at_checked(size_of::<Header>()) else {
            return false;
        };
        let Ok(header) = bytes::try_pod_read_unaligned::<Header>(header) else {
            return false;
        };
        self.incident = header.incident;
        self.common = header.common;
        let pairs = usize::from(header.pairs) * size_of::<Pair>();
        header.version == VERSION
            && rest.split_at_checked(pairs).is_some_and(|(pairs, seats)| {
                self.pairs.replace(pairs) && self.seats.replace(seats)
            })
    }
}

impl State for Seats {
    fn decode(state: &[u8]) -> Option<Self> {
        let mut seats = Self::default();
        seats.replace(state).then_some(seats)
    }

    fn load(&mut self, state: Option<&[u8]>) {
        if !state.is_some_and(|state| self.replace(state)) {
            self.incident = Incident::default();
            self.common = Default::default();
            self.pairs.clear();
            self.seats.clear();
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let pairs = u16::try_from(self.pairs.as_slice().len()).unwrap_or(0);
        let header = Header {
            version: VERSION,
            pairs,
            common: self.common,
            incident: self.incident,
        };
        out.extend_from_slice(bytes::bytes_of(&header));
        self.pairs.encode(out);
        self.seats.encode(out);
    }
}
