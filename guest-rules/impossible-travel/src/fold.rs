//! Folding one event that says something new.

use rule_sdk::detection::Findings;

use crate::evidence::{Unfamiliar, kind};
use crate::familiarity::{learn, tie};
use crate::judge::{self, Conflict, Excuse};
use crate::parameters::hours;
use crate::state::{CARRIED, DISPUTED, PLACED, SUSPECT, Stay};
use crate::{ImpossibleTravel, Travels};
use rule_sdk::detection::presence::Sight;

/// The event being folded.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Occasion {
    pub(crate) sight: Sight,
    pub(crate) user: u64,
}

impl ImpossibleTravel {
    /// A known client is back behind a known door, or still there.
    pub(crate) fn resume(
        &self,
        state: &mut Travels,
        index: usize,
        before: &Stay,
        occasion: &Occasion,
        out: &mut Findings<'_>,
    ) {
        let sight = &occasion.sight;
        let mut stay = *before;
        stay.extend(sight);
        if let (false, Some(place)) = (stay.has(PLACED), sight.place) {
            stay.set_place(place);
        }
        match judge::worst(&self.parameters, state.stays.as_slice(), &stay, sight.now) {
            None if !before.has(SUSPECT) && self.doubled(state, &stay, before.last) => {
                stay.flags |= SUSPECT;
                let reason = Unfamiliar::SecondSession;
                self.report_unfamiliar(state, &stay, reason, occasion.user, out);
            }
            None => self.believe(state, &mut stay, sight.now),
            Some(conflict) => {
                self.contradicted(state, &mut stay, before.last, &conflict, occasion, out);
            }
        }
        if stay.days > before.days {
            tie(state, &mut stay);
        }
        if let Some(slot) = state.stays.as_mut_slice().get_mut(index) {
            *slot = stay;
        }
    }

    /// A client behind a door it was not seen behind.
    pub(crate) fn arrive(&self, state: &mut Travels, occasion: &Occasion, out: &mut Findings<'_>) {
        let sight = &occasion.sight;
        let mut stay = Stay::begin(sight);
        let same_door = |known: &&Stay| known.door == stay.door && known.has(PLACED);
        if let Some(place) = state
            .stays
            .as_slice()
            .iter()
            .find(same_door)
            .and_then(Stay::place)
            && stay.has(PLACED)
        {
            // A network does not move when its record does.
            stay.set_place(place);
        }
        tie(state, &mut stay);
        match judge::worst(&self.parameters, state.stays.as_slice(), &stay, sight.now) {
            Some(conflict) => {
                self.contradicted(state, &mut stay, sight.now, &conflict, occasion, out);
            }
            None => {
                if let Some(reason) = self.unfamiliar(state, &stay, sight) {
                    stay.flags |= SUSPECT;
                    self.report_unfamiliar(state, &stay, reason, occasion.user, out);
                }
            }
        }
        if !stay.has(SUSPECT) && judge::is_carried(state.stays.as_slice(), &stay) {
            stay.flags |= CARRIED;
        }
        learn(state, &stay, sight);
        state.remember(stay);
    }

    /// Nothing speaks against a stay any more: an explained one is believed at
    /// once, a reported one when the familiar places have long been quiet.
    fn believe(&self, state: &Travels, stay: &mut Stay, now: u32) {
        stay.flags &= !DISPUTED;
        let quiet = hours(self.parameters.settle_hours);
        let elsewhere = |known: &Stay| {
            known.is_trusted() && known.door != stay.door && known.seconds_from(now) < quiet
        };
        if stay.has(SUSPECT) && !state.stays.as_slice().iter().any(elsewhere) {
            stay.flags &= !SUSPECT;
        }
    }

    /// `stay`, last seen at `last_seen` before this event, contradicts a
    /// trusted one.
    fn contradicted(
        &self,
        state: &mut Travels,
        stay: &mut Stay,
        last_seen: u32,
        conflict: &Conflict,
        occasion: &Occasion,
        out: &mut Findings<'_>,
    ) {
        if let Some(excuse) = judge::excuse(
            &self.parameters,
            state.stays.as_slice(),
            stay,
            &conflict.other,
            last_seen,
        ) {
            stay.flags &= !SUSPECT;
            doubt(state, stay, &conflict.other, DISPUTED);
            if excuse == Excuse::SameClient
                && self.parameters.report_same_device
                && stay.device != 0
            {
                self.report(state, kind::SAME_DEVICE, stay, conflict, occasion, out);
            }
            return;
        }
        // Explained before, so explained now: the door is the user's own.
        if stay.has(DISPUTED) && !judge::in_two_places(stay, &conflict.other, last_seen) {
            return;
        }
        // A stay reported before counts again once the user was elsewhere.
        if stay.has(SUSPECT) && conflict.other.last <= last_seen {
            return;
        }
        doubt(state, stay, &conflict.other, SUSPECT);
        let kind = if conflict.elapsed == 0 {
            kind::SIMULTANEOUS_USE
        } else {
            kind::IMPOSSIBLE_TRAVEL
        };
        self.report(state, kind, stay, conflict, occasion, out);
    }

    fn report(
        &self,
        state: &mut Travels,
        kind: u32,
        stay: &Stay,
        conflict: &Conflict,
        occasion: &Occasion,
        out: &mut Findings<'_>,
    ) {
        let now = occasion.sight.now;
        let incident = &mut state.familiar.incident;
        if incident.occurred(&[occasion.user], now, stay.as_number, self.continuation()) {
            let finding = crate::evidence::travel(kind, stay, conflict, now);
            out.report(finding.incident(incident.id, incident.count));
        }
    }
}

/// Marks the less established of two contradicting stays.
fn doubt(state: &mut Travels, stay: &mut Stay, other: &Stay, flag: u8) {
    let stays = state.stays.as_slice();
    if judge::standing(stays, stay) <= judge::standing(stays, other) {
        stay.flags |= flag;
        return;
    }
    for known in state
        .stays
        .as_mut_slice()
        .iter_mut()
        .filter(|known| known.door == other.door)
    {
        known.flags |= flag;
    }
}
