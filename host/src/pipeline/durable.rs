//! The pipeline's side of the store: opening it for the configured sinks,
//! giving the rules their states back, turning a folded batch into one commit.

use std::path::Path;
use std::sync::Arc;

use sidewatch_engine::{KeptState, RuleSet};
use sidewatch_event::{Delivery, Event};
use sidewatch_sinks::{Filter, SinkCounters};
use sidewatch_sources::file::MemoryPositions;
use sidewatch_store::{
    Batch, Closed, Committer, Outgoing, Recovered, Store, StoreError, StoreSettings, StoredState,
};

use super::Processor;
use super::aliases::{self, Aliases};
use super::lanes::{lanes, left_of, removed_sinks, sink_of};
use super::report;
use crate::config::ConfigFile;

/// Where the store lies in a data directory.
#[must_use]
pub fn directory(data_directory: &Path) -> std::path::PathBuf {
    data_directory.join("store")
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
    let largest = config.sinks.iter().map(|sink| sink.buffer.max_bytes).max();
    settings.left_bytes = largest.unwrap_or(settings.left_bytes);
    let smallest = config.sinks.iter().map(|sink| sink.buffer.max_bytes).min();
    // A sink loses whole segments, so there have to be several.
    let quarter = smallest.map_or(u64::MAX, |bytes| bytes / 4);
    settings.segment_bytes = config.store.segment_bytes.min(quarter.max(64 * 1024));
    let (store, recovered) = Store::open(settings)?;
    tell(&recovered);
    for (sink, (waiting, _)) in removed_sinks(&store) {
        if waiting > 0 {
            tracing::warn!("{}", left_of(&sink, waiting));
        }
    }
    Ok(Some((Arc::new(store), recovered)))
}

fn tell(recovered: &Recovered) {
    if let Some(aside) = &recovered.damaged_database {
        tracing::error!(aside = %aside.display(), "the database of states was damaged; rules begin with what the journal still holds");
    }
    if recovered.database_behind > 0 {
        tracing::error!(
            frames = recovered.database_behind,
            "the database of states is older than the journal (put back from a copy?); what the rules learnt between is forgotten"
        );
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
    for (lane, waiting) in &recovered.given_up {
        let sink = sink_of(lane);
        tracing::warn!(
            sink,
            waiting,
            "this sink is configured no more, and there are too many sinks to keep what waits for it: it is lost"
        );
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
    /// Where reading of files was begun.
    pub(super) positions: Arc<MemoryPositions>,
}

impl Durable {
    /// Where reading of the files goes on once these events are in safety.
    pub(super) fn note_origins(&mut self, events: &[Box<Event>]) {
        // Before what the events say: some may be of the same files.
        self.batch.positions.extend(self.positions.take_begun());
        for origin in events.iter().filter_map(|event| event.origin) {
            match self.batch.positions.last_mut() {
                Some(last) if last.file == origin.file => *last = origin,
                _ => self.batch.positions.push(origin),
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
        let events = deliveries.iter().filter_map(|delivery| match delivery {
            Delivery::Event(event) => report::told(event),
            Delivery::Finding(_) => None,
        });
        self.batch.told.extend(events);
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
