//! Failed logins: guessing at one user's password or second factor.
//!
//! Failures from networks the user was never let in from make a burst sooner
//! than failures at home. A success that follows guesses, from where they came
//! and with an unknown browser, is reported as a guessed password. Many
//! second-factor prompts without a success are an attempt to wear the user
//! down; an unknown client let in after them got its way.
//!
//! Invariants: a second-factor prompt is never a failed login; what was let in
//! after guessing is never learnt; an event that says nothing new does not
//! change the state.

mod attack;
mod parameters;
mod state;

use rule_sdk::ParameterError;
use rule_sdk::detection::{Activity, Description, Event, Findings, Kind, Rule, Stored};
use rule_sdk::parameters::seconds;

pub use parameters::Parameters;
pub use state::FailedLoginsState;

/// The rule.
#[derive(Debug)]
pub struct FailedLogins {
    pub(crate) parameters: Parameters,
    pub(crate) window: u32,
    pub(crate) prompt_window: u32,
    pub(crate) familiar: u32,
}

impl Rule for FailedLogins {
    type Parameters = Parameters;
    type State = FailedLoginsState;

    fn description() -> Description {
        Description {
            id: "failed-logins",
            version: "0.1.0",
            key: &["user"],
            reads: &[],
            // As long as `familiar_days` can be; room is bounded apart from it.
            state_ttl: 366 * 24 * 60 * 60 * 1000,
            state_limit: FailedLoginsState::LIMIT,
            kinds: &[
                Kind {
                    id: "failed-login-burst",
                    title: "Many failed logins of one user",
                    severity: 5,
                    technique: "T1110.001",
                },
                Kind {
                    id: "guessed-password",
                    title: "Login after many failures",
                    severity: 8,
                    technique: "T1110.001",
                },
                Kind {
                    id: "mfa-fatigue",
                    title: "Many second-factor prompts of one user",
                    severity: 6,
                    technique: "T1621",
                },
                Kind {
                    id: "mfa-fatigue-accepted",
                    title: "Login after many second-factor prompts",
                    severity: 9,
                    technique: "T1621",
                },
            ],
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        let parameters = parameters.check()?;
        Ok(Self {
            parameters,
            window: seconds(parameters.window_minutes, 60),
            prompt_window: seconds(parameters.prompt_window_minutes, 60),
            familiar: seconds(parameters.familiar_days, 24 * 60 * 60),
        })
    }

    fn evaluate(
        &self,
        state: &mut Stored<FailedLoginsState>,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let Some(now) = event.seconds() else { return };
        match event.activity() {
            Activity::LoginFailure => self.refused(&mut state.0, event, now, out),
            Activity::MfaPrompt | Activity::MfaFailure => {
                self.prompted(&mut state.0, event, now, out)
            }
            Activity::LoginSuccess => self.let_in(state, event, now, out),
            _ if event.is_presence() => self.present(state, event, now),
            _ => {}
        }
    }
}

rule_sdk::export_detection!(FailedLogins);
