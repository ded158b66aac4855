//! What every sink is: something that takes records in order and says how far
//! it came.
//!
//! The seam is kept narrow on purpose: a sink knows nothing of queues,
//! retries or counters, so an in-memory queue and a durable outbox can both
//! stand in front of it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sidewatch_event::Delivery;

/// A boxed future, so that sinks of different kinds share one type.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Delivers records to one remote or local place.
pub trait Sink: Send {
    /// Delivers records in order, at least once.
    ///
    /// The first [`Outcome::finished`] records are done and must not be
    /// offered again; the others must be, from the first on. A sink need not
    /// take the whole batch in one call.
    fn deliver<'a>(&'a mut self, batch: &'a [Delivery]) -> BoxFuture<'a, Outcome>;

    /// Flushes and closes after the last batch; the caller sets the deadline.
    fn close(&mut self) -> BoxFuture<'_, ()>;
}

/// How far a sink came with a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// How many records from the start of the batch are done: delivered,
    /// filtered or rejected.
    pub finished: usize,
    /// How many of those the sink left out because its settings say so.
    pub filtered: usize,
    /// Which of those the remote end (or a size limit) refused for good.
    pub rejected: Vec<Rejection>,
    /// Why the rest has to wait. Without it the rest may follow at once.
    pub retry: Option<Retry>,
}

impl Outcome {
    /// All records delivered.
    #[must_use]
    pub fn delivered(finished: usize) -> Self {
        Self {
            finished,
            ..Self::default()
        }
    }

    /// Nothing more can be done now.
    #[must_use]
    pub fn with_retry(mut self, reason: impl Into<String>) -> Self {
        self.retry = Some(Retry {
            after: Duration::ZERO,
            reason: reason.into(),
        });
        self
    }

    /// Counts the next record as refused for good.
    pub fn reject(&mut self, reason: impl Into<String>) {
        self.rejected.push(Rejection {
            index: self.finished,
            reason: reason.into(),
        });
        self.finished += 1;
    }

    /// Counts the next record as left out by the sink's settings.
    pub fn filter(&mut self) {
        self.filtered += 1;
        self.finished += 1;
    }
}

/// One record refused for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Position in the batch, below [`Outcome::finished`].
    pub index: usize,
    /// Why, in one line.
    pub reason: String,
}

/// The rest of a batch has to be offered again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Not sooner than this; zero leaves it to the caller's back-off.
    pub after: Duration,
    /// Why, in one line.
    pub reason: String,
}
