//! Password spray and credential stuffing: one network, many users' passwords.
//!
//! The rule remembers whose logins failed from a network (exactly, up to a
//! bound) and estimates how many users succeed there. Many failing users who
//! never get in, and not a small minority of those who do, are a spray: an
//! office or carrier behind one address, where people mistype and then
//! succeed, is none. A success of somebody new to the network, with the
//! attackers' client, while the spray goes on, is a stuffed account.
//!
//! Invariants: who fails and then gets in is no victim; private addresses are
//! left out unless asked for, because behind a proxy they are everybody's; the
//! state is bounded whatever names an attacker invents.

mod state;

use rule_sdk::ParameterError;
use rule_sdk::detection::{
    Activity, Description, Event, Finding, Findings, Kind, NetworkKind, Rule, Side, Stored,
};
use rule_sdk::parameters::{check_ranges, seconds};
use serde::Deserialize;

use state::{AGENTS, FAILED, Spray};

pub use state::PasswordSprayState;

const SPRAY: u32 = 0;
const STUFFED: u32 = 1;

/// Seconds by which the last success of a user may lag behind.
const GRANULARITY: u32 = 10 * 60;

/// Parameters of the rule. `rules/password-spray/README.md` explains each.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Users whose logins fail from one network that make a spray.
    pub users: u32,
    /// Within how many minutes.
    pub window_minutes: f64,
    /// Failing users for every user who succeeds, at least.
    pub ratio: f64,
    /// Whether private addresses are looked at: only where no proxy hides the
    /// clients' own.
    pub private_networks: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            users: 8,
            window_minutes: 60.0,
            ratio: 0.5,
            private_networks: false,
        }
    }
}

/// The rule.
#[derive(Debug)]
pub struct PasswordSpray {
    parameters: Parameters,
    window: u32,
}

impl Rule for PasswordSpray {
    type Parameters = Parameters;
    type State = PasswordSprayState;

    fn description() -> Description {
        Description {
            id: "password-spray",
            version: "0.1.0",
            key: &["source-network"],
            reads: &[],
            state_ttl: 2 * 24 * 60 * 60 * 1000,
            state_limit: PasswordSprayState::LIMIT,
            kinds: &[
                Kind {
                    id: "password-spray",
                    title: "Failed logins of many users from one network",
                    severity: 7,
                    technique: "T1110.003",
                },
                Kind {
                    id: "stuffing-success",
                    title: "Login in the course of a spray",
                    severity: 9,
                    technique: "T1110.004",
                },
            ],
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        check_ranges(&[
            ("users", f64::from(parameters.users), 2.0, FAILED as f64),
            ("window_minutes", parameters.window_minutes, 1.0, 1440.0),
            ("ratio", parameters.ratio, 0.0, 100.0),
        ])?;
        Ok(Self {
            parameters,
            window: seconds(parameters.window_minutes, 60),
        })
    }

    fn evaluate(
        &self,
        state: &mut Stored<PasswordSprayState>,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let private = event.network_kind() == NetworkKind::Private;
        let Some(now) = event.seconds() else { return };
        if event.user() == 0 || (private && !self.parameters.private_networks) {
            return;
        }
        match event.activity() {
            Activity::LoginFailure => self.failed(&mut state.0, event, now, out),
            Activity::LoginSuccess => self.succeeded(state, event, now, out),
            _ => {}
        }
    }
}

impl PasswordSpray {
    fn failed(&self, spray: &mut Spray, event: &Event<'_>, now: u32, out: &mut Findings<'_>) {
        let user = event.user();
        if spray.locals.knows(user, now, self.window) {
            return;
        }
        let news = !spray.failed.knows(user, now, self.window);
        spray.failed.saw(user, now);
        spray.attempts = spray.attempts.saturating_add(1);
        if event.user_agent() != 0 {
            spray.agents.saw(event.user_agent(), now);
        }
        let users = spray.failed.count(now, self.window);
        if !news || users < self.parameters.users || !self.prevails(spray, users, now) {
            return;
        }
        if spray
            .incident
            .counted(&[event.network()], now, self.window, self.parameters.users)
        {
            let listed = usize::try_from(users).is_ok_and(|users| users >= FAILED);
            let least = if listed || spray.incident.count > users {
                "at least "
            } else {
                ""
            };
            let title = format!(
                "failed logins of {least}{} users from one network",
                spray.incident.count.max(users)
            );
            let finding = self.source(Finding::new(SPRAY, title), spray, users, event, now);
            out.report(
                finding
                    .score(0.8)
                    .incident(spray.incident.id, spray.incident.occurrence()),
            );
        }
    }

    /// Whether failing users are no small minority of the network's.
    fn prevails(&self, spray: &Spray, users: u32, now: u32) -> bool {
        f64::from(users)
            >= self.parameters.ratio * f64::from(spray.successes.count(now, self.window))
    }

    fn succeeded(
        &self,
        state: &mut Stored<PasswordSprayState>,
        event: &Event<'_>,
        now: u32,
        out: &mut Findings<'_>,
    ) {
        let user = event.user();
        let local = state.0.locals.last(user);
        let failed = state.0.failed.last(user).is_some();
        if !failed && local.is_some_and(|last| now < last.saturating_add(GRANULARITY)) {
            return;
        }
        let spray = &mut state.0;
        let users = spray.failed.count(now, self.window);
        let attack = spray.incident.is_open(now, self.window) && self.prevails(spray, users, now);
        if attack && local.is_none() && self.is_attackers_client(spray, event, now) {
            let title = format!("a login in the course of a spray on {users} users");
            let incident = rule_sdk::detection::incident(&[spray.incident.id, user]);
            out.report(
                self.source(Finding::new(STUFFED, title), spray, users, event, now)
                    .score(0.8)
                    .incident(incident, 1),
            );
            return;
        }
        spray.failed.forget(user);
        spray.locals.saw(user, now);
        spray.successes.saw(user, now, self.window);
    }

    /// Whether the client is one the failures were made with. Attackers who
    /// change it all the time have none of their own.
    fn is_attackers_client(&self, spray: &Spray, event: &Event<'_>, now: u32) -> bool {
        let agent = event.user_agent();
        let many = spray.agents.count(now, self.window);
        agent == 0
            || many == 0
            || usize::try_from(many).is_ok_and(|many| many >= AGENTS)
            || spray.agents.knows(agent, now, self.window)
    }

    fn source(
        &self,
        finding: Finding,
        spray: &Spray,
        users: u32,
        event: &Event<'_>,
        now: u32,
    ) -> Finding {
        let side = Side {
            address: event.address_halves(),
            place: rule_sdk::detection::presence::place(event, event.network_kind(), 0.0),
            as_number: event.as_number(),
            country: u16::try_from(event.country()).unwrap_or(0),
            kind: event.network_kind(),
            session: event.session(),
            device: event.device(),
            agent: event.user_agent(),
        };
        finding
            .with("failing_users", users)
            .with("failing_users_total", spray.incident.count)
            .with("succeeding_users", spray.successes.count(now, self.window))
            .with("failed_logins", spray.attempts)
            .with("clients", spray.agents.count(now, self.window))
            .with("window_minutes", self.window / 60)
            .with_seconds("first_time", spray.incident.first)
            .with_seconds("time", now)
            .with_side("", &side)
            .with("not_suppressed", "the failing users never got in from here, and are no small minority of the network's users")
    }
}

rule_sdk::export_detection!(PasswordSpray);
