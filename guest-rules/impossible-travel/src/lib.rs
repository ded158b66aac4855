//! Impossible travel: one account in two places faster than anybody moves.
//!
//! The rule keeps the last stays of a user (client × network, as intervals of
//! event time), and asks of every new or resumed one whether the user can have
//! come from, or gone on to, the trusted others. A contradiction is either
//! explained ([`judge::Excuse`]), and then its place is not believed, or
//! reported once per incident, and then its place is never learnt.
//!
//! Invariants: networks that hide or move their users never give a place; a
//! doubted stay is never compared against; an event that says nothing new does
//! not change the state.

mod evidence;
mod familiarity;
mod fold;
mod judge;
mod parameters;
mod state;

use rule_sdk::ParameterError;
use rule_sdk::detection::{Description, Event, Findings, Kind, Rule, Stored};

use fold::Occasion;
use rule_sdk::detection::presence::Sight;
use state::STATE_LIMIT;

pub use parameters::Parameters;
pub use state::Travels;

/// The rule.
#[derive(Debug)]
pub struct ImpossibleTravel {
    parameters: Parameters,
}

impl Rule for ImpossibleTravel {
    type Parameters = Parameters;
    type State = Travels;

    fn description() -> Description {
        Description {
            id: "impossible-travel",
            version: "0.1.0",
            key: &["user"],
            reads: &["device.type"],
            state_ttl: 60 * 24 * 60 * 60 * 1000,
            state_limit: STATE_LIMIT,
            kinds: &[
                Kind {
                    id: "impossible-travel",
                    title: "Impossible travel",
                    severity: 7,
                    technique: "T1078",
                },
                Kind {
                    id: "simultaneous-use",
                    title: "Use in two distant places at once",
                    severity: 8,
                    technique: "T1078",
                },
                Kind {
                    id: "unfamiliar-access",
                    title: "Unknown device from nowhere known",
                    severity: 5,
                    technique: "T1078",
                },
                Kind {
                    id: "same-device-travel",
                    title: "One device in two distant places",
                    severity: 2,
                    technique: "",
                },
            ],
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        Ok(Self {
            parameters: parameters.check()?,
        })
    }

    fn evaluate(&self, state: &mut Stored<Travels>, event: &Event<'_>, out: &mut Findings<'_>) {
        let Some(sight) = Sight::of(event, self.parameters.default_accuracy_km, event.text(0))
        else {
            return;
        };
        let known = state
            .stays
            .as_slice()
            .iter()
            .position(|stay| stay.is_of(&sight));
        let known =
            known.and_then(|index| state.stays.as_slice().get(index).map(|stay| (index, *stay)));
        if known.is_some_and(|(_, stay)| stay.covers(&sight)) {
            return;
        }
        let occasion = Occasion {
            sight,
            user: event.user(),
        };
        match known {
            Some((index, before)) => self.resume(state, index, &before, &occasion, out),
            None => self.arrive(state, &occasion, out),
        }
    }
}

rule_sdk::export_detection!(ImpossibleTravel);
