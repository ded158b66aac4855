//! What is familiar of a user, and what an unfamiliar arrival means.

use rule_sdk::detection::{Findings, NetworkKind, country_text};
use rule_sdk::incident::Continuation;

use crate::evidence::{self, Unfamiliar};
use crate::parameters::hours;
use crate::state::{SUSPECT, Stay, TIED, TOOL};
use crate::{ImpossibleTravel, Travels, judge};
use rule_sdk::detection::presence::{self, Sight};

const DAY: u32 = 24 * 60 * 60;
const TWO_HOURS: u32 = 2 * 60 * 60;

impl ImpossibleTravel {
    /// How long an incident stays the same.
    pub(crate) fn continuation(&self) -> Continuation {
        let any_subject = hours(self.parameters.incident_hours);
        Continuation {
            any_subject,
            same_subject: any_subject.saturating_mul(7),
        }
    }

    /// Why an arrival is suspicious although nobody was elsewhere meanwhile.
    pub(crate) fn unfamiliar(
        &self,
        state: &Travels,
        stay: &Stay,
        sight: &Sight,
    ) -> Option<Unfamiliar> {
        let known_for = f64::from(sight.now.saturating_sub(state.familiar.since));
        let history =
            state.familiar.since != 0 && known_for >= self.parameters.history_days * f64::from(DAY);
        let stranger = stay.agent != 0
            && state.familiar.agents.last(stay.agent).is_none()
            && !state
                .stays
                .as_slice()
                .iter()
                .any(|known| !known.has(SUSPECT) && shares_identity(known, stay));
        if !self.parameters.report_unfamiliar
            || !history
            || !stranger
            || (sight.tool && !sight.login)
        {
            return None;
        }
        if presence::hides(sight.kind) {
            // Users of such networks let new devices in through them as well,
            // but hardly ever log in there with one first.
            return (state.familiar.hidden == 0 || sight.login)
                .then_some(Unfamiliar::HiddenNetwork);
        }
        // The country will do where the place is unknown.
        let located = presence::vouches(sight.kind) || sight.kind == NetworkKind::Mobile;
        let abroad = stay.country != 0
            && state.familiar.countries().count() > 0
            && state
                .familiar
                .countries()
                .all(|country| country != stay.country);
        let nearby =
            |known: &Stay| known.is_trusted() && judge::may_be_near(&self.parameters, known, stay);
        (located && abroad && !state.stays.as_slice().iter().any(nearby))
            .then_some(Unfamiliar::Country)
    }

    /// Whether `stay`, last seen at `last_seen` before this event, is a second
    /// session of a browser whose first goes on elsewhere: a person who enters
    /// a tunnel takes the session along. Asked where the place is unknown.
    pub(crate) fn doubled(&self, state: &Travels, stay: &Stay, last_seen: u32) -> bool {
        let stays = state.stays.as_slice();
        let other_door = |known: &&Stay| known.door != stay.door;
        let goes_on = |known: &Stay| {
            let in_the_open = presence::vouches(known.kind())
                || matches!(known.kind(), NetworkKind::Mobile | NetworkKind::Corporate);
            in_the_open
                && !known.has(SUSPECT)
                && known.days > 1
                && known.agent == stay.agent
                && known.session != 0
                && known.last > last_seen
                && known.seconds_from(stay.last) <= TWO_HOURS
        };
        self.parameters.report_unfamiliar
            && !stay.has(TOOL)
            && (presence::hides(stay.kind()) || is_nowhere_known(state, stay))
            && stay.agent != 0
            && stay.session != 0
            && stay.days == 1
            && !stays
                .iter()
                .filter(other_door)
                .any(|known| shares_identity(known, stay))
            && stays.iter().filter(other_door).any(goes_on)
    }

    /// Reports such an arrival.
    pub(crate) fn report_unfamiliar(
        &self,
        state: &mut Travels,
        stay: &Stay,
        reason: Unfamiliar,
        user: u64,
        out: &mut Findings<'_>,
    ) {
        let countries: Vec<String> = state.familiar.countries().map(country_text).collect();
        let days = stay.first.saturating_sub(state.familiar.since) / DAY;
        let incident = &mut state.familiar.incident;
        if incident.occurred(&[user], stay.first, stay.as_number, self.continuation()) {
            let finding = evidence::unfamiliar(stay, reason, days, &countries.join(" "));
            out.report(finding.incident(incident.id, incident.count));
        }
    }
}

/// Whether all that is known of the place is a country the user was never in.
fn is_nowhere_known(state: &Travels, stay: &Stay) -> bool {
    presence::vouches(stay.kind())
        && stay.place().is_none()
        && stay.country != 0
        && state.familiar.countries().count() > 0
        && state
            .familiar
            .countries()
            .all(|country| country != stay.country)
}

fn shares_identity(a: &Stay, b: &Stay) -> bool {
    (a.device != 0 && a.device == b.device) || a.shares_session(b)
}

/// Ties devices that share a network: they are one household's. At a fixed
/// site, where thousands come, both must have been there for days.
pub(crate) fn tie(state: &mut Travels, stay: &mut Stay) {
    const SITE_DAYS: u8 = 3;
    if stay.device == 0 || stay.has(SUSPECT) {
        return;
    }
    let shares_door = match stay.kind() {
        NetworkKind::Unknown | NetworkKind::Residential | NetworkKind::Corporate => true,
        NetworkKind::Site => stay.days >= SITE_DAYS,
        _ => false,
    };
    let subject = *stay;
    let companion = |known: &Stay| {
        shares_door
            && known.door == subject.door
            && known.device != 0
            && known.device != subject.device
            && !known.has(SUSPECT)
            && (known.kind() != NetworkKind::Site || known.days >= SITE_DAYS)
    };
    let mut tied: Vec<u64> = state
        .stays
        .as_slice()
        .iter()
        .filter(|known| companion(known))
        .map(|known| known.device)
        .collect();
    let known_tied = |known: &Stay| known.device == subject.device && known.has(TIED);
    if tied.is_empty() && !state.stays.as_slice().iter().any(known_tied) {
        return;
    }
    stay.flags |= TIED;
    tied.push(stay.device);
    for known in state
        .stays
        .as_mut_slice()
        .iter_mut()
        .filter(|known| tied.contains(&known.device))
    {
        known.flags |= TIED;
    }
}

/// Remembers what an unsuspected arrival makes familiar.
pub(crate) fn learn(state: &mut Travels, stay: &Stay, sight: &Sight) {
    if stay.has(SUSPECT) {
        return;
    }
    let familiar = &mut state.familiar;
    familiar.since = if familiar.since == 0 {
        sight.now
    } else {
        familiar.since.min(sight.now)
    };
    if stay.agent != 0 {
        familiar.agents.saw(stay.agent, sight.now);
    }
    if presence::hides(sight.kind) {
        familiar.hidden = familiar.hidden.max(sight.now);
    }
    if stay.is_trusted() || sight.kind == NetworkKind::Mobile {
        familiar.learn_country(stay.country);
    }
}
