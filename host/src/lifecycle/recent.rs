//! The last events of real traffic, kept in memory to try new versions on.
//!
//! Under load only some batches are kept, so that the folding thread hardly
//! notices; in quiet hours every event is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sidewatch_event::Event;

/// Events kept: some dozens of frames, a few megabytes.
const KEPT: usize = 2048;
/// Time between two batches that are kept.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Default)]
struct Ring {
    events: VecDeque<Arc<Event>>,
    last: Option<Instant>,
}

/// The last events.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Ring>);

impl Recent {
    /// Keeps a batch, if it is time for one.
    pub fn note(&self, events: &[Arc<Event>]) {
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if ring
            .last
            .is_some_and(|last| now.duration_since(last) < PAUSE)
        {
            return;
        }
        ring.last = Some(now);
        let surplus = (ring.events.len() + events.len()).saturating_sub(KEPT);
        let surplus = surplus.min(ring.events.len());
        ring.events.drain(..surplus);
        let room = KEPT - ring.events.len();
        let first = events.len().saturating_sub(room);
        ring.events.extend(events.iter().skip(first).cloned());
    }

    /// Copies of them, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Box<Event>> {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let events: Vec<Arc<Event>> = ring.events.iter().cloned().collect();
        drop(ring);
        events
            .into_iter()
            .map(|event| Box::new(Event::clone(&event)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept_and_no_more() {
        let recent = Recent::default();
        for batch in 0..12_u128 {
            let events: Vec<Arc<Event>> = (0..512)
                .map(|number| {
                    let mut event = Event::new();
                    event.id = batch * 512 + number;
                    Arc::new(event)
                })
                .collect();
            std::thread::sleep(PAUSE + Duration::from_millis(1));
            recent.note(&events);
        }
        let kept = recent.events();
        assert_eq!(kept.len(), KEPT);
        assert_eq!(kept.last().unwrap().id, 12 * 512 - 1);
        assert!(kept.is_sorted_by_key(|event| event.id));
    }
}
