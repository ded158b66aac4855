//! Many devices: one user on more devices than a person has.
//!
//! The rule remembers the devices last seen with a user and reports when too
//! many of them fall within the window, and again when their number has
//! doubled. A phone, a laptop, a tablet and the office desktop pass.
//!
//! Invariants: only devices with an identifier count, and only when their user
//! was let in; an event that says nothing new does not change the state.

use bytemuck::{Pod, Zeroable};
use rule_sdk::ParameterError;
use rule_sdk::detection::presence::Sight;
use rule_sdk::detection::{Description, Event, Finding, Findings, Kind, Rule, Stored};
use rule_sdk::incident::{Continuation, Incident};
use rule_sdk::parameters::{check_ranges, seconds};
use rule_sdk::recent::Recent;
use serde::Deserialize;

/// Most devices remembered of a user; beyond that they are counted as "at least".
const DEVICES: usize = 24;

/// Seconds by which the last use of a device may lag behind.
const GRANULARITY: u32 = 60 * 60;

const DAY: u32 = 24 * 60 * 60;

/// Parameters of the rule. `rules/many-devices/README.md` explains each.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// How many devices are too many.
    pub devices: u32,
    /// Within how many days.
    pub window_days: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            devices: 6,
            window_days: 7.0,
        }
    }
}

/// The devices of one user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Devices {
    incident: Incident,
    recent: Recent<DEVICES>,
    networks: Recent<8>,
}

/// The state of one user.
#[derive(Debug, Default, PartialEq)]
pub struct ManyDevicesState(Devices);
rule_sdk::compact_state!(ManyDevicesState(Devices), 1);

/// The rule.
#[derive(Debug)]
pub struct ManyDevices {
    devices: u32,
    window: u32,
}

impl Rule for ManyDevices {
    type Parameters = Parameters;
    type State = ManyDevicesState;

    fn description() -> Description {
        Description {
            id: "many-devices",
            version: "0.1.0",
            key: &["user"],
            reads: &["device.type"],
            state_ttl: 31 * 24 * 60 * 60 * 1000,
            state_limit: ManyDevicesState::LIMIT,
            kinds: &[Kind {
                id: "many-devices",
                title: "One user on many devices",
                severity: 3,
                technique: "T1078",
            }],
        }
    }

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        let Parameters {
            devices,
            window_days,
        } = parameters;
        check_ranges(&[
            ("devices", f64::from(devices), 2.0, DEVICES as f64),
            ("window_days", window_days, 0.01, 31.0),
        ])?;
        Ok(Self {
            devices,
            window: seconds(window_days, DAY),
        })
    }

    fn evaluate(
        &self,
        state: &mut Stored<ManyDevicesState>,
        event: &Event<'_>,
        out: &mut Findings<'_>,
    ) {
        let Some(sight) = Sight::of(event, 0.0, event.text(0)) else {
            return;
        };
        let device = sight.device;
        let last = state.0.recent.last(device);
        if device == 0
            || sight.tool
            || last.is_some_and(|last| sight.now < last.saturating_add(GRANULARITY))
        {
            return;
        }
        let news = last.is_none_or(|last| sight.now - last > self.window);
        let state = &mut state.0;
        state.recent.saw(device, sight.now);
        state.networks.saw(sight.door, sight.now);
        let devices = state.recent.count(sight.now, self.window);
        if !news || devices < self.devices {
            return;
        }
        if state.incident.occurred(
            &[event.user()],
            sight.now,
            0,
            Continuation::within(self.window),
        ) {
            let finding = self.finding(state, devices, &sight);
            out.report(finding.incident(state.incident.id, state.incident.count));
        }
    }
}

impl ManyDevices {
    fn finding(&self, state: &Devices, devices: u32, sight: &Sight) -> Finding {
        let full = usize::try_from(devices).is_ok_and(|devices| devices >= DEVICES);
        let least = if full { "at least " } else { "" };
        let days = f64::from(self.window) / f64::from(DAY);
        let seen = || state.recent.within(sight.now, self.window);
        let hashes: Vec<String> = seen().map(|seen| format!("{:08x}", seen.hash)).collect();
        Finding::new(
            0,
            format!("{least}{devices} devices of one user within {days} days"),
        )
        .score(if devices >= self.devices.saturating_mul(2) {
            0.8
        } else {
            0.5
        })
        .with("devices", devices)
        .with("networks", state.networks.count(sight.now, self.window))
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
        .with("device_hashes", hashes.join(" "))
        .with(
            "not_suppressed",
            "every device has an identifier of its own and was let in; none is a tool",
        )
    }
}

rule_sdk::export_detection!(ManyDevices);
