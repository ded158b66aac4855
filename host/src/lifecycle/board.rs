//! What is in force, for whoever asks: `sidewatch rules list`, the metrics,
//! `sidewatch top`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use sidewatch_engine::{RuleCounters, ShadowReport};

/// A version that was not put in force.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Refused {
    /// When, milliseconds since the Unix epoch.
    pub time: i64,
    /// The check that failed.
    pub stage: String,
    /// Why.
    pub reason: String,
}

/// A rule as the list shows it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Line {
    /// Name of the rule.
    pub id: String,
    /// `in force`, `off` or `refused`: there was never a usable version.
    pub state: String,
    /// Version in force.
    pub version: String,
    /// SHA-256 of its component.
    pub digest: String,
    /// What its signature proves.
    pub signature: String,
    /// Since when, milliseconds since the Unix epoch.
    pub since: i64,
    /// The version before, kept for a rollback.
    pub before: Option<String>,
    /// The version in its shadow.
    pub shadow: Option<String>,
    /// Versions put in force since the start.
    pub swaps: u64,
    /// The last version that was not.
    pub refused: Option<Refused>,
    /// What the checks showed of the version in force.
    pub notes: String,
    /// Events it was given.
    pub events: u64,
    /// Findings it reported.
    pub findings: u64,
    /// Events it failed on or was not given.
    pub failed: u64,
    /// Nanoseconds it took.
    pub nanoseconds: u64,
    /// States it keeps.
    pub states: u64,
    /// Bytes of them.
    pub state_bytes: u64,
}

/// A rule on the board.
#[derive(Debug, Default)]
pub struct Entry {
    /// What is known of it; the numbers are filled in when asked for.
    pub line: Line,
    /// Its counters, the same for all its versions.
    pub counters: Arc<RuleCounters>,
    /// What runs in its shadow shows.
    pub shadow: Option<Arc<ShadowReport>>,
}

/// Changes by how they ended; the metric `rule_swaps`.
#[derive(Debug, Default)]
pub struct SwapCounters {
    /// Versions put in force.
    pub swapped: AtomicU64,
    /// Versions that failed a check.
    pub refused: AtomicU64,
    /// Versions brought back, by request or by themselves.
    pub rolled_back: AtomicU64,
    /// Rules switched off for failing.
    pub switched_off: AtomicU64,
}

/// Everything shown, in the order of evaluation.
#[derive(Debug, Default)]
pub struct Board {
    entries: Mutex<(Vec<String>, BTreeMap<String, Entry>)>,
    /// Of all rules.
    pub swaps: SwapCounters,
}

impl Board {
    /// Changes a rule's entry, making one when it has none.
    pub fn update(&self, id: &str, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (order, entries) = &mut *entries;
        let entry = entries.entry(id.to_owned()).or_insert_with(|| {
            order.push(id.to_owned());
            Entry::default()
        });
        id.clone_into(&mut entry.line.id);
        change(entry);
    }

    /// Whether the last version of a rule that was not taken failed like this.
    #[must_use]
    pub fn is_refused(&self, id: &str, stage: &str, reason: &str) -> bool {
        let mut known = false;
        self.each(|entry| {
            let refused = entry.line.refused.as_ref();
            known |= entry.line.id == id
                && refused.is_some_and(|one| one.stage == stage && one.reason == reason);
        });
        known
    }

    /// Why the last version of a rule was not taken.
    #[must_use]
    pub fn refusal_of(&self, id: &str) -> Option<String> {
        let mut why = None;
        self.each(|entry| {
            if entry.line.id == id {
                let refused = entry.line.refused.as_ref();
                why = refused.map(|one| format!("{}: {}", one.stage, one.reason));
            }
        });
        why
    }

    /// Takes a rule off.
    pub fn remove(&self, id: &str) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.0.retain(|known| known != id);
        entries.1.remove(id);
    }

    /// Shows the rules in this order, those not named behind.
    pub fn order(&self, ids: &[String]) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let place = |id: &String| {
            ids.iter()
                .position(|named| named == id)
                .unwrap_or(usize::MAX)
        };
        entries.0.sort_by_key(place);
    }

    /// Looks at each rule in order.
    pub fn each(&self, mut look: impl FnMut(&Entry)) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (order, entries) = &*entries;
        for entry in order.iter().filter_map(|id| entries.get(id)) {
            look(entry);
        }
    }

    /// The list with its numbers at this moment.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.each(|entry| {
            let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let counters = &entry.counters;
            lines.push(Line {
                shadow: entry.shadow.as_ref().map(|shadow| shadow.version.clone()),
                events: read(&counters.events),
                findings: read(&counters.findings),
                failed: counters.failed(),
                nanoseconds: read(&counters.nanoseconds),
                states: read(&counters.states),
                state_bytes: read(&counters.state_bytes),
                ..entry.line.clone()
            });
        });
        lines
    }
}
