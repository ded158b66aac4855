//! Shared device: one device (MAC address, device id, or a fingerprint the
//! operator names) with several users.
//!
//! The rule remembers the users last seen on a device and reports it when too
//! many of them fall within the window, and again when their number has
//! doubled. Two people at one tablet pass.
//!
//! Invariants: only users who were let in count; an event that says nothing
//! new does not change the state.

use bytemuck::{Pod, Zeroable};
use rule_sdk::ParameterError;
use rule_sdk::detection::presence::Sight;
use rule_sdk::detection::{Description, Event, Finding, Findings, Kind, Rule, Stored};
use rule_sdk::incident::{Continuation, Incident};
use rule_sdk::parameters::{check_ranges, seconds};
use rule_sdk::recent::Recent;
use serde::Deserialize;

/// Most users remembered of a device; beyond that they are counted as "at least".
const USERS: usize = 24;

/// Seconds by which the last use by a user may lag behind.
const GRANULARITY: u32 = 60 * 60;

const DAY: u32 = 24 * 60 * 60;

/// Parameters of the rule. `rules/shared-device/README.md` explains each.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many users make a device shared.
    pub users: u32,
    /// Within how many days.
    pub window_days: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            users: 3,
            window_days: 7.0,
        }
    }
}

/// The users of one device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Users {
    incident: Incident,
    recent: Recent<USERS>,
}

/// The state of one device.
#[derive(Debug, Default, PartialEq)]
pub struct SharedDeviceState(Users);
rule_sdk::compact_state!(SharedDeviceState(Users), 1);

/// The rule.
#[derive(Debug)]
pub struct SharedDevice {
    users: u32,
    window: u32,
}

impl Rule for SharedDevice {
    type Parameters = Parameters;
    type State = SharedDeviceState;

    fn description() -> Description {
        Description {
            id: "shared-device",
            version: "0.1.0",
            key: &["device"],
            reads: &["device.type"],
            state_ttl: 31 * 24 * 60 * 60 * 1000,
            state_limit: SharedDeviceState::LIMIT,
            kinds: &[Kind {
                id: "shared-device",
                title: "One device with several users",
                severity: 4,
                technique: "T1078",
            }],
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        let Parameters { users, window_days } = parameters;
        check_ranges(&[
            ("users", f64::from(users), 2.0, USERS as f64),
            ("window_days", window_days, 0.01, 31.0),
        ])?;
        Ok(Self {
            users,
            window: seconds(window_days, DAY),
        })
    }

    fn evaluate(
        &self,
        state: &mut Stored<SharedDeviceState>,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let Some(sight) = Sight::of(event, 0.0, event.text(0)) else {
            return;
        };
        let user = event.user();
        let last = state.0.recent.last(user);
        if user == 0
            || (sight.tool && !sight.login)
            || last.is_some_and(|last| sight.now < last.saturating_add(GRANULARITY))
        {
            return;
        }
        let news = last.is_none_or(|last| sight.now - last > self.window);
        let state = &mut state.0;
        state.recent.saw(user, sight.now);
        let users = state.recent.count(sight.now, self.window);
        if !news || users < self.users {
            return;
        }
        if state.incident.occurred(
            &[event.device()],
            sight.now,
            0,
            Continuation::within(self.window),
        ) {
            let finding = self.finding(state, users, &sight);
            out.report(finding.incident(state.incident.id, state.incident.count));
        }
    }
}

impl SharedDevice {
    fn finding(&self, state: &Users, users: u32, sight: &Sight) -> Finding {
        let full = usize::try_from(users).is_ok_and(|users| users >= USERS);
        let least = if full { "at least " } else { "" };
        let days = f64::from(self.window) / f64::from(DAY);
        let seen = || state.recent.within(sight.now, self.window);
        let hashes: Vec<String> = seen().map(|seen| format!("{:08x}", seen.hash)).collect();
        Finding::new(
            0,
            format!("{least}{users} users on one device within {days} days"),
        )
        .score(if users >= self.users.saturating_mul(2) {
            0.8
        } else {
            0.6
        })
        .with("users", users)
        .with("window_days", days)
        .with_some(
            "earliest_time",
            seen()
                .map(|seen| seen.last)
                .min()
                .map(rule_sdk::detection::time_of),
        )
        .with_seconds("time", sight.now)
        .with_side("", &sight.side())
        .with("user_hashes", hashes.join(" "))
        .with(
            "not_suppressed",
            "every one of them was let in; the client is no tool with a token",
        )
    }
}

rule_sdk::export_detection!(SharedDevice);
