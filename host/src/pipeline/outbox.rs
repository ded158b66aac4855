//! A sink's records out of the store, as the sinks' driver wants them.

use std::sync::Arc;
use std::time::Duration;

use sidewatch_event::Delivery;
use sidewatch_sinks::{BoxFuture, Outcome, RecordQueue, SinkCounters};
use sidewatch_sources::identity::now;
use sidewatch_store::{DeadLetters, Outbox, Settled};

/// Wait before the store is asked again after it refused.
const AGAIN: Duration = Duration::from_millis(500);

/// A sink's end of the store.
pub(super) struct DurableQueue {
    outbox: Outbox,
    dead_letters: DeadLetters,
    counters: Arc<SinkCounters>,
    /// Drops and damage before this run.
    lost_before: u64,
}

impl DurableQueue {
    pub(super) fn new(outbox: Outbox, dead_letters: DeadLetters) -> Self {
        let counters = Arc::new(SinkCounters::default());
        let progress = outbox.progress();
        counters.add_recovered(progress.waiting());
        Self {
            outbox,
            dead_letters,
            counters,
            lost_before: progress.dropped + progress.damaged,
        }
    }

    fn count_lost(&self) {
        let progress = self.outbox.progress();
        let lost = progress.dropped + progress.damaged;
        self.counters
            .set_dropped(lost.saturating_sub(self.lost_before));
    }

    /// Keeps what was refused, however long it takes: only then the sink may
    /// be said to have finished it.
    async fn bury(&self, outcome: &Outcome, batch: &[Delivery]) {
        loop {
            let refused = outcome.rejected.iter().filter_map(|rejection| {
                let delivery = batch.get(rejection.index)?;
                Some((delivery, rejection.reason.as_str()))
            });
            match self.dead_letters.add(self.outbox.name(), now(), refused) {
                Ok(0) => return,
                Ok(gone) => {
                    tracing::warn!(gone, "too many dead letters; the oldest were removed");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "a dead letter cannot be kept for now");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

impl RecordQueue for DurableQueue {
    fn name(&self) -> &str {
        self.outbox.name()
    }

    fn counters(&self) -> &Arc<SinkCounters> {
        &self.counters
    }

    fn receive<'a>(&'a mut self, limit: usize, batch: &'a mut Vec<Delivery>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            loop {
                self.count_lost();
                match self.outbox.receive(limit, batch).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::error!(sink = self.outbox.name(), %error, "records cannot be read for now");
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
            self.outbox.settle(Settled {
                finished: outcome.finished,
                filtered: outcome.filtered,
                rejected: outcome.rejected.len(),
            });
            self.count_lost();
        })
    }

    fn abandon(&mut self, _: usize) {
        // What waits stays in the store for the next start.
        self.count_lost();
    }
}
