//! Whether a new point of a session is somebody else.

use rule_sdk::detection::presence::{Sight, hides};
use rule_sdk::detection::{Event, Finding, Findings, NetworkKind, comparison};
use rule_sdk::geo::rounded;
use rule_sdk::incident::Continuation;

use crate::state::{SUSPECT, Spot, Spots, TOOL, one_phone};
use crate::{SessionMoved, parameters::Parameters};

const MOVED: u32 = 0;
const SPLIT: u32 = 1;

/// Seconds an incident of a session stays the same: longer than sessions live.
const INCIDENT: u32 = 31 * 24 * 60 * 60;

/// Why a new point of a session is its owner after all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excuse {
    /// Nothing is known of the client.
    NoAgent,
    /// The same kind of client roams.
    KnownAgent,
    /// Another client in the same network.
    KnownNetwork,
    /// The device's own identifier.
    KnownDevice,
    /// A token that several tools use.
    Tools,
    /// The operator's own network.
    Corporate,
    /// An app and the browser of one phone, or its desktop site, near by.
    OnePhone,
}

impl SessionMoved {
    /// A client or network that is new to the session.
    pub(crate) fn arrived(
        &self,
        state: &mut Spots,
        sight: &Sight,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let mut spot = Spot::begin(sight, event);
        let latest = state.believed().copied().max_by_key(|known| known.last);
        match latest.filter(|_| excuse(&self.parameters, state, &spot).is_none()) {
            Some(previous) => {
                spot.suspect();
                self.report(state, &previous, &spot, sight.now, event.session(), out);
            }
            None => self.turned(state, &spot, 0, sight, event, out),
        }
        state.remember(spot);
    }

    fn report(
        &self,
        state: &mut Spots,
        previous: &Spot,
        spot: &Spot,
        now: u32,
        session: u64,
        out: &mut Findings<'_>,
    ) {
        let incident = &mut state.header.incident;
        if incident.occurred(&[session], now, 0, Continuation::within(INCIDENT)) {
            let finding = moved(&self.parameters, previous, spot, now);
            out.report(finding.incident(incident.id, incident.count));
        }
    }

    /// A known client in a known network, after a minute or more.
    pub(crate) fn used_again(
        &self,
        state: &mut Spots,
        index: usize,
        sight: &Sight,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let Some(spot) = state.spots.as_mut_slice().get_mut(index) else {
            return;
        };
        let before = spot.last;
        spot.last = sight.now.max(before);
        let spot = *spot;
        if spot.has(SUSPECT) {
            // Counts again once the owner was there in between.
            let owner = state.believed().copied().max_by_key(|known| known.last);
            if let Some(owner) = owner.filter(|owner| owner.last > before) {
                self.report(state, &owner, &spot, sight.now, event.session(), out);
            }
            return;
        }
        self.turned(state, &spot, before, sight, event, out);
    }

    /// Counts turns of two distant places with one kind of client. `before` is
    /// when this place was last used, 0 for the first time.
    fn turned(
        &self,
        state: &mut Spots,
        spot: &Spot,
        before: u32,
        sight: &Sight,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let window = rule_sdk::parameters::seconds(self.parameters.split_minutes, 60);
        let elsewhere = state
            .believed()
            .filter(|known| {
                known.last > before && known.last <= sight.now && sight.now - known.last <= window
            })
            .find_map(|known| {
                distant(&self.parameters, known, spot).map(|distance| (*known, distance))
            });
        let Some((other, distance)) = elsewhere else {
            return;
        };
        let header = &mut state.header;
        let continues = sight.now.saturating_sub(header.turned) <= window;
        header.turns = if continues {
            header.turns.saturating_add(1)
        } else {
            1
        };
        header.turned = sight.now;
        let due = header.turns >= self.parameters.split_turns
            && header.incident.occurred(
                &[event.session()],
                sight.now,
                1,
                Continuation::within(INCIDENT),
            );
        if due {
            let (turns, incident) = (header.turns, &header.incident);
            let title =
                format!("used by turns in two places {distance:.0} km apart, {turns} times");
            let finding = points(Finding::new(SPLIT, title), &other, spot, sight.now)
                .score(0.5)
                .with("turns", turns)
                .with("distance_beyond_radii_km", rounded(distance, 1));
            out.report(finding.incident(incident.id, incident.count));
        }
    }
}

/// What explains a new point, if anything.
fn excuse(parameters: &Parameters, state: &Spots, spot: &Spot) -> Option<Excuse> {
    if spot.agent == 0 {
        return Some(Excuse::NoAgent);
    }
    let any = |test: &dyn Fn(&Spot) -> bool| state.believed().any(test);
    if any(&|known| known.agent == spot.agent && !other_device(known, spot)) {
        return Some(Excuse::KnownAgent);
    }
    if any(&|known| known.network == spot.network) {
        return Some(Excuse::KnownNetwork);
    }
    if any(&|known| spot.device != 0 && known.device == spot.device) {
        return Some(Excuse::KnownDevice);
    }
    if spot.has(TOOL) && any(&|known| known.has(TOOL)) {
        return Some(Excuse::Tools);
    }
    if spot.kind() == NetworkKind::Corporate {
        return Some(Excuse::Corporate);
    }
    // Nothing was ever known of the client: it cannot have changed.
    if !any(&|known| known.agent != 0) {
        return Some(Excuse::NoAgent);
    }
    let is_one_phone = |known: &Spot| {
        one_phone(known.system, spot.system)
            && !other_device(known, spot)
            && !hides(spot.kind())
            && !is_elsewhere(parameters, known, spot)
    };
    any(&is_one_phone).then_some(Excuse::OnePhone)
}

fn other_device(a: &Spot, b: &Spot) -> bool {
    a.device != 0 && b.device != 0 && a.device != b.device
}

/// Whether a point is certainly not where the other is: another country, far
/// away, or a door anybody can hire.
fn is_elsewhere(parameters: &Parameters, known: &Spot, spot: &Spot) -> bool {
    let abroad = known.country != 0 && spot.country != 0 && known.country != spot.country;
    let far = known
        .place()
        .zip(spot.place())
        .is_some_and(|(a, b)| a.gap(b, parameters.minimum_distance_km).is_some());
    abroad || far || (hides(spot.kind()) && !hides(known.kind()))
}

/// Kilometres between two points of one client in different countries of
/// different providers, when they are too far apart to take turns.
fn distant(parameters: &Parameters, a: &Spot, b: &Spot) -> Option<f64> {
    let differ = |a: u32, b: u32| a != 0 && b != 0 && a != b;
    let strangers = a.agent == b.agent
        && differ(u32::from(a.country), u32::from(b.country))
        && differ(a.as_number, b.as_number)
        && a.is_of_protocol(b);
    let (here, there) = a.place().zip(b.place())?;
    here.gap(there, parameters.split_distance_km)
        .filter(|_| strangers)
        .map(|gap| gap.beyond_km)
}

fn moved(parameters: &Parameters, previous: &Spot, spot: &Spot, now: u32) -> Finding {
    let elsewhere = is_elsewhere(parameters, previous, spot);
    let title = "used by an unknown client from an unknown network";
    let finding = points(Finding::new(MOVED, title), previous, spot, now);
    let distance = previous
        .place()
        .zip(spot.place())
        .map(|(a, b)| a.point.distance_km(b.point));
    let finding = finding
        .score(if elsewhere { 0.9 } else { 0.7 })
        .with_some("distance_km", distance.map(|distance| rounded(distance, 1)))
        .with("system", comparison(u64::from(previous.system), u64::from(spot.system)))
        .with(
            "not_suppressed",
            "neither the user agent nor the network nor the device was seen in this session before; \
             not an app and a browser of one phone near by; not the operator's network; not a token of tools",
        );
    if elsewhere {
        finding
    } else {
        finding.severity(6)
    }
}

fn points(finding: Finding, previous: &Spot, spot: &Spot, now: u32) -> Finding {
    finding
        .with_seconds("session_since", previous.first)
        .with_seconds("previous_time", previous.last)
        .with_side("previous_", &previous.side())
        .with_seconds("time", now)
        .with_side("", &spot.side())
        .with("elapsed_s", now.saturating_sub(previous.last))
        .with("device", comparison(previous.device, spot.device))
        .with("user_agent", comparison(previous.agent, spot.agent))
}
