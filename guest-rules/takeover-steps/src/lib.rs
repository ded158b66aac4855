//! Takeover steps: acts that are ordinary alone and telling one after the
//! other.
//!
//! - A password change and then, soon, an access token, from a network the
//!   user has not used before: somebody makes himself at home.
//! - A second factor removed and then a login from such a network.
//! - Many refused permissions within minutes: somebody tries what the account
//!   may do.
//!
//! Invariants: a network is new only where another is known, and on a user's
//! first day only if it was never seen before; networks are learnt from events
//! of people who were let in; memory is bounded.

mod state;

use rule_sdk::ParameterError;
use rule_sdk::detection::{
    Activity, Description, Event, Finding, Findings, Kind, Rule, Stored, network_text,
};
use rule_sdk::incident::Continuation;
use rule_sdk::parameters::{check_ranges, seconds};
use serde::Deserialize;

pub use state::TakeoverStepsState;
use state::{DENIALS, Known, Step};

const TOKEN_AFTER_PASSWORD: u32 = 0;
const LOGIN_WITHOUT_FACTOR: u32 = 1;
const DENIED: u32 = 2;

/// Seconds within which findings are of one incident.
const INCIDENT: u32 = 24 * 60 * 60;

/// Parameters of the rule. `rules/takeover-steps/README.md` explains each.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Minutes within which the second step follows the first.
    pub window_minutes: f64,
    /// Hours after which a network counts as the user's own.
    pub settled_hours: f64,
    /// Refused permissions that make a burst.
    pub denials: u32,
    /// Within how many minutes.
    pub denial_window_minutes: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            window_minutes: 60.0,
            settled_hours: 24.0,
            denials: 10,
            denial_window_minutes: 10.0,
        }
    }
}

/// The rule.
#[derive(Debug)]
pub struct TakeoverSteps {
    window: u32,
    settled: u32,
    denials: u32,
    denial_window: u32,
}

impl Rule for TakeoverSteps {
    type Parameters = Parameters;
    type State = TakeoverStepsState;

    fn description() -> Description {
        Description {
            id: "takeover-steps",
            version: "0.1.0",
            key: &["user"],
            reads: &[],
            state_ttl: 31 * 24 * 60 * 60 * 1000,
            state_limit: TakeoverStepsState::LIMIT,
            kinds: &[
                Kind {
                    id: "token-after-password-change",
                    title: "Password changed, then an access token created from a new network",
                    severity: 8,
                    technique: "T1098.001",
                },
                Kind {
                    id: "login-after-mfa-removal",
                    title: "Second factor removed, then a login from a new network",
                    severity: 8,
                    technique: "T1556.006",
                },
                Kind {
                    id: "permission-failure-burst",
                    title: "Many refused permissions of one user",
                    severity: 5,
                    technique: "T1069",
                },
            ],
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        let Parameters {
            window_minutes,
            settled_hours,
            denials,
            denial_window_minutes,
        } = parameters;
        check_ranges(&[
            ("window_minutes", window_minutes, 1.0, 10_080.0),
            ("settled_hours", settled_hours, 0.0, 720.0),
            ("denials", f64::from(denials), 2.0, DENIALS as f64),
            ("denial_window_minutes", denial_window_minutes, 1.0, 1440.0),
        ])?;
        Ok(Self {
            window: seconds(window_minutes, 60),
            settled: seconds(settled_hours, 3600),
            denials,
            denial_window: seconds(denial_window_minutes, 60),
        })
    }

    fn evaluate(
        &self,
        state: &mut Stored<TakeoverStepsState>,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let Some(now) = event.seconds() else { return };
        if event.activity() == Activity::PermissionDenied {
            return self.denied(&mut state.0, event, now, out);
        }
        if !event.is_presence() {
            return;
        }
        match event.activity() {
            Activity::PasswordChange => state.0.password = Step::of(now, event.network()),
            Activity::MfaRemoval => state.0.factor = Step::of(now, event.network()),
            Activity::TokenCreation => {
                let step = state.0.password;
                self.second(TOKEN_AFTER_PASSWORD, step, state, event, now, out);
            }
            Activity::LoginSuccess => {
                let step = state.0.factor;
                self.second(LOGIN_WITHOUT_FACTOR, step, state, event, now, out);
            }
            _ => {}
        }
        if event.network() != 0 && !state.0.networks.is_current(event.network(), now) {
            state.0.networks.saw(event.network(), now);
        }
    }
}

impl TakeoverSteps {
    fn second(
        &self,
        kind: u32,
        first: Step,
        state: &mut Stored<TakeoverStepsState>,
        event: &Event<'_>,
        now: u32,
        out: &mut Findings<'_>,
    ) {
        let follows = first.time != 0 && now >= first.time && now - first.time <= self.window;
        if !follows || event.network() == 0 {
            return;
        }
        let before = first.time.saturating_sub(self.settled);
        let networks = &state.0.networks;
        let unsettled =
            networks.any_since(before) && !networks.known_since(event.network(), before);
        // Without a settled one, the network of the first step has to do.
        let unseen = kind == TOKEN_AFTER_PASSWORD
            && networks.any_since(first.time)
            && !networks.known_since(event.network(), now);
        if !unsettled && !unseen {
            return;
        }
        let incident = match kind {
            TOKEN_AFTER_PASSWORD => &mut state.0.token,
            _ => &mut state.0.login,
        };
        if !incident.occurred(
            &[event.user(), u64::from(kind)],
            now,
            0,
            Continuation::within(INCIDENT),
        ) {
            return;
        }
        let minutes = f64::from(now - first.time) / 60.0;
        let (id, count) = (incident.id, incident.count);
        let title = match kind {
            TOKEN_AFTER_PASSWORD => "an access token from a new network",
            _ => "a login from a new network",
        };
        let step = match kind {
            TOKEN_AFTER_PASSWORD => "a password change",
            _ => "a second factor removed",
        };
        let same = state::short(event.network()) == first.network;
        let finding = Finding::new(kind, format!("{title} {minutes:.0} minutes after {step}"))
            .score(match (unsettled, same) {
                (true, true) => 0.9,
                (true, false) => 0.7,
                (false, _) => 0.5,
            })
            .with_seconds("first_time", first.time)
            .with_seconds("time", now)
            .with("minutes_between", minutes)
            .with("address", event.address_halves())
            .with("network", network_text(event.address_halves()))
            .with("network_kind", event.network_kind().as_str())
            .with("both_from_one_network", if same { "yes" } else { "no" })
            .with("known_networks", state.0.networks.count());
        out.report(finding.incident(id, count));
    }

    fn denied(&self, known: &mut Known, event: &Event<'_>, now: u32, out: &mut Findings<'_>) {
        known.denials.note(now);
        let count = known.denials.within(now, self.denial_window);
        if count < self.denials {
            return;
        }
        if known.burst.counted(
            &[event.user(), u64::from(DENIED)],
            now,
            self.denial_window,
            self.denials,
        ) {
            let addressed = event.address_halves() != (0, 0);
            let finding = Finding::new(
                DENIED,
                format!("{} refused permissions of one user", known.burst.count),
            )
            .score(0.6)
            .with("denials", known.burst.count)
            .with("window_minutes", f64::from(self.denial_window) / 60.0)
            .with_seconds("time", now)
            .with_some("address", addressed.then(|| event.address_halves()));
            out.report(finding.incident(known.burst.id, known.burst.occurrence()));
        }
    }
}

rule_sdk::export_detection!(TakeoverSteps);
