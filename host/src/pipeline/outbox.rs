//! A sink's records out of the store, as the sinks' driver wants them: its
//! findings first, then its events, each in their order.

use std::sync::Arc;
use std::time::Duration;

use sidewatch_event::Delivery;
use sidewatch_sinks::{BoxFuture, Outcome, RecordQueue, SinkCounters};
use sidewatch_sources::identity::now;
use sidewatch_store::{DeadLetters, Outbox, Progress, Settled, StoreError};

/// Wait before the store is asked again after it refused.
const AGAIN: Duration = Duration::from_millis(500);

/// A sink's end of the store.
pub(super) struct DurableQueue {
    events: Outbox,
    findings: Outbox,
    /// Where the records the driver has came from.
    findings_given: bool,
    taken: Vec<Delivery>,
    dead_letters: DeadLetters,
    counters: Arc<SinkCounters>,
    /// Drops and damage before this run.
    lost_before: u64,
}

impl DurableQueue {
    pub(super) fn new((events, findings): (Outbox, Outbox), dead_letters: DeadLetters) -> Self {
        let counters = Arc::new(SinkCounters::default());
        let mut queue = Self {
            events,
            findings,
            findings_given: false,
            taken: Vec::new(),
            dead_letters,
            counters,
            lost_before: 0,
        };
        queue.lost_before = queue.sum(|progress| progress.dropped + progress.damaged);
        queue.counters.add_recovered(queue.sum(Progress::waiting));
        queue
    }

    fn sum(&self, number: impl Fn(&Progress) -> u64) -> u64 {
        number(&self.events.progress()) + number(&self.findings.progress())
    }

    fn count_lost(&self) {
        // In this order: one lost in between is not taken for another reason.
        let lost = self.sum(|progress| progress.dropped + progress.damaged);
        let disk_full = self.events.lost_to_full_disk() + self.findings.lost_to_full_disk();
        let others = lost.saturating_sub(self.lost_before + disk_full);
        self.counters.set_dropped(others, disk_full);
    }

    /// Takes findings when there are any, else events; waits for either.
    async fn take(&mut self, limit: usize, batch: &mut Vec<Delivery>) -> Result<(), StoreError> {
        let Self {
            events,
            findings,
            taken,
            ..
        } = self;
        findings.receive_available(limit, taken).await?;
        if !taken.is_empty() {
            self.findings_given = true;
            batch.append(taken);
            return Ok(());
        }
        // Dropping the other wait loses nothing: an outbox gives out records
        // only in the moment it returns.
        let of_findings = tokio::select! {
            biased;
            received = findings.receive(limit, taken) => received.map(|()| true),
            received = events.receive(limit, batch) => received.map(|()| false),
        }?;
        if of_findings && taken.is_empty() {
            // The store has ended: what is left are events.
            events.receive(limit, batch).await?;
            self.findings_given = false;
        } else if !of_findings && batch.is_empty() {
            findings.receive(limit, taken).await?;
            self.findings_given = true;
        } else {
            self.findings_given = of_findings;
        }
        batch.append(taken);
        Ok(())
    }

    /// Keeps what was refused, however long it takes: only then the sink may
    /// be said to have finished it.
    async fn bury(&self, outcome: &Outcome, batch: &[Delivery]) {
        let mut said = false;
        loop {
            let refused = outcome.rejected.iter().filter_map(|rejection| {
                let delivery = batch.get(rejection.index)?;
                Some((delivery, rejection.reason.as_str()))
            });
            match self.dead_letters.add(self.events.name(), now(), refused) {
                Ok(0) => return,
                Ok(gone) => {
                    tracing::warn!(gone, "too many dead letters; the oldest were removed");
                    return;
                }
                Err(error) => {
                    if !std::mem::replace(&mut said, true) {
                        tracing::warn!(sink = self.events.name(), %error, "a dead letter cannot be kept for now; the sink waits until it can");
                    }
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

impl RecordQueue for DurableQueue {
    fn name(&self) -> &str {
        self.events.name()
    }

    fn counters(&self) -> &Arc<SinkCounters> {
        &self.counters
    }

    fn receive<'a>(&'a mut self, limit: usize, batch: &'a mut Vec<Delivery>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            loop {
                self.count_lost();
                match self.take(limit, batch).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(sink = self.events.name(), %error, "records cannot be read for now");
                        tokio::time::sleep(AGAIN).await;
                    }
                }
            }
        })
    }

    fn finish<'a>(&'a mut self, outcome: &'a Outcome, batch: &'a [Delivery]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if !outcome.rejected.is_empty() {
                self.bury(outcome, batch).await;
            }
            let outbox = if self.findings_given {
                &mut self.findings
            } else {
                &mut self.events
            };
            outbox.settle(Settled {
                finished: outcome.finished,
                filtered: outcome.filtered,
                rejected: outcome.rejected.len(),
            });
            self.count_lost();
        })
    }

    fn abandon(&mut self, _: usize) {
        self.count_lost();
        let waiting = self.sum(Progress::waiting);
        if waiting > 0 {
            tracing::info!(
                sink = self.events.name(),
                waiting,
                "records stay in the store for the next start"
            );
        }
    }
}
