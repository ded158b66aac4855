//! What happened to the records of one sink.
//!
//! All numbers change under one lock, so a reader always sees
//! `received + recovered = delivered + filtered + rejected + dropped + in flight`.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sink::Outcome;

/// How many refused records the status page can show.
const REMEMBERED_REFUSALS: usize = 16;

/// A consistent reading of a sink's numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records meant for this sink.
    pub received: u64,
    /// Records an earlier run left for it, and those that come once more.
    pub recovered: u64,
    /// Records the remote end took.
    pub delivered: u64,
    /// Records left out because the settings say so.
    pub filtered: u64,
    /// Records refused for good.
    pub rejected: u64,
    /// Records lost because the queue was full.
    pub dropped_queue_full: u64,
    /// Records lost because the disk they waited on was full.
    pub dropped_disk_full: u64,
    /// Records lost because what they waited in was damaged.
    pub dropped_damaged: u64,
    /// Records still waiting when the grace period at shutdown was over.
    pub dropped_shutdown: u64,
    /// Records waiting or being delivered.
    pub in_flight: u64,
    /// Attempts that ended in a wait; not part of the sum.
    pub retries: u64,
}

impl Counts {
    /// Whether every record is accounted for.
    #[must_use]
    pub fn balanced(&self) -> bool {
        let dropped = self.dropped_queue_full
            + self.dropped_disk_full
            + self.dropped_damaged
            + self.dropped_shutdown;
        self.received + self.recovered
            == self.delivered + self.filtered + self.rejected + dropped + self.in_flight
    }
}

/// A record the sink refused for good, for the status page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Identifier of the record.
    pub id: u128,
    /// Why.
    pub reason: String,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    /// Records of this run that come once more.
    again: u64,
    last_error: Option<String>,
    refusals: VecDeque<Refusal>,
}

/// The live numbers of one sink, shared by its queue, its driver and the
/// status page.
#[derive(Debug, Default)]
pub struct SinkCounters {
    state: Mutex<State>,
}

impl SinkCounters {
    /// The numbers as of now, consistent with each other.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Why the sink last had to wait; `None` once it delivers again.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.lock().last_error.clone()
    }

    /// The last refused records, oldest first.
    #[must_use]
    pub fn refusals(&self) -> Vec<Refusal> {
        self.lock().refusals.iter().cloned().collect()
    }

    /// Counts records a [`crate::Filter`] in front of the queue turned away.
    pub fn add_filtered(&self, records: u64) {
        let counts = &mut self.lock().counts;
        counts.received += records;
        counts.filtered += records;
    }

    /// Counts records that an earlier run left.
    pub fn add_recovered(&self, records: u64) {
        let counts = &mut self.lock().counts;
        counts.recovered += records;
        counts.in_flight += records;
    }

    /// Says how many records come once more in all; they count as recovered.
    pub fn set_again(&self, again: u64) {
        let state = &mut *self.lock();
        let more = again.saturating_sub(state.again);
        state.again += more;
        state.counts.recovered += more;
        state.counts.in_flight += more;
    }

    /// Says how many records were dropped in all: because too many waited,
    /// because the disk was full, and to damage.
    pub fn set_dropped(&self, queue_full: u64, disk_full: u64, damaged: u64) {
        let counts = &mut self.lock().counts;
        let mut more = 0;
        for (counted, all) in [
            (&mut counts.dropped_queue_full, queue_full),
            (&mut counts.dropped_disk_full, disk_full),
            (&mut counts.dropped_damaged, damaged),
        ] {
            more += all.saturating_sub(*counted);
            *counted = all.max(*counted);
        }
        counts.in_flight = counts.in_flight.saturating_sub(more);
    }

    /// Counts records put in front of the sink, and how many had to go for it.
    pub fn add_offered(&self, received: u64, dropped: u64) {
        let counts = &mut self.lock().counts;
        counts.received += received;
        counts.dropped_queue_full += dropped;
        counts.in_flight = (counts.in_flight + received).saturating_sub(dropped);
    }

    pub(crate) fn add_abandoned(&self, records: u64) {
        let counts = &mut self.lock().counts;
        counts.dropped_shutdown += records;
        counts.in_flight = counts.in_flight.saturating_sub(records);
    }

    /// Counts what a sink says of a batch; `id_of` names a record of it.
    pub(crate) fn add_outcome(&self, outcome: &Outcome, id_of: impl Fn(usize) -> Option<u128>) {
        let state = &mut *self.lock();
        let finished = outcome.finished as u64;
        let rejected = outcome.rejected.len() as u64;
        let filtered = outcome.filtered as u64;
        state.counts.filtered += filtered;
        state.counts.rejected += rejected;
        state.counts.delivered += finished.saturating_sub(rejected + filtered);
        state.counts.in_flight = state.counts.in_flight.saturating_sub(finished);
        for rejection in &outcome.rejected {
            if state.refusals.len() == REMEMBERED_REFUSALS {
                state.refusals.pop_front();
            }
            let id = id_of(rejection.index).unwrap_or_default();
            state.refusals.push_back(Refusal {
                id,
                reason: rejection.reason.clone(),
            });
        }
        match &outcome.retry {
            Some(retry) => {
                state.counts.retries += 1;
                state.last_error = Some(retry.reason.clone());
            }
            None if finished > 0 => state.last_error = None,
            None => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
