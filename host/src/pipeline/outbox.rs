//! A sink's records out of the store, as the sinks' driver wants them: its
//! findings first, then its events, each in their order.
//!
//! Invariant: the findings the driver has come before the events it has, so
//! that what it finished can be told apart by their number.

use std::sync::Arc;
use std::time::Duration;

use sidewatch_event::Delivery;
use sidewatch_sinks::{BoxFuture, Outcome, RecordQueue, SinkCounters};
use sidewatch_sources::identity::now;
use sidewatch_store::{DeadLetters, LossReason, Lost, Outbox, Progress, Settled, StoreError};

/// Wait before the store is asked again after it refused.
const AGAIN: Duration = Duration::from_millis(500);

/// A sink's end of the store.
pub(super) struct DurableQueue {
    events: Outbox,
    findings: Outbox,
    /// Findings among the records the driver has; they are the first of them.
    findings_given: usize,
    taken: Vec<Delivery>,
    /// Events could not be read when last tried beside findings.
    failing: bool,
    dead_letters: DeadLetters,
    counters: Arc<SinkCounters>,
    /// What was lost before this run.
    lost_before: Lost,
}

impl DurableQueue {
    pub(super) fn new((events, findings): (Outbox, Outbox), dead_letters: DeadLetters) -> Self {
        let counters = Arc::new(SinkCounters::default());
        let mut queue = Self {
            events,
            findings,
            findings_given: 0,
            taken: Vec::new(),
            failing: false,
            dead_letters,
            counters,
            lost_before: Lost::default(),
        };
        queue.lost_before = queue.lost();
        queue.counters.add_recovered(queue.sum(Progress::waiting));
        queue
    }

    fn sum(&self, number: impl Fn(&Progress) -> u64) -> u64 {
        number(&self.events.progress()) + number(&self.findings.progress())
    }

    fn count(&self) {
        self.counters
            .set_again(self.events.again() + self.findings.again());
        let (now, before) = (self.lost(), &self.lost_before);
        self.counters.set_dropped(
            now.buffer_full.saturating_sub(before.buffer_full),
            now.disk_full.saturating_sub(before.disk_full),
            now.damaged.saturating_sub(before.damaged),
        );
    }

    /// What both lanes lost since they were first configured.
    fn lost(&self) -> Lost {
        let mut lost = self.events.progress().lost;
        let of_findings = self.findings.progress().lost;
        for reason in LossReason::ALL {
            lost.add(reason, of_findings.by(reason));
        }
        lost
    }

    /// Takes findings and, where there is room left, events; waits for either.
    /// Were findings taken alone, a steady flow of them would keep events
    /// waiting without end.
    async fn take(&mut self, limit: usize, batch: &mut Vec<Delivery>) -> Result<(), StoreError> {
        let Self {
            events,
            findings,
            taken,
            failing,
            ..
        } = self;
        // However many findings there are, some room is left.
        let most = limit - (limit / 8).max(usize::from(limit > 1));
        findings.receive_available(most, batch).await?;
        self.findings_given = batch.len();
        if !batch.is_empty() {
            // Findings go first, whatever is wrong with the events.
            let read = events.receive_at_hand(limit.saturating_sub(batch.len()), batch);
            if let Err(error) = &read
                && !*failing
            {
                tracing::error!(sink = events.name(), %error, "events cannot be read for now");
            }
            *failing = read.is_err();
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
        } else if !of_findings && batch.is_empty() {
            findings.receive(limit, taken).await?;
        }
        self.findings_given = taken.len();
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

/// What became of the findings and of the events of a batch whose first records
/// are findings. Which of them were left out is not told apart; their sum is
/// right.
fn divided(outcome: &Outcome, findings: usize) -> (Settled, Settled) {
    let finished = outcome.finished.min(findings);
    let rejections = outcome.rejected.iter();
    let rejected = rejections.filter(|one| one.index < finished).count();
    let filtered = outcome.filtered.min(finished - rejected);
    let of_findings = Settled {
        finished,
        filtered,
        rejected,
    };
    let of_events = Settled {
        finished: outcome.finished - finished,
        filtered: outcome.filtered - filtered,
        rejected: outcome.rejected.len() - rejected,
    };
    (of_findings, of_events)
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
                self.count();
                match self.take(limit, batch).await {
                    Ok(()) => {
                        // Before what was taken is counted as finished.
                        self.count();
                        return;
                    }
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
            let (findings, events) = divided(outcome, self.findings_given);
            self.findings_given -= findings.finished;
            self.findings.settle(findings);
            self.events.settle(events);
            self.count();
        })
    }

    fn abandon(&mut self, _: usize) {
        self.count();
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc;

    use sidewatch_event::Event;
    use sidewatch_sinks::Rejection;
    use sidewatch_store::{
        Batch, Committer, Outgoing, Policy, Running, Store, StoreSettings, WhenFull,
    };

    use super::*;
    use crate::pipeline::lanes::outboxes;

    const EVENTS: u64 = 0b01;
    const FINDINGS: u64 = 0b10;

    fn record(number: u128, sinks: u64) -> Outgoing {
        let mut event = Event::new();
        event.id = number;
        Outgoing {
            delivery: Delivery::Event(Arc::new(event)),
            sinks,
        }
    }

    /// A store with two events and two findings for one sink, in turns.
    fn filled(directory: &Path) -> (Store, Committer, Running) {
        let policies = ["all", "all findings"].map(|name| Policy {
            name: name.to_owned(),
            max_bytes: 1 << 20,
            when_full: WhenFull::Block,
        });
        let settings = StoreSettings::new(directory.to_owned(), policies.into());
        let (store, _) = Store::open(settings).unwrap();
        let (stored, storing) = mpsc::sync_channel(1);
        let (committer, running) = store
            .start(move |receipt| stored.send(receipt).unwrap_or_default())
            .unwrap();
        let records = [(1, EVENTS), (2, FINDINGS), (3, EVENTS), (4, FINDINGS)];
        let records = records.map(|(number, sinks)| record(number, sinks));
        let batch = Batch::of(records.into(), 1);
        committer.commit(Box::new(batch)).unwrap();
        storing.recv().unwrap();
        (store, committer, running)
    }

    #[tokio::test]
    async fn with_more_findings_than_room_an_event_goes_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let (store, committer, running) = filled(directory.path());
        let mut queue = DurableQueue::new(outboxes(&store, 0), store.dead_letters());
        let mut some = Vec::new();
        queue.receive(2, &mut some).await;
        let ids: Vec<u128> = some.iter().map(Delivery::id).collect();
        assert_eq!(ids, [2, 1]);
        drop(committer);
        store.close();
        running.wait();
    }

    #[tokio::test]
    async fn findings_come_first_and_keep_no_event_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let (store, committer, running) = filled(directory.path());
        let mut queue = DurableQueue::new(outboxes(&store, 0), store.dead_letters());
        let mut batch = Vec::new();
        queue.receive(512, &mut batch).await;
        let ids: Vec<u128> = batch.iter().map(Delivery::id).collect();
        assert_eq!(ids, [2, 4, 1, 3]);
        queue.finish(&Outcome::delivered(3), &batch).await;
        assert_eq!(queue.findings.progress().waiting(), 0);
        assert_eq!(queue.events.progress().waiting(), 1);
        let mut refused = Outcome::default();
        refused.reject("refused");
        queue.finish(&refused, batch.get(3..).unwrap()).await;
        assert_eq!(queue.sum(Progress::waiting), 0);
        assert_eq!(queue.sum(|progress| progress.rejected), 1);
        drop(committer);
        store.close();
        running.wait();
    }

    #[test]
    fn what_became_of_a_batch_is_divided_between_findings_and_events() {
        let mut outcome = Outcome::delivered(6);
        outcome.filtered = 3;
        outcome.rejected = [1, 4]
            .map(|index| Rejection {
                index,
                reason: "refused".to_owned(),
            })
            .into();
        let (findings, events) = divided(&outcome, 2);
        assert_eq!((findings.finished, findings.rejected), (2, 1));
        assert_eq!((events.finished, events.rejected), (4, 1));
        assert_eq!(findings.filtered + events.filtered, 3);
        let (findings, events) = divided(&outcome, 9);
        assert_eq!((findings.finished, events.finished), (6, 0));
        assert_eq!((findings.filtered, findings.rejected), (3, 2));
    }
}
