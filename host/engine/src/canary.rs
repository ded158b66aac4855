//! A version's trial on recent traffic before it sees the next event.
//!
//! It runs beside a twin of the version in force, in the same thread and on
//! the same events, so a busy machine does not decide. It may not fail where
//! the other does not, not cost many times as much, not flood.

use std::time::Duration;

use sidewatch_event::Event;

use crate::detection::{DetectionRule, RawFinding};
use crate::limits::thread_time;

/// Times as expensive as the version in force a new one may be.
const SLOWER: u64 = 10;
/// Nanoseconds an event may cost whatever the other version costs.
const ALWAYS_FINE: u64 = 10_000;
/// Nanoseconds a trial of the new version may take beyond that: a fresh instance
/// touches its memory for the first time, which says nothing of the rule when
/// there are few events. The report tells what was measured, this included.
const FIRST_CALL: u64 = 300_000;
/// Nanoseconds an event may cost at most, where there is nothing to compare.
const ALONE: u64 = 100_000;
/// Findings of a hundred events that are never called a flood.
const FEW: usize = 20;

/// What the trial showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CanaryReport {
    /// Events of recent traffic.
    pub events: usize,
    /// Findings of the new version.
    pub findings: usize,
    /// Findings of the version in force.
    pub findings_in_force: usize,
    /// Nanoseconds an event cost the new version.
    pub nanoseconds: u64,
    /// The same of the version in force; 0 when there is none.
    pub nanoseconds_in_force: u64,
}

impl std::fmt::Display for CanaryReport {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.events == 0 {
            return formatter.write_str("no recent traffic to try it on");
        }
        write!(
            formatter,
            "{} recent events: {} findings ({} in force), {} ns an event ({} in force)",
            self.events,
            self.findings,
            self.findings_in_force,
            self.nanoseconds,
            self.nanoseconds_in_force
        )
    }
}

/// A state of the version in force, for the trial.
#[derive(Debug, Clone)]
pub struct SampledState {
    /// Its key.
    pub key: u64,
    /// Its bytes, as the version in force wrote them.
    pub bytes: Vec<u8>,
    /// Event time of the last change, milliseconds.
    pub changed: i64,
}

/// Tries a version that has seen nothing yet, beside a twin of the version in
/// force that has not either; both are used up by it.
///
/// # Errors
/// Why the version should not be put in force.
pub fn canary(
    candidate: &mut DetectionRule,
    in_force: Option<&mut DetectionRule>,
    events: &[Box<Event>],
    states: &[SampledState],
) -> Result<CanaryReport, String> {
    if events.is_empty() {
        return Ok(CanaryReport::default());
    }
    let (findings, nanoseconds) = trial(candidate, events, states);
    let mut report = CanaryReport {
        events: events.len(),
        findings,
        nanoseconds,
        ..CanaryReport::default()
    };
    let mut failed_in_force = 0;
    let compared = in_force.is_some();
    if let Some(rule) = in_force {
        (report.findings_in_force, report.nanoseconds_in_force) = trial(rule, events, states);
        failed_in_force = rule.counters.failed();
    }
    let failed = candidate.counters.failed();
    if failed > failed_in_force {
        let why = candidate.counters.failures.latest();
        let why = why.first().map_or_else(
            || "it was suspended".to_owned(),
            |first| format!("on event {:032x} it {}", first.event, first.fault),
        );
        return Err(format!(
            "it fails on {failed} of {} recent events; {why}",
            report.events
        ));
    }
    let most = if compared {
        report
            .nanoseconds_in_force
            .saturating_mul(SLOWER)
            .max(ALWAYS_FINE)
    } else {
        ALONE
    };
    let first_call = FIRST_CALL / report.events.max(1) as u64;
    if report.nanoseconds.saturating_sub(first_call) > most {
        return Err(format!(
            "an event costs {} ns, more than {most} ns ({} in the version in force)",
            report.nanoseconds, report.nanoseconds_in_force
        ));
    }
    let few = FEW + report.events * FEW / 100;
    if report.findings > few && report.findings > report.findings_in_force.saturating_mul(10) {
        return Err(format!(
            "it reports {} findings on {} recent events; the version in force reports {}",
            report.findings, report.events, report.findings_in_force
        ));
    }
    Ok(report)
}

/// Findings, and nanoseconds an event cost.
fn trial(rule: &mut DetectionRule, events: &[Box<Event>], states: &[SampledState]) -> (usize, u64) {
    for state in states {
        rule.states_mut()
            .set(state.key, &state.bytes, state.changed);
    }
    let begun = thread_time();
    let mut found: Vec<RawFinding> = Vec::new();
    rule.fold(events, &mut found);
    let took = match (begun, thread_time()) {
        (Some(begun), Some(ended)) => ended.saturating_sub(begun),
        _ => Duration::ZERO,
    };
    let each = took.as_nanos() / events.len().max(1) as u128;
    (found.len(), u64::try_from(each).unwrap_or(u64::MAX))
}
