//! Live records for whoever looks: `sidewatch tap`.
//!
//! A tap never holds anything up: it has a small queue, and what does not fit
//! is counted and left out. Without taps, a batch costs one atomic read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sidewatch_event::Delivery;
use sidewatch_sinks::Filter;
use tokio::sync::mpsc;

/// Records that may wait for a tap.
const ROOM: usize = 1024;
/// Taps at a time.
const MOST: usize = 8;

#[derive(Debug)]
struct Subscriber {
    filter: Filter,
    sender: mpsc::Sender<Delivery>,
    missed: Arc<AtomicU64>,
}

/// Everybody who looks.
#[derive(Debug, Default)]
pub struct Taps {
    count: AtomicUsize,
    subscribers: Mutex<Vec<Subscriber>>,
}

/// One who looks.
#[derive(Debug)]
pub struct Tapped {
    /// The records admitted by the filter.
    pub records: mpsc::Receiver<Delivery>,
    /// How many did not fit.
    pub missed: Arc<AtomicU64>,
}

impl Taps {
    /// Looks at what a filter admits, until the receiver is dropped; none when
    /// too many look already.
    #[must_use]
    pub fn look(&self, filter: Filter) -> Option<Tapped> {
        let mut subscribers = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|one| !one.sender.is_closed());
        if subscribers.len() >= MOST {
            return None;
        }
        let (sender, records) = mpsc::channel(ROOM);
        let missed = Arc::new(AtomicU64::new(0));
        subscribers.push(Subscriber {
            filter,
            sender,
            missed: Arc::clone(&missed),
        });
        self.count.store(subscribers.len(), Ordering::Release);
        Some(Tapped { records, missed })
    }

    /// Shows a batch to everybody who looks.
    pub fn offer(&self, deliveries: &[Delivery]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut subscribers = self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        subscribers.retain(|one| {
            for delivery in deliveries
                .iter()
                .filter(|delivery| one.filter.admits(delivery))
            {
                match one.sender.try_send(delivery.clone()) {
                    Ok(()) => {}
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        one.missed.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(mpsc::error::TrySendError::Closed(_)) => return false,
                }
            }
            true
        });
        self.count.store(subscribers.len(), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use sidewatch_event::Event;

    use super::*;

    #[test]
    fn a_slow_tap_misses_records_and_holds_nothing_up() {
        let taps = Taps::default();
        let event = |_| Delivery::Event(Arc::new(Event::new()));
        let batch: Vec<Delivery> = (0..ROOM + 10).map(event).collect();
        taps.offer(&batch);
        let mut tapped = taps.look(Filter::default()).unwrap();
        taps.offer(&batch);
        assert_eq!(tapped.missed.load(Ordering::Relaxed), 10);
        assert!(tapped.records.try_recv().is_ok());
        drop(tapped);
        taps.offer(&batch);
        assert_eq!(taps.count.load(Ordering::Relaxed), 0);
    }
}
