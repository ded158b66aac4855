//! What the running pipeline shows of itself: read by the metrics endpoint,
//! the readiness check and the summaries.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sidewatch_engine::RuleCounters;
use sidewatch_enrich::DatabaseStatus;
use sidewatch_sinks::SinkCounters;
use sidewatch_sources::SourceCounters;
use sidewatch_store::Store;

use super::taps::Taps;
use crate::config::rules::MAPPING_RULE;
use crate::lifecycle::board::Board;

/// Counters of the folding thread.
#[derive(Debug, Default)]
pub struct PipelineCounters {
    /// Events taken from the sources.
    pub received: AtomicU64,
    /// Halves of requests an earlier run left; they count as received.
    pub recovered: AtomicU64,
    /// Halves of requests that went into another event.
    pub joined: AtomicU64,
    /// Halves that came after their request had gone on alone.
    pub joined_late: AtomicU64,
    /// Halves waiting at present.
    pub waiting: AtomicU64,
    /// Events a mapping called noise.
    pub suppressed: AtomicU64,
    /// Events handed to the sinks' filters.
    pub forwarded: AtomicU64,
    /// Findings handed to the sinks' filters.
    pub findings: AtomicU64,
    /// Findings about places held back because a proxy hides the clients.
    pub findings_withheld: AtomicU64,
    /// 1 while a proxy hides the clients.
    pub clients_hidden: AtomicU64,
}

impl PipelineCounters {
    /// `received = joined + late + waiting + suppressed + forwarded`, as long
    /// as no batch is being worked on.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        let read = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        read(&self.received)
            == read(&self.joined)
                + read(&self.joined_late)
                + read(&self.waiting)
                + read(&self.suppressed)
                + read(&self.forwarded)
    }
}

/// A rule as the status shows it.
#[derive(Debug, Clone)]
pub struct RuleStatus {
    /// Name; mappings carry their pack's name after a slash.
    pub id: String,
    /// Version.
    pub version: String,
    /// Live counters.
    pub counters: Arc<RuleCounters>,
}

/// Everything the outside may ask about.
#[derive(Debug, Default)]
pub struct Status {
    /// Every source is listening and every rule in force.
    pub ready: AtomicBool,
    /// The folding thread is alive.
    pub alive: AtomicBool,
    /// Counters of the folding thread.
    pub pipeline: Arc<PipelineCounters>,
    /// By source.
    pub sources: Vec<(String, Arc<SourceCounters>)>,
    /// By sink.
    pub sinks: Vec<(String, Arc<SinkCounters>)>,
    /// By rule, as they were at the start.
    pub rules: Vec<RuleStatus>,
    /// Detection rules in force.
    pub board: Arc<Board>,
    /// Whoever looks at live records.
    pub taps: Arc<Taps>,
    databases: Mutex<Vec<DatabaseStatus>>,
    failures: Mutex<Vec<String>>,
    /// What keeps everything, when something does.
    pub store: Option<Arc<Store>>,
}

impl Status {
    /// The status of a pipeline that does not run yet.
    #[must_use]
    pub fn new(
        sources: Vec<(String, Arc<SourceCounters>)>,
        sinks: Vec<(String, Arc<SinkCounters>)>,
        rules: Vec<RuleStatus>,
    ) -> Self {
        Self {
            sources,
            sinks,
            rules,
            ..Self::default()
        }
    }

    /// Notes that a part of the pipeline failed for good.
    pub fn fail(&self, what: &str) {
        tracing::error!("{what}");
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.push(what.to_owned());
    }

    /// What failed for good: the sidecar is not whole any more.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The rules there are now.
    #[must_use]
    pub fn rules_now(&self) -> Vec<RuleStatus> {
        let mut now = Vec::new();
        self.board.each(|entry| {
            // Mappings are shown by pack.
            if entry.line.id == MAPPING_RULE {
                return;
            }
            now.push(RuleStatus {
                id: entry.line.id.clone(),
                version: entry.line.version.clone(),
                counters: Arc::clone(&entry.counters),
            });
        });
        if now.is_empty() {
            return self.rules.clone();
        }
        // Mappings carry their pack's name after a slash.
        let mappings = self.rules.iter().filter(|rule| rule.id.contains('/'));
        now.splice(0..0, mappings.cloned());
        now
    }

    /// The databases as of the last look.
    #[must_use]
    pub fn databases(&self) -> Vec<DatabaseStatus> {
        self.databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Replaces what is known of the databases.
    pub fn set_databases(&self, databases: Vec<DatabaseStatus>) {
        *self
            .databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = databases;
    }
}
