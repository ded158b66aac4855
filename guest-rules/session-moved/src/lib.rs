//! Session moved: one session id in the hands of somebody else.
//!
//! The rule remembers from which networks and with which clients a session was
//! used. A user agent never seen in the session, first seen in a network never
//! seen in it either, is somebody else with the same cookie, unless something
//! explains it ([`moved::Excuse`]). Two distant places that take turns with one
//! user agent, faster than anybody travels, are a copied cookie as well.
//!
//! Invariants: what was reported is never learnt; an event that says nothing
//! new does not change the state.

mod moved;
mod parameters;
mod state;

use rule_sdk::ParameterError;
use rule_sdk::detection::presence::Sight;
use rule_sdk::detection::{Description, Event, Findings, Kind, Rule, Stored};

use state::{STATE_LIMIT, network};

pub use parameters::Parameters;
pub use state::Spots;

/// The rule.
#[derive(Debug)]
pub struct SessionMoved {
    parameters: Parameters,
}

impl Rule for SessionMoved {
    type Parameters = Parameters;
    type State = Spots;

    fn description() -> Description {
        Description {
            id: "session-moved",
            version: "0.1.0",
            key: &["session"],
            reads: &["device.type", "user_agent.os.name"],
            state_ttl: 31 * 24 * 60 * 60 * 1000,
            state_limit: STATE_LIMIT,
            kinds: &[
                Kind {
                    id: "session-moved",
                    title: "Session used by another client from another network",
                    severity: 8,
                    technique: "T1539",
                },
                Kind {
                    id: "session-split",
                    title: "Session used by turns in two distant places",
                    severity: 6,
                    technique: "T1539",
                },
            ],
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        Ok(Self {
            parameters: parameters.check()?,
        })
    }

    fn evaluate(&self, state: &mut Stored<Spots>, event: &Event<'_>, out: &mut Findings<'_>) {
        let Some(sight) = Sight::of(event, self.parameters.default_accuracy_km, event.text(0))
        else {
            return;
        };
        let network = network(&sight, event);
        let known = state
            .spots
            .as_slice()
            .iter()
            .position(|spot| spot.is_of(&sight, network));
        match known {
            Some(index)
                if state
                    .spots
                    .as_slice()
                    .get(index)
                    .is_some_and(|spot| spot.covers(sight.now)) => {}
            Some(index) => self.used_again(state, index, &sight, event, out),
            None => self.arrived(state, &sight, event, out),
        }
    }
}

rule_sdk::export_detection!(SessionMoved);
