//! What is remembered of a user: the last stays and what is familiar.
//!
//! A stay is a client (device and user-agent family) behind one door, over an
//! interval without a long pause. It is plain bytes of a fixed size, and there
//! are at most [`STAYS`], so a state has a stated maximum.

use bytemuck::{Pod, Zeroable};
use rule_sdk::detection::NetworkKind;
use rule_sdk::geo::Point;
use rule_sdk::incident::Incident;
use rule_sdk::recent::Recent;
use rule_sdk::{Bounded, State};

use rule_sdk::detection::presence::{Place, Sight};

/// Most stays remembered.
pub(crate) const STAYS: usize = 8;

/// Most bytes a state takes.
#[expect(clippy::cast_possible_truncation, reason = "a few hundred bytes")]
pub(crate) const STATE_LIMIT: u32 = (size_of::<Familiar>() + STAYS * size_of::<Stay>()) as u32;

/// Seconds by which a stay's end may lag behind: spares most events a change
/// of state, and can only make a journey look slower.
pub(crate) const GRANULARITY: u32 = 60;

/// Seconds without an event after which presence is interrupted.
const PAUSE: u32 = 15 * 60;

const DAY: u32 = 24 * 60 * 60;

/// Days after which a habit that is not kept up is none.
const HABIT_DAYS: u32 = 14;

/// Its coordinates mean something.
pub(crate) const PLACED: u8 = 1;
/// Reported: not believed to be the user.
pub(crate) const SUSPECT: u8 = 2;
/// The user, but not the place the address claims.
pub(crate) const DISPUTED: u8 = 4;
/// The device shared a network with another device of the user.
pub(crate) const TIED: u8 = 8;
/// A tool or bot.
pub(crate) const TOOL: u8 = 16;

/// The client was seen behind another trusted door before: remembered because
/// that stay may be forgotten.
pub(crate) const CARRIED: u8 = 32;

/// A client behind one door.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Stay {
    pub(crate) address_high: u64,
    pub(crate) address_low: u64,
    pub(crate) door: u64,
    /// The latest session, and another one lately used as well.
    pub(crate) session: u64,
    pub(crate) other_session: u64,
    pub(crate) device: u64,
    pub(crate) agent: u64,
    /// Seconds since the epoch: start of the present interval.
    pub(crate) first: u32,
    /// Its end, up to [`GRANULARITY`] too early.
    pub(crate) last: u32,
    pub(crate) latitude: f32,
    pub(crate) longitude: f32,
    pub(crate) as_number: u32,
    pub(crate) country: u16,
    pub(crate) accuracy_km: u16,
    pub(crate) flags: u8,
    pub(crate) kind: u8,
    /// Distinct days it was seen on, saturating.
    pub(crate) days: u8,
    pub(crate) padding: [u8; 5],
}

impl Stay {
    /// A stay that begins with `sight`.
    pub(crate) fn begin(sight: &Sight) -> Self {
        let place = sight.place.unwrap_or(Place {
            point: Point {
                latitude: 0.0,
                longitude: 0.0,
            },
            accuracy_km: 0,
        });
        let placed = if sight.place.is_some() { PLACED } else { 0 };
        let tool = if sight.tool { TOOL } else { 0 };
        Self {
            address_high: sight.address.0,
            address_low: sight.address.1,
            door: sight.door,
            session: sight.session,
            other_session: 0,
            device: sight.device,
            agent: sight.agent,
            first: sight.now,
            last: sight.now,
            latitude: place.point.latitude,
            longitude: place.point.longitude,
            as_number: sight.as_number,
            country: sight.country,
            accuracy_km: place.accuracy_km,
            flags: placed | tool,
            kind: sight.kind as u8,
            days: 1,
            padding: [0; 5],
        }
    }

    /// Whether `sight` is the same client behind the same door.
    pub(crate) fn is_of(&self, sight: &Sight) -> bool {
        self.door == sight.door && self.agent == sight.agent && self.device == sight.device
    }

    /// Whether the stay already says all that `sight` does.
    pub(crate) fn covers(&self, sight: &Sight) -> bool {
        self.has_session(sight.session)
            && self.first <= sight.now
            && sight.now < self.last.saturating_add(GRANULARITY)
            && (self.has(PLACED) || sight.place.is_none())
    }

    /// Takes in another event of the stay. One long before its present
    /// interval changes nothing but the session.
    pub(crate) fn extend(&mut self, sight: &Sight) {
        if !self.has_session(sight.session) {
            self.other_session = std::mem::replace(&mut self.session, sight.session);
        }
        if sight.now > self.last {
            if sight.now / DAY != self.last / DAY {
                self.days = self.days.saturating_add(1);
            }
            if sight.now - self.last > PAUSE {
                self.first = sight.now;
            }
            self.last = sight.now;
            (self.address_high, self.address_low) = sight.address;
        } else if sight.now < self.first && self.first - sight.now <= PAUSE {
            self.first = sight.now;
        }
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it tells where the user is.
    pub(crate) fn is_trusted(&self) -> bool {
        self.has(PLACED) && !self.has(SUSPECT) && !self.has(DISPUTED)
    }

    pub(crate) fn place(&self) -> Option<Place> {
        let point = Point {
            latitude: self.latitude,
            longitude: self.longitude,
        };
        self.has(PLACED).then_some(Place {
            point,
            accuracy_km: self.accuracy_km,
        })
    }

    pub(crate) fn set_place(&mut self, place: Place) {
        self.latitude = place.point.latitude;
        self.longitude = place.point.longitude;
        self.accuracy_km = place.accuracy_km;
        self.flags |= PLACED;
    }

    pub(crate) fn kind(&self) -> NetworkKind {
        NetworkKind::from_number(u32::from(self.kind))
    }

    /// Seconds between `now` and the interval; 0 within it.
    pub(crate) fn seconds_from(&self, now: u32) -> u32 {
        if now < self.first {
            self.first - now
        } else {
            now.saturating_sub(self.last)
        }
    }

    /// Whether both are certainly one client: one device, or, where no device
    /// is named, one session of one user agent.
    pub(crate) fn same_client(&self, other: &Self) -> bool {
        if self.device != 0 && other.device != 0 {
            return self.device == other.device
                && (self.agent == other.agent || self.agent == 0 || other.agent == 0);
        }
        self.shares_session(other) && self.agent != 0 && self.agent == other.agent
    }

    /// How much would be lost if it were forgotten at `now`: where a habit or
    /// this day shows the user to be before single visits of other days, and
    /// those before what was reported. Where the user's things have been today
    /// matters although the place is doubted or unknown: it tells whose a door
    /// is. A flood of doubted doors displaces only the like.
    fn worth(&self, now: u32) -> u8 {
        let age = self.seconds_from(now);
        let habit = self.days > 1 && age < HABIT_DAYS * DAY;
        let fresh = age < DAY;
        match (self.is_trusted(), habit || fresh) {
            (true, true) => 3,
            (true, false) => 2,
            (false, _) if fresh && !self.has(SUSPECT) => 2,
            (false, _) if habit && !self.has(SUSPECT) => 1,
            _ => 0,
        }
    }

    fn has_session(&self, session: u64) -> bool {
        session == 0 || self.session == session || self.other_session == session
    }

    /// Whether a session was seen in both.
    pub(crate) fn shares_session(&self, other: &Self) -> bool {
        [self.session, self.other_session].iter().any(|session| {
            *session != 0 && (*session == other.session || *session == other.other_session)
        })
    }
}

/// What is familiar of a user, apart from the stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub(crate) struct Familiar {
    version: u32,
    /// Seconds since the epoch of the first event.
    pub(crate) since: u32,
    /// Last use of a network that hides places, by a familiar client.
    pub(crate) hidden: u32,
    padding: u32,
    pub(crate) incident: Incident,
    /// User-agent families.
    pub(crate) agents: Recent<6>,
    countries: [u16; 8],
}

/// Form of the state; another number makes the rule start anew.
const VERSION: u32 = 1;

impl Familiar {
    pub(crate) fn countries(&self) -> impl Iterator<Item = u16> + '_ {
        self.countries
            .iter()
            .copied()
            .filter(|country| *country != 0)
    }

    /// Remembers a country in place of the one learnt first.
    pub(crate) fn learn_country(&mut self, country: u16) {
        if country != 0 && !self.countries.contains(&country) {
            self.countries.rotate_right(1);
            if let Some(first) = self.countries.first_mut() {
                *first = country;
            }
        }
    }
}

/// The state of one user.
#[derive(Debug, Default, PartialEq)]
pub struct Travels {
    pub(crate) familiar: Familiar,
    pub(crate) stays: Bounded<Stay, STAYS>,
}

impl Travels {
    /// Remembers a stay; when there is no room, what matters least is
    /// forgotten, and of equals the one not seen longest.
    pub(crate) fn remember(&mut self, stay: Stay) {
        self.stays
            .push_in_place_of_least(stay, |known| (known.worth(stay.last), known.last));
    }

    /// Becomes what the bytes say; false when they are of another form.
    fn replace(&mut self, bytes: &[u8]) -> bool {
        let Some((familiar, stays)) = bytes.split_at_checked(size_of::<Familiar>()) else {
            return false;
        };
        bytemuck::bytes_of_mut(&mut self.familiar).copy_from_slice(familiar);
        self.familiar.version == VERSION && self.stays.replace(stays)
    }
}

impl State for Travels {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut state = Self::default();
        state.replace(bytes).then_some(state)
    }

    fn load(&mut self, bytes: Option<&[u8]>) {
        if !bytes.is_some_and(|bytes| self.replace(bytes)) {
            self.familiar = Familiar::default();
            self.stays.clear();
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(bytemuck::bytes_of(&Familiar {
            version: VERSION,
            ..self.familiar
        }));
        self.stays.encode(out);
    }
}
