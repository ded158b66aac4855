//! The signal that ends a source: seen by tasks and by threads alike.
//!
//! A source that sees it stops reading, hands over what it holds and returns.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How long what the system holds for us already is still read at the end.
const LAST: Duration = Duration::from_secs(1);

/// How long a peer may be silent before all it had sent counts as read.
pub(crate) const SILENCE: Duration = Duration::from_millis(50);

/// Keeps sources running; [`ShutdownTrigger::trigger`] or dropping it ends them.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

/// A source's view of the signal.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Receiver<bool>);

/// The end of an input: what arrived before it is still read, for a moment.
#[derive(Debug)]
pub(crate) struct LastReads {
    shutdown: Shutdown,
    since: Option<Instant>,
}

impl LastReads {
    pub(crate) fn new(shutdown: Shutdown) -> Self {
        Self {
            shutdown,
            since: None,
        }
    }

    /// Whether only what is there already is to be read.
    pub(crate) fn have_begun(&mut self) -> bool {
        if self.since.is_none() && self.shutdown.is_triggered() {
            self.since = Some(Instant::now());
        }
        self.since.is_some()
    }

    /// Whether there was time enough for that.
    pub(crate) fn are_over(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() > LAST)
    }

    /// Waits until they begin. Cancel-safe.
    pub(crate) async fn begin(&mut self) {
        self.shutdown.triggered().await;
        self.have_begun();
    }
}

/// A trigger and its signal, which may be cloned for every source.
#[must_use]
pub fn channel() -> (ShutdownTrigger, Shutdown) {
    let (sender, receiver) = watch::channel(false);
    (ShutdownTrigger(sender), Shutdown(receiver))
}

impl ShutdownTrigger {
    /// Asks every source to end.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }
}

impl Shutdown {
    /// Whether the source should end; for threads.
    #[must_use]
    pub fn is_triggered(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits until the source should end. Cancel-safe.
    pub async fn triggered(&mut self) {
        // An error means that the trigger is gone, which ends sources too.
        drop(self.0.wait_for(|ended| *ended).await);
    }
}

#[cfg(test)]
mod tests {
    #[tokio::test]
    async fn a_dropped_trigger_ends_sources() {
        let (trigger, mut shutdown) = super::channel();
        assert!(!shutdown.is_triggered());
        drop(trigger);
        assert!(shutdown.is_triggered());
        shutdown.triggered().await;
    }

    #[tokio::test]
    async fn a_trigger_reaches_every_clone() {
        let (trigger, shutdown) = super::channel();
        let mut other = shutdown.clone();
        trigger.trigger();
        assert!(shutdown.is_triggered());
        other.triggered().await;
    }
}
