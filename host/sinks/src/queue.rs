//! The bounded in-memory queue in front of one sink.
//!
//! Offering never blocks. When the queue is full, findings outrank events:
//! the oldest event makes room, for a finding as for a newer event. A queue
//! full of findings keeps them and drops the newcomer, so that the first
//! reports of an incident survive. Every loss is counted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sidewatch_event::Delivery;
use tokio::sync::Notify;

use crate::counters::SinkCounters;
use crate::sink::{BoxFuture, Outcome};

#[derive(Default)]
struct State {
    /// Records with their place in the order of arrival.
    events: VecDeque<(u64, Delivery)>,
    findings: VecDeque<(u64, Delivery)>,
    arrivals: u64,
    senders: usize,
}

struct Shared {
    name: Box<str>,
    capacity: usize,
    state: Mutex<State>,
    arrived: Notify,
    counters: Arc<SinkCounters>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the queue of the sink called `name`, holding at most `capacity`
/// records (at least one).
#[must_use]
pub fn queue(name: &str, capacity: usize) -> (QueueSender, QueueReceiver) {
    let shared = Arc::new(Shared {
        name: name.into(),
        capacity: capacity.max(1),
        state: Mutex::new(State {
            senders: 1,
            ..State::default()
        }),
        arrived: Notify::new(),
        counters: Arc::new(SinkCounters::default()),
    });
    (
        QueueSender {
            shared: Arc::clone(&shared),
        },
        QueueReceiver { shared },
    )
}

/// The end records are put in at. The queue ends when every clone is dropped.
pub struct QueueSender {
    shared: Arc<Shared>,
}

impl QueueSender {
    /// Puts a record in, dropping one if the queue is full.
    pub fn offer(&self, delivery: Delivery) {
        self.offer_all(std::iter::once(delivery));
    }

    /// Puts records in under one lock, dropping what does not fit.
    pub fn offer_all(&self, deliveries: impl IntoIterator<Item = Delivery>) {
        let (mut received, mut dropped) = (0, 0);
        {
            let mut state = self.shared.lock();
            for delivery in deliveries {
                received += 1;
                dropped += u64::from(!state.insert(delivery, self.shared.capacity));
            }
            // Counted before the lock is released, so that the receiver
            // cannot finish a record nobody has counted yet.
            self.shared.counters.add_offered(received, dropped);
        }
        self.shared.arrived.notify_one();
    }

    /// The numbers of this sink.
    #[must_use]
    pub fn counters(&self) -> &Arc<SinkCounters> {
        &self.shared.counters
    }
}

impl Clone for QueueSender {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for QueueSender {
    fn drop(&mut self) {
        self.shared.lock().senders -= 1;
        self.shared.arrived.notify_one();
    }
}

impl State {
    /// Puts a record in; `false` when that, or an older one, was lost.
    fn insert(&mut self, delivery: Delivery, capacity: usize) -> bool {
        let full = self.events.len() + self.findings.len() >= capacity;
        let kept_all = !full;
        if full && self.events.pop_front().is_none() {
            return false;
        }
        let arrival = self.arrivals;
        self.arrivals += 1;
        match delivery {
            Delivery::Event(_) => self.events.push_back((arrival, delivery)),
            Delivery::Finding(_) => self.findings.push_back((arrival, delivery)),
        }
        kept_all
    }

    /// The oldest record of either kind.
    fn remove(&mut self) -> Option<Delivery> {
        let event = self.events.front().map(|(arrival, _)| *arrival);
        let finding = self.findings.front().map(|(arrival, _)| *arrival);
        let events_first = match (event, finding) {
            (Some(event), Some(finding)) => event < finding,
            (event, _) => event.is_some(),
        };
        let queue = if events_first {
            &mut self.events
        } else {
            &mut self.findings
        };
        queue.pop_front().map(|(_, delivery)| delivery)
    }
}

/// The end [`crate::drive`] takes records from.
pub struct QueueReceiver {
    shared: Arc<Shared>,
}

/// Where [`crate::drive`] takes a sink's records from: a queue in memory, or
/// an outbox that outlives the process.
pub trait RecordQueue: Send {
    /// Name of the sink, for logs.
    fn name(&self) -> &str;

    /// The numbers of this sink.
    fn counters(&self) -> &Arc<SinkCounters>;

    /// Waits for records and moves up to `limit` of them, oldest first, into
    /// `batch`. Adds none only when there will never be any more. Cancelling
    /// the wait loses nothing.
    fn receive<'a>(&'a mut self, limit: usize, batch: &'a mut Vec<Delivery>) -> BoxFuture<'a, ()>;

    /// The first records of `batch` are finished, as `outcome` says. It has
    /// been counted.
    fn finish<'a>(&'a mut self, outcome: &'a Outcome, batch: &'a [Delivery]) -> BoxFuture<'a, ()>;

    /// Nothing more is taken; `undelivered` records were taken and not
    /// finished.
    fn abandon(&mut self, undelivered: usize);
}

impl RecordQueue for QueueReceiver {
    fn name(&self) -> &str {
        QueueReceiver::name(self)
    }

    fn counters(&self) -> &Arc<SinkCounters> {
        QueueReceiver::counters(self)
    }

    fn receive<'a>(&'a mut self, limit: usize, batch: &'a mut Vec<Delivery>) -> BoxFuture<'a, ()> {
        Box::pin(QueueReceiver::receive(self, limit, batch))
    }

    fn finish<'a>(&'a mut self, _: &'a Outcome, _: &'a [Delivery]) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn abandon(&mut self, undelivered: usize) {
        QueueReceiver::abandon(self, undelivered);
    }
}

impl QueueReceiver {
    /// Name of the sink, for logs.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The numbers of this sink.
    #[must_use]
    pub fn counters(&self) -> &Arc<SinkCounters> {
        &self.shared.counters
    }

    /// Waits for records and moves up to `limit` of them, oldest first, into
    /// `batch`. Adds none only when the queue is empty for good. Cancelling
    /// the wait loses nothing.
    pub async fn receive(&mut self, limit: usize, batch: &mut Vec<Delivery>) {
        loop {
            let arrived = self.shared.arrived.notified();
            {
                let mut state = self.shared.lock();
                batch.extend(std::iter::from_fn(|| state.remove()).take(limit.max(1)));
                if !batch.is_empty() || state.senders == 0 {
                    return;
                }
            }
            arrived.await;
        }
    }

    /// Empties the queue and counts what was in it as lost at shutdown.
    pub(crate) fn abandon(&mut self, undelivered: usize) {
        let mut state = self.shared.lock();
        let waiting = state.events.len() + state.findings.len();
        state.events.clear();
        state.findings.clear();
        let lost = waiting + undelivered;
        if lost > 0 {
            tracing::warn!(sink = %self.shared.name, lost, "records could not be delivered before the end and are lost");
        }
        self.shared.counters.add_abandoned(lost as u64);
    }
}

#[cfg(test)]
mod tests;
