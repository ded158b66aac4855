//! Account sharing: one account used by unconnected households over days.
//!
//! The rule remembers which client (device, or session and user-agent family)
//! sat behind which network, and on which days two networks were in use at
//! once (A, B, A again within minutes) or took turns within a day although
//! they are too far apart for a commuter. What was ever together (two devices
//! in one network, one device or session in two) is one household's and never
//! counts: families, phone and laptop, home and office pass.
//!
//! Invariants: networks that hide or move their users are ignored; a score is
//! reported, never a verdict; an event that says nothing new does not change
//! the state.

mod evidence;
mod households;
mod parameters;
mod state;

use rule_sdk::ParameterError;
use rule_sdk::detection::presence::{Sight, vouches};
use rule_sdk::detection::{Description, Event, Findings, Kind, NetworkKind, Rule, Stored};
use rule_sdk::incident::Continuation;
use rule_sdk::parameters::seconds;

use evidence::Sharing;
use households::Households;
use state::{DAY, Pair, STATE_LIMIT, Seat};

pub use parameters::Parameters;
pub use state::Seats;

/// Seconds within which places that are used one after the other take turns.
const TURN: u32 = 16 * 60 * 60;

/// The rule.
#[derive(Debug)]
pub struct AccountSharing {
    parameters: Parameters,
    overlap_seconds: u32,
}

impl Rule for AccountSharing {
    type Parameters = Parameters;
    type State = Seats;

    fn description() -> Description {
        Description {
            id: "account-sharing",
            version: "0.1.0",
            key: &["user"],
            reads: &["device.type"],
            state_ttl: 31 * 24 * 60 * 60 * 1000,
            state_limit: STATE_LIMIT,
            kinds: &[Kind {
                id: "account-shared",
                title: "Account used by several households",
                severity: 4,
                technique: "T1078",
            }],
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        let parameters = parameters.check()?;
        let overlap_seconds = seconds(parameters.overlap_minutes, 60);
        Ok(Self {
            parameters,
            overlap_seconds,
        })
    }

    fn evaluate(&self, state: &mut Stored<Seats>, event: &Event<'_>, out: &mut Findings<'_>) {
        let Some(sight) = Sight::of(event, self.parameters.default_accuracy_km, event.text(0))
        else {
            return;
        };
        let sits = vouches(sight.kind) || sight.kind == NetworkKind::Corporate;
        if !sits || sight.tool || sight.door == 0 || (sight.device | sight.agent) == 0 {
            return;
        }
        let known = state
            .seats
            .as_slice()
            .iter()
            .position(|seat| seat.is_of(&sight));
        let covered = |index: usize| {
            state
                .seats
                .as_slice()
                .get(index)
                .is_some_and(|seat| seat.covers(&sight))
        };
        match known {
            Some(index) if covered(index) => {}
            Some(index) => self.used_again(state, index, &sight, event.user(), out),
            None => state.sit(Seat::begin(&sight)),
        }
    }
}

/// A day that two places of different households were used, which is news.
#[derive(Debug, Clone, Copy)]
struct News {
    seat: Seat,
    other: Seat,
    pair: Pair,
    households: Households,
}

impl AccountSharing {
    fn used_again(
        &self,
        state: &mut Seats,
        index: usize,
        sight: &Sight,
        user: u64,
        out: &mut Findings<'_>,
    ) {
        let Some(seat) = state.seats.as_mut_slice().get_mut(index) else {
            return;
        };
        let before = *seat;
        seat.extend(sight);
        let seat = *seat;
        if sight.now <= before.last || !vouches(sight.kind) {
            return;
        }
        let mut news: Option<News> = None;
        for other in 0..state.seats.as_slice().len() {
            let found = self.alternated(state, (index, seat), other, &before, sight);
            let more = |found: &News| {
                news.is_none_or(|news| self.weight(&found.pair) > self.weight(&news.pair))
            };
            if let Some(found) = found.filter(more) {
                news = Some(found);
            }
        }
        if let Some(news) = news {
            self.weigh(state, &news, sight.now, user, out);
        }
    }

    /// The seat is used after the other was, and had been used before it.
    fn alternated(
        &self,
        state: &mut Seats,
        (index, seat): (usize, Seat),
        other_index: usize,
        before: &Seat,
        sight: &Sight,
    ) -> Option<News> {
        let (used_before, now) = (before.last, sight.now);
        let other = *state.seats.as_slice().get(other_index)?;
        let overlap = now - used_before <= self.overlap_seconds;
        let between = other.last > used_before && other.last <= now;
        // Hours rather than a calendar day, which is another one elsewhere.
        let today = now.saturating_sub(other.last) <= TURN;
        if other.door == seat.door || !vouches(other.kind()) || !between || !(overlap || today) {
            return None;
        }
        if (overlap && households::one_agent_two_devices(&seat, &other))
            || households::session_survived(before, &seat, sight.session, &other)
        {
            state.mark_common(seat.agent);
        }
        let households = Households::of(state);
        if households.number(index) == households.number(other_index) {
            return None;
        }
        let distance = self.distance(&seat, &other);
        let far = |kilometres: f64| distance.is_some_and(|distance| distance > kilometres);
        let counts = if overlap {
            far(self.parameters.minimum_distance_km)
                || self.places(state, &households, now) >= self.parameters.nearby_places
        } else {
            far(self.parameters.commute_km)
        };
        if !counts || (distance.is_some() && self.one_town(state, index, other_index)) {
            return None;
        }
        let pair = state.note([seat.door, other.door], now / DAY, overlap)?;
        Some(News {
            seat,
            other,
            pair,
            households,
        })
    }

    /// Whether something was carried from the town of one seat to that of the
    /// other.
    fn one_town(&self, state: &Seats, index: usize, other_index: usize) -> bool {
        let near = |a: &Seat, b: &Seat| {
            self.distance(a, b)
                .is_some_and(|distance| distance <= self.parameters.minimum_distance_km)
        };
        let (seat, other) = (
            state.seats.as_slice().get(index),
            state.seats.as_slice().get(other_index),
        );
        // Near places are judged by their number, not as towns.
        let far = seat.zip(other).is_some_and(|(a, b)| !near(a, b));
        let towns = Households::of_towns(state, near);
        far && towns.number(index) == towns.number(other_index)
    }

    /// Days that speak for sharing: taking turns counts half.
    fn weight(&self, pair: &Pair) -> f64 {
        let (overlaps, turns) = pair.days(self.parameters.window_days);
        f64::from(overlaps) + f64::from(turns) / 2.0
    }

    fn weigh(&self, state: &mut Seats, news: &News, now: u32, user: u64, out: &mut Findings<'_>) {
        let continuation = Continuation::within(self.parameters.window_days * DAY);
        // Turns that become an overlap later in the day are one occurrence.
        let told_today = state.incident.count > 0 && state.incident.last / DAY == now / DAY;
        if self.weight(&news.pair) < self.parameters.days
            || told_today
            || !state.incident.occurred(&[user], now, 0, continuation)
        {
            return;
        }
        let sharing = Sharing {
            seats: [&news.seat, &news.other],
            days: news.pair.days(self.parameters.window_days),
            window_days: self.parameters.window_days,
            households: self.places(state, &news.households, now),
            clients: self.clients(state, now),
            distance_km: self.distance(&news.seat, &news.other),
            now,
        };
        out.report(
            sharing
                .finding()
                .incident(state.incident.id, state.incident.count),
        );
    }

    /// Kilometres between two seats beyond their radii; unknown without places.
    /// The radii are errors that are independent of each other, and what counts
    /// is a habit of many days, so they add up as squares.
    fn distance(&self, a: &Seat, b: &Seat) -> Option<f64> {
        let (a, b) = a.place().zip(b.place())?;
        let radii = f64::from(a.accuracy_km).hypot(f64::from(b.accuracy_km));
        if a.point.at_most_km(b.point) <= radii {
            return Some(0.0);
        }
        Some((a.point.distance_km(b.point) - radii).max(0.0))
    }

    fn is_current(&self, seat: &Seat, now: u32) -> bool {
        vouches(seat.kind()) && now.saturating_sub(seat.last) < self.parameters.window_days * DAY
    }

    /// Unconnected households in use within the window.
    fn places(&self, state: &Seats, households: &Households, now: u32) -> u32 {
        let mut seen = Vec::new();
        for (index, seat) in state.seats.as_slice().iter().enumerate() {
            let number = households.number(index);
            if self.is_current(seat, now) && !seen.contains(&number) {
                seen.push(number);
            }
        }
        u32::try_from(seen.len()).unwrap_or(u32::MAX)
    }

    /// Distinct clients in use within the window.
    fn clients(&self, state: &Seats, now: u32) -> u32 {
        let mut seen: Vec<(u64, u64)> = state
            .seats
            .as_slice()
            .iter()
            .filter(|seat| self.is_current(seat, now))
            .map(|seat| (seat.device, seat.agent))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        u32::try_from(seen.len()).unwrap_or(u32::MAX)
    }
}

rule_sdk::export_detection!(AccountSharing);
