//! A version that runs beside the one in force, on the same events, without
//! being heard: what would it have found, and at what cost?
//!
//! It begins with the states of the version in force, taken over key by key
//! when an event needs them, so that starting one costs no pause.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sidewatch_event::Event;

use crate::detection::{DetectionRule, RawFinding};
use crate::fault::{RuleCounters, add};
use crate::rows::{EventNumbers, Row};

/// Differences remembered, the latest.
const REMEMBERED: usize = 256;

/// Which version alone had a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The version in force.
    InForce,
    /// The version in the shadow.
    Shadow,
}

/// A finding only one of the versions had.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Who had it.
    pub side: Side,
    /// Identifier of its event.
    pub event: u128,
    /// Time of its event, milliseconds since the Unix epoch.
    pub time: i64,
    /// Kind of finding.
    pub kind: Arc<str>,
    /// 0 to 10.
    pub severity: u8,
    /// One line for a human.
    pub title: String,
}

/// What the comparison shows so far; read from outside while it goes on.
#[derive(Debug, Default)]
pub struct ShadowReport {
    /// Version in the shadow.
    pub version: String,
    /// Its own counters.
    pub counters: Arc<RuleCounters>,
    /// Events and nanoseconds the version in force spent meanwhile.
    pub events_in_force: AtomicU64,
    /// See `events_in_force`.
    pub nanoseconds_in_force: AtomicU64,
    /// Findings both had.
    pub both: AtomicU64,
    /// Findings only the version in force had.
    pub only_in_force: AtomicU64,
    /// Findings only the version in the shadow had.
    pub only_shadow: AtomicU64,
    differences: Mutex<VecDeque<Difference>>,
}

impl ShadowReport {
    /// The latest differences, oldest first.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        let differences = self
            .differences
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        differences.iter().cloned().collect()
    }

    fn differs(&self, side: Side, finding: &RawFinding, events: &[Box<Event>]) {
        let (event, time) = events
            .get(finding.event)
            .map_or((0, 0), |event| (event.id, event.time));
        let mut differences = self
            .differences
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if differences.len() == REMEMBERED {
            differences.pop_front();
        }
        differences.push_back(Difference {
            side,
            event,
            time,
            kind: Arc::clone(&finding.kind),
            severity: finding.severity,
            title: finding.title.clone(),
        });
    }
}

/// A rule in the shadow.
#[derive(Debug)]
pub(crate) struct Shadow {
    pub(crate) rule: Box<DetectionRule>,
    pub(crate) report: Arc<ShadowReport>,
    findings: Vec<RawFinding>,
}

impl Shadow {
    pub(crate) fn new(rule: Box<DetectionRule>) -> Self {
        let report = Arc::new(ShadowReport {
            version: rule.descriptor.version.to_string(),
            counters: Arc::clone(&rule.counters),
            ..ShadowReport::default()
        });
        Self {
            rule,
            report,
            findings: Vec::new(),
        }
    }

    /// Folds a batch as the version in force is about to.
    pub(crate) fn fold(
        &mut self,
        in_force: &DetectionRule,
        events: &[Box<Event>],
        rows: &[Row<EventNumbers>],
    ) {
        self.rule.take_up_states(in_force, events);
        self.findings.clear();
        self.rule.fold_rows(events, rows, &mut self.findings);
    }

    /// Compares with what the version in force found; `given` is how many of
    /// the events came its way and the nanoseconds it took.
    pub(crate) fn compare(
        &mut self,
        found: &[RawFinding],
        events: &[Box<Event>],
        given: (u64, u64),
    ) {
        let report = &self.report;
        for (counter, more) in [
            (&report.events_in_force, given.0),
            (&report.nanoseconds_in_force, given.1),
        ] {
            counter.fetch_add(more, Ordering::Relaxed);
        }
        let same = |one: &RawFinding, other: &RawFinding| {
            one.event == other.event && one.kind == other.kind
        };
        for finding in found {
            match self.findings.iter().position(|other| same(finding, other)) {
                Some(at) => {
                    self.findings.swap_remove(at);
                    add(&report.both, 1);
                }
                None => {
                    add(&report.only_in_force, 1);
                    report.differs(Side::InForce, finding, events);
                }
            }
        }
        add(&report.only_shadow, self.findings.len());
        for finding in &self.findings {
            report.differs(Side::Shadow, finding, events);
        }
    }
}
