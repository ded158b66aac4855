//! Feeds one sink from its queue: batches, waits and retries, counts.
//!
//! A record leaves the driver only when the sink finished it or when the grace
//! period at shutdown is over; an outage of any length loses nothing but what
//! the bounded queue cannot hold. A sink that panics is tried again, record by
//! record; the one it panics on is refused for good.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use sidewatch_event::Delivery;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::queue::RecordQueue;
use crate::sink::{BoxFuture, Outcome, Sink};

/// A sink may need a moment to flush even when the grace period is used up.
const LEAST_CLOSING_TIME: Duration = Duration::from_millis(500);

/// How a sink is fed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DriverSettings {
    /// Most records offered to the sink at once.
    pub batch: usize,
    /// Least time between two batches, unless a full one waits. A record that
    /// comes after a pause is delivered at once; under load each batch is worth
    /// what a write costs.
    pub interval: Duration,
    /// How long records may still be delivered once shutdown has begun.
    pub grace: Duration,
    /// First delay after a failure; doubles with each further one.
    pub first_delay: Duration,
    /// Longest delay between attempts, unless the sink asks for more.
    pub longest_delay: Duration,
}

impl Default for DriverSettings {
    fn default() -> Self {
        Self {
            batch: 512,
            interval: Duration::from_millis(5),
            grace: Duration::from_secs(5),
            first_delay: Duration::from_millis(200),
            longest_delay: Duration::from_secs(30),
        }
    }
}

/// Delivers until the queue has ended, or until the grace period after
/// `shutdown` is over. Whoever resolves `shutdown` also drops the senders,
/// else the whole grace period is waited for.
pub async fn drive(
    mut sink: Box<dyn Sink>,
    mut receiver: impl RecordQueue,
    settings: DriverSettings,
    shutdown: impl Future<Output = ()> + Send,
) {
    let mut pending = Vec::with_capacity(settings.batch);
    let deadline = {
        let mut deadline = None;
        let delivering = deliver_all(sink.as_mut(), &mut receiver, &mut pending, settings);
        tokio::pin!(delivering);
        let out_of_time = async {
            shutdown.await;
            let end = Instant::now() + settings.grace;
            deadline = Some(end);
            sleep_until(end).await;
        };
        tokio::select! {
            biased;
            () = &mut delivering => {}
            () = out_of_time => {}
        }
        deadline
    };
    let lost = pending.len();
    receiver.abandon(lost);
    let left = deadline.map_or(settings.grace, |end| {
        end.saturating_duration_since(Instant::now())
    });
    if timeout(left.max(LEAST_CLOSING_TIME), sink.close())
        .await
        .is_err()
    {
        warn!(sink = receiver.name(), "the sink did not close in time");
    }
}

/// Delivers until the queue has ended. `pending` holds what is not finished,
/// so that the caller knows what is lost when it stops waiting.
async fn deliver_all(
    sink: &mut dyn Sink,
    receiver: &mut impl RecordQueue,
    pending: &mut Vec<Delivery>,
    settings: DriverSettings,
) {
    let counters = Arc::clone(receiver.counters());
    let mut backoff = Backoff::new(settings.first_delay, settings.longest_delay);
    let mut failing = false;
    let mut rest_until = Instant::now();
    let mut most = settings.batch.max(1);
    loop {
        if pending.is_empty() {
            sleep_until(rest_until).await;
            receiver.receive(settings.batch, pending).await;
            if pending.is_empty() {
                return;
            }
            if pending.len() < settings.batch {
                rest_until = Instant::now() + settings.interval;
            }
        }
        // What broke the sink goes alone next time, to be known for sure.
        let offered = pending.get(..pending.len().min(most)).unwrap_or_default();
        let delivered = guarded(sink.deliver(offered)).await;
        let broke = delivered.is_none();
        let outcome = checked(
            delivered.unwrap_or_else(|| after_breaking(offered)),
            offered.len(),
        );
        most = if broke { 1 } else { most.saturating_mul(2) };
        counters.add_outcome(&outcome, |index| pending.get(index).map(Delivery::id));
        receiver.finish(&outcome, pending).await;
        pending.drain(..outcome.finished);
        if outcome.finished > 0 {
            backoff.reset();
        }
        match outcome.retry {
            Some(retry) => {
                if !failing {
                    warn!(
                        sink = receiver.name(),
                        error = retry.reason,
                        "delivery has to wait"
                    );
                }
                failing = true;
                sleep(backoff.next_delay().max(retry.after)).await;
            }
            None => {
                if failing {
                    info!(sink = receiver.name(), "delivery goes on");
                }
                failing = false;
            }
        }
    }
}

/// The outcome of a delivery; none when it panicked.
async fn guarded(delivery: BoxFuture<'_, Outcome>) -> Option<Outcome> {
    let mut delivery = delivery;
    poll_fn(move |context| {
        let polled = catch_unwind(AssertUnwindSafe(|| delivery.as_mut().poll(context)));
        match polled {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

/// A sink that breaks on a record breaks on it again: it is refused. Among
/// several it is not known which it was.
fn after_breaking(offered: &[Delivery]) -> Outcome {
    if offered.len() > 1 {
        return Outcome::default().with_retry("the sink broke; it is tried with one record");
    }
    let mut outcome = Outcome::default();
    outcome.reject("the sink broke on this record");
    outcome
}

/// Holds a sink to its word: no more records finished than were offered, and
/// no silent standstill.
fn checked(mut outcome: Outcome, offered: usize) -> Outcome {
    outcome.finished = outcome.finished.min(offered);
    outcome
        .rejected
        .retain(|rejection| rejection.index < outcome.finished);
    outcome.filtered = outcome
        .filtered
        .min(outcome.finished - outcome.rejected.len().min(outcome.finished));
    if outcome.finished == 0 && outcome.retry.is_none() {
        return outcome.with_retry("the sink made no progress");
    }
    outcome
}

#[cfg(test)]
mod tests;
