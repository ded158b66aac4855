//! What a rule can do wrong, as data: each kind has its own counter and none
//! stops an event from reaching the sinks.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sidewatch_event::Event;
use wasmtime::Trap;

/// Why a rule gave no usable answer for a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The rule's code trapped: a panic, an out-of-bounds access …
    #[error("trapped: {0}")]
    Trapped(String),
    /// The rule ran past its deadline.
    #[error("ran longer than its deadline")]
    TimedOut,
    /// The rule wanted more memory than it may have.
    #[error("wanted more memory than its limit")]
    OutOfMemory,
    /// The answer breaks the contract.
    #[error("gave an answer that breaks the contract: {0}")]
    Rejected(String),
    /// The states it returned are too many bytes for one answer.
    #[error("its states together exceed output_bytes")]
    Crowded,
}

impl Fault {
    /// Sorts what wasmtime reports.
    pub(crate) fn from_error(error: &wasmtime::Error) -> Self {
        match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => Self::TimedOut,
            Some(trap) => Self::Trapped(trap.to_string()),
            None => {
                let text = format!("{error:#}");
                if text.contains("forcing trap when growing memory")
                    || text.contains("forcing a memory growth failure")
                {
                    Self::OutOfMemory
                } else {
                    Self::Trapped(text)
                }
            }
        }
    }

    /// The value of the metric label `reason`.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Trapped(_) => "trapped",
            Self::TimedOut => "timed_out",
            Self::OutOfMemory => "out_of_memory",
            Self::Rejected(_) | Self::Crowded => "rejected",
        }
    }
}

/// An event a rule could not evaluate; it went on to the sinks without it.
#[derive(Debug, Clone)]
pub struct FailedEvent {
    /// Identifier of the event, by which it is found in every output.
    pub event: u128,
    /// Its time, milliseconds since the Unix epoch.
    pub time: i64,
    /// Source it came from.
    pub source: Option<Arc<str>>,
    /// Version of the rule.
    pub version: Arc<str>,
    /// What went wrong.
    pub fault: Fault,
}

/// Failed events remembered per rule, the latest.
const REMEMBERED: usize = 64;

/// The latest events a rule could not evaluate.
#[derive(Debug, Default)]
pub struct FailureLog(Mutex<VecDeque<FailedEvent>>);

impl FailureLog {
    pub(crate) fn note(&self, event: &Event, version: &Arc<str>, fault: Fault) {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() == REMEMBERED {
            log.pop_front();
        }
        log.push_back(FailedEvent {
            event: event.id,
            time: event.time,
            source: event.source.clone(),
            version: Arc::clone(version),
            fault,
        });
    }

    /// Oldest first.
    #[must_use]
    pub fn latest(&self) -> Vec<FailedEvent> {
        let log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().cloned().collect()
    }
}

/// Counters of one rule; read by the metrics endpoint.
#[derive(Debug, Default)]
pub struct RuleCounters {
    /// Events the rule was given, each once.
    pub events: AtomicU64,
    /// Frames evaluated, repetitions after faults included.
    pub frames: AtomicU64,
    /// Findings accepted.
    pub findings: AtomicU64,
    /// Nanoseconds spent in the rule, frame building included.
    pub nanoseconds: AtomicU64,
    /// Frames that trapped.
    pub trapped: AtomicU64,
    /// Frames that ran past their deadline.
    pub timed_out: AtomicU64,
    /// Frames that wanted too much memory.
    pub out_of_memory: AtomicU64,
    /// Frames whose answer broke the contract.
    pub rejected: AtomicU64,
    /// Times it was suspended for taking too long without failing.
    pub too_slow: AtomicU64,
    /// Events this rule could not evaluate and went without it.
    pub quarantined: AtomicU64,
    /// Events that went past the rule while it was suspended.
    pub skipped: AtomicU64,
    /// The latest events that were quarantined, with the reason.
    pub failures: FailureLog,
    /// States kept at present.
    pub states: AtomicU64,
    /// Bytes of states kept at present.
    pub state_bytes: AtomicU64,
    /// States forgotten because the rule's share of memory was full.
    pub states_evicted: AtomicU64,
}

impl RuleCounters {
    /// Events that came the rule's way, whether it saw them or not.
    pub(crate) fn seen(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Events that came the rule's way, and nanoseconds spent on them.
    pub(crate) fn given(&self) -> (u64, u64) {
        let spent = self.nanoseconds.load(Ordering::Relaxed);
        (self.events.load(Ordering::Relaxed), spent)
    }

    /// Events the rule failed on or was not given for failing on others.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.quarantined.load(Ordering::Relaxed) + self.skipped.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, fault: &Fault) {
        let counter = match fault {
            Fault::Trapped(_) => &self.trapped,
            Fault::TimedOut => &self.timed_out,
            Fault::OutOfMemory => &self.out_of_memory,
            Fault::Rejected(_) | Fault::Crowded => &self.rejected,
        };
        add(counter, 1);
    }
}

pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Ordering::Relaxed);
}
