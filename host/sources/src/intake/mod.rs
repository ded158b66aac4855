//! The bounded hand-over from sources to the pipeline.
//!
//! Invariants:
//! - [`Intake::offer`] never blocks: a lossy source sheds and counts;
//! - [`Intake::push`] waits for room: a source that can wait loses nothing;
//! - the receiver waits for one event, then takes what is there: a batch grows
//!   with backlog only, never by waiting;
//! - a record that cannot be read is counted always and logged a few times a
//!   minute, by its number and reason and never by its content.

mod queue;
mod reject_log;

use std::fmt::Display;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use sidewatch_event::Event;

use crate::counters::{SourceCounters, add, one};
use crate::identity::IdentifierSequence;
use queue::{Queue, Refusal};
use reject_log::RejectLog;

/// The pipeline no longer takes events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline has ended")]
pub struct Closed;

/// A source's end of the hand-over.
#[derive(Debug, Clone)]
pub struct Intake {
    source: Arc<str>,
    counters: Arc<SourceCounters>,
    identifiers: Arc<IdentifierSequence>,
    log: Arc<RejectLog>,
    senders: Arc<Senders>,
}

/// Ends the queue when the last sender goes.
#[derive(Debug)]
struct Senders(Arc<Queue>);

impl Drop for Senders {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The pipeline's end of the hand-over.
#[derive(Debug)]
pub struct IntakeReceiver(Arc<Queue>);

impl Intake {
    /// A hand-over for `capacity` events of up to 2 KiB; larger ones take the
    /// room of several. `source` is the name set as [`Event::source`].
    #[must_use]
    pub fn channel(source: Arc<str>, capacity: usize) -> (Self, IntakeReceiver) {
        let queue = Arc::new(Queue::new(capacity));
        let intake = Self {
            source,
            counters: Arc::default(),
            identifiers: Arc::default(),
            log: Arc::default(),
            senders: Arc::new(Senders(Arc::clone(&queue))),
        };
        (intake, IntakeReceiver(queue))
    }

    /// An end of the same queue for another source, with its own counters.
    #[must_use]
    pub fn for_source(&self, source: Arc<str>) -> Self {
        Self {
            source,
            counters: Arc::default(),
            identifiers: Arc::default(),
            log: Arc::default(),
            senders: Arc::clone(&self.senders),
        }
    }

    /// Name of the source.
    #[must_use]
    pub fn source(&self) -> &Arc<str> {
        &self.source
    }

    /// What this source has seen.
    #[must_use]
    pub fn counters(&self) -> &Arc<SourceCounters> {
        &self.counters
    }

    /// An empty event of this source, received at `time` (milliseconds since
    /// the epoch), with a time-ordered identifier.
    #[must_use]
    pub fn blank(&self, time: i64) -> Box<Event> {
        let mut event = Box::new(Event::new());
        event.id = self.identifiers.next(time);
        event.received = time;
        event.source = Some(Arc::clone(&self.source));
        event
    }

    /// Counts one record of `bytes` bytes as arrived. Every arrived record is
    /// then offered, pushed, rejected or counted as unauthenticated.
    pub fn arrived(&self, bytes: usize) {
        one(&self.counters.received);
        add(&self.counters.bytes, bytes as u64);
    }

    /// Hands an event over if there is room; never blocks.
    ///
    /// # Errors
    /// Gives the event back when the queue is full or the pipeline has ended;
    /// that is counted as shed.
    pub fn offer(&self, event: Box<Event>) -> Result<(), Box<Event>> {
        let offered = self.offer_quietly(event);
        self.wake();
        offered
    }

    /// Like [`Intake::offer`], but leaves waking the pipeline to a later
    /// [`Intake::wake`], so that a burst costs one wake-up.
    pub(crate) fn offer_quietly(&self, event: Box<Event>) -> Result<(), Box<Event>> {
        self.offer_numbered(event).map(drop)
    }

    /// Like [`Intake::offer_quietly`], and gives the event's number for
    /// [`Intake::is_safe`].
    pub(crate) fn offer_numbered(&self, event: Box<Event>) -> Result<u64, Box<Event>> {
        match self.senders.0.try_push(event) {
            Ok(number) => {
                one(&self.counters.decoded);
                Ok(number)
            }
            Err(Refusal::Full(event)) => {
                one(&self.counters.shed_queue_full);
                Err(event)
            }
            Err(Refusal::Closed(event)) => {
                one(&self.counters.shed_closing);
                Err(event)
            }
        }
    }

    /// Waits until the event of this number would survive the end of the
    /// process, as far as the pipeline keeps events at all.
    pub(crate) async fn is_safe(&self, number: u64) {
        self.senders.0.is_safe(number).await;
    }

    /// Wakes the pipeline if it waits and there is something to take.
    pub(crate) fn wake(&self) {
        self.senders.0.wake();
    }

    /// Hands an event over, waiting for room.
    ///
    /// # Errors
    /// The pipeline has ended; the event is dropped and counted as shed.
    pub async fn push(&self, event: Box<Event>) -> Result<(), Closed> {
        let pushed = match self.senders.0.try_push_patiently(event) {
            Err(Refusal::Full(event)) => {
                self.wake();
                self.senders.0.push(event).await
            }
            other => other,
        };
        if pushed.is_err() {
            one(&self.counters.shed_closing);
            return Err(Closed);
        }
        one(&self.counters.decoded);
        self.wake();
        Ok(())
    }

    /// [`Intake::push`] for a thread outside the asynchronous runtime.
    ///
    /// # Errors
    /// The pipeline has ended; the event is dropped and counted as shed.
    pub fn push_blocking(&self, event: Box<Event>) -> Result<(), Closed> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut pushed = std::pin::pin!(self.push(event));
        loop {
            match pushed.as_mut().poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    /// Counts a record that could not be read. `position` is its number or
    /// offset; the first few of a minute are logged with their reason.
    pub fn reject(&self, position: u64, reason: &dyn Display) {
        one(&self.counters.rejected);
        self.log.rejected(&self.source, position, reason);
    }

    /// Events waiting in the queue, of all sources that share it.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.senders.0.len()
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl IntakeReceiver {
    /// Appends up to `max` events to `into` and returns how many: waits for
    /// one, then takes what is there. 0 means that every source has ended.
    pub fn receive(&mut self, into: &mut Vec<Box<Event>>, max: usize) -> usize {
        self.0.take(into, max, None)
    }

    /// Like [`IntakeReceiver::receive`], but also returns 0 when nothing came
    /// within `timeout`; [`IntakeReceiver::is_ended`] tells the two apart.
    pub fn receive_timeout(
        &mut self,
        into: &mut Vec<Box<Event>>,
        max: usize,
        timeout: Duration,
    ) -> usize {
        self.0.take(into, max, Some(Instant::now() + timeout))
    }

    /// How many events were received.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.0.taken()
    }

    /// Says of events that they are in safety.
    #[must_use]
    pub fn acknowledger(&self) -> Acknowledger {
        Acknowledger(Arc::clone(&self.0))
    }

    /// Whether every source has ended and everything was received.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.0.is_exhausted()
    }
}

/// Tells senders that wait for it what is in safety.
#[derive(Debug, Clone)]
pub struct Acknowledger(Arc<Queue>);

impl Acknowledger {
    /// The first `count` events ever received are in safety.
    pub fn acknowledge(&self, count: u64) {
        self.0.acknowledge(count);
    }
}

impl Drop for IntakeReceiver {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests;
