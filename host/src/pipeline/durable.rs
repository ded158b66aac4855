//! The pipeline's side of the store: opening it for the configured sinks,
//! giving the rules their states back, turning a folded batch into one commit.

use std::path::Path;
use std::sync::Arc;

use sidewatch_engine::{KeptState, RuleSet};
use sidewatch_event::{Delivery, Event};
use sidewatch_sinks::{Filter, SinkCounters};
use sidewatch_store::{
    Batch, Closed, Committer, Outbox, Outgoing, Policy, Recovered, Store, StoreError,
    StoreSettings, StoredState, WhenFull,
};

use super::Processor;
use super::aliases::{self, Aliases};
use crate::config::{ConfigFile, FINDINGS_LANE, SinkEntry};

/// Where the store lies in a data directory.
#[must_use]
pub fn directory(data_directory: &Path) -> std::path::PathBuf {
    data_directory.join("store")
}

/// A sink has two lanes in the store, each with its own place, so that a
/// finding does not wait behind an hour of page views: events, then findings.
fn lanes(sink: &SinkEntry) -> [Policy; 2] {
    let policy = |name: String, when_full: WhenFull| Policy {
        name,
        max_bytes: sink.buffer.max_bytes,
        when_full,
    };
    let when_full = sink.buffer.when_full.into();
    let of_events = match when_full {
        WhenFull::DropByPriority => WhenFull::DropOldest,
        other => other,
    };
    [
        policy(sink.id.clone(), of_events),
        policy(format!("{}{FINDINGS_LANE}", sink.id), when_full),
    ]
}

/// The lanes of the sink at a place in the configuration.
pub(super) fn outboxes(store: &Store, sink: usize) -> (Outbox, Outbox) {
    (store.outbox(2 * sink), store.outbox(2 * sink + 1))
}

/// The lane a record for a sink belongs to.
#[must_use]
pub fn lane(sink: &str, delivery: &Delivery) -> String {
    match delivery {
        Delivery::Event(_) => sink.to_owned(),
        Delivery::Finding(_) => format!("{sink}{FINDINGS_LANE}"),
    }
}

/// Opens the store of a configuration; none when nothing is to be kept.
///
/// # Errors
/// The directory cannot be used or is in use.
pub fn open(config: &ConfigFile) -> Result<Option<(Arc<Store>, Recovered)>, StoreError> {
    let Some(data) = config
        .data_directory
        .as_deref()
        .filter(|_| config.store.enabled)
    else {
        return Ok(None);
    };
    let policies = config.sinks.iter().flat_map(lanes).collect();
    let mut settings = StoreSettings::new(directory(data), policies);
    let smallest = config.sinks.iter().map(|sink| sink.buffer.max_bytes).min();
    // A sink loses whole segments, so there have to be several.
    let quarter = smallest.map_or(u64::MAX, |bytes| bytes / 4);
    settings.segment_bytes = config.store.segment_bytes.min(quarter.max(64 * 1024));
    let (store, recovered) = Store::open(settings)?;
    report(&recovered);
    Ok(Some((Arc::new(store), recovered)))
}

fn report(recovered: &Recovered) {
    if let Some(aside) = &recovered.damaged_database {
        tracing::error!(aside = %aside.display(), "the database of states was damaged; rules begin with what the journal still holds");
    }
    if recovered.damaged_bytes > 0 {
        tracing::error!(
            bytes = recovered.damaged_bytes,
            "part of the journal is damaged and was passed over"
        );
    }
    if recovered.missing_frames > 0 {
        tracing::error!(
            frames = recovered.missing_frames,
            "the end of the journal is gone; records in it that sinks did not have yet are lost"
        );
    }
    for (sink, waiting) in &recovered.removed_sinks {
        if *waiting > 0 {
            tracing::warn!(
                sink,
                waiting,
                "this sink is configured no more; its records are given up"
            );
        }
    }
}

/// Gives the rules the states of the earlier run, and the names it learnt.
/// States of rules that are not in force but may come wait for them.
///
/// # Errors
/// The store cannot be read.
pub fn restore(
    store: &Store,
    processor: &mut Processor,
    may_come: &[String],
) -> Result<(), StoreError> {
    let Processor {
        rules,
        aliases: names,
        ..
    } = processor;
    store.states(|id, key, state| {
        if id == aliases::STORED_AS {
            match state {
                Some(state) => names.restore(state.bytes),
                None => names.forget(key),
            }
            return;
        }
        let of_rule = |rule: &sidewatch_engine::DetectionRule| *rule.descriptor.id == *id;
        let states = match rules.detections.iter().position(of_rule) {
            Some(at) => rules.detections.get_mut(at).map(|rule| rule.states_mut()),
            None if may_come.iter().any(|one| *one == *id) => rules.waiting_states(id),
            None => None,
        };
        let Some(states) = states else {
            return;
        };
        let kept = state.map_or(
            KeptState {
                bytes: &[],
                changed: 0,
                created: 0,
                changes: 0,
            },
            |state| KeptState {
                bytes: state.bytes,
                changed: state.changed,
                created: state.created,
                changes: state.changes,
            },
        );
        states.restore(key, kept);
    })?;
    rules.remember_changes();
    names.keep_news();
    Ok(())
}

/// A sink as the folding thread sees it.
pub(super) struct Address {
    pub(super) filter: Filter,
    pub(super) counters: Arc<SinkCounters>,
}

/// Where folded batches go.
pub(super) struct Durable {
    pub(super) committer: Committer,
    pub(super) sinks: Vec<Address>,
    /// What is gathered for the next commit.
    pub(super) batch: Box<Batch>,
}

impl Durable {
    /// Where reading of the files goes on once these events are in safety.
    pub(super) fn note_origins(&mut self, events: &[Box<Event>]) {
        for origin in events.iter().filter_map(|event| event.origin) {
            match self.batch.positions.last_mut() {
                Some((file, end)) if *file == origin.file => *end = origin.end,
                _ => self.batch.positions.push((origin.file, origin.end)),
            }
        }
    }

    /// Addresses the records to the sinks whose filter admits them.
    pub(super) fn address(&mut self, deliveries: &[Delivery]) {
        let before = self.batch.records.len();
        self.batch
            .records
            .extend(deliveries.iter().map(|delivery| Outgoing {
                delivery: delivery.clone(),
                sinks: 0,
            }));
        for (bit, Address { filter, counters }) in self.sinks.iter().enumerate() {
            let mut offered = 0;
            for record in self.batch.records.iter_mut().skip(before) {
                if filter.admits(&record.delivery) {
                    let lane = match record.delivery {
                        Delivery::Event(_) => 2 * bit,
                        Delivery::Finding(_) => 2 * bit + 1,
                    };
                    record.sinks |= 1 << lane;
                    offered += 1;
                }
            }
            counters.add_filtered(deliveries.len() as u64 - offered);
            counters.add_offered(offered, 0);
        }
        self.batch.records.retain(|record| record.sinks != 0);
    }

    /// Takes along what the rules remember differently now.
    pub(super) fn note_states(&mut self, rules: &mut RuleSet) {
        let mut named = None;
        let changes = &mut self.batch.states;
        rules.drain_forgotten(|id, key| {
            if named.replace(Arc::clone(id)).as_ref() != Some(id) {
                changes.rule(id);
            }
            changes.put(key, None);
        });
        for rule in &mut rules.detections {
            let changes = &mut self.batch.states;
            let id = Arc::clone(&rule.descriptor.id);
            let mut named = false;
            rule.states_mut().drain_changes(|key, state| {
                if !std::mem::replace(&mut named, true) {
                    changes.rule(&id);
                }
                changes.put(
                    key,
                    state.map(|state| StoredState {
                        bytes: state.bytes,
                        changed: state.changed,
                        created: state.created,
                        changes: state.changes,
                    }),
                );
            });
        }
    }

    /// Takes along the names that were learnt.
    pub(super) fn note_names(&mut self, names: &mut Aliases) {
        let changes = &mut self.batch.states;
        let mut named = false;
        names.tell(|key, pair| {
            if !std::mem::replace(&mut named, true) {
                changes.rule(aliases::STORED_AS);
            }
            changes.put(
                key,
                pair.map(|bytes| StoredState {
                    bytes,
                    changed: 0,
                    created: 0,
                    changes: 0,
                }),
            );
        });
    }

    /// Hands the batch in; with `receipt` events its sources are told.
    ///
    /// # Errors
    /// The store has ended.
    pub(super) fn commit(&mut self, receipt: u64) -> Result<(), Closed> {
        self.batch.receipt = receipt;
        self.committer.commit(std::mem::take(&mut self.batch))
    }
}
