//! Followed files wait for a sink that takes records, only more slowly than a
//! long log can be read: it would lose its oldest, while a file loses nothing
//! by being read later.
//!
//! Invariant: nothing waits for a sink that takes nothing, or next to nothing:
//! what rules see must not depend on it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sidewatch_sources::Brake;
use sidewatch_store::{Backlog, Store, WhenFull};

use super::status::Status;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Over how long a sink's rate is taken.
const WINDOW: Duration = Duration::from_millis(500);
/// Records a second below which a sink is not waited for.
const LEAST: f64 = 1_000.0;

/// Holds reading back where it helps, until it is dropped.
pub(super) async fn keep(store: Arc<Store>, brake: Brake, status: Arc<Status>) {
    let mut pace = Pace::default();
    loop {
        tokio::time::sleep(LOOK).await;
        let held = pace.look(Instant::now(), &store.backlogs());
        brake.hold(held);
        let gauge = &status.pipeline.files_held;
        gauge.store(held.into(), Ordering::Release);
    }
}

#[derive(Default)]
struct Pace {
    rates: HashMap<String, Rate>,
    held: bool,
}

/// How fast a sink takes records.
struct Rate {
    since: Instant,
    delivered: u64,
    per_second: f64,
}

impl Pace {
    /// Whether files are to wait: from half of what may wait for a sink until
    /// only a quarter does.
    fn look(&mut self, now: Instant, backlogs: &[Backlog]) -> bool {
        let part = if self.held { 4 } else { 2 };
        self.held = false;
        for backlog in backlogs {
            let taking = self.rate(now, backlog) >= LEAST;
            let loses = backlog.when_full != WhenFull::Block;
            self.held |= taking && loses && backlog.bytes > backlog.max_bytes / part;
        }
        self.held
    }

    fn rate(&mut self, now: Instant, backlog: &Backlog) -> f64 {
        let rate = self.rates.entry(backlog.sink.clone()).or_insert(Rate {
            since: now,
            delivered: backlog.delivered,
            per_second: 0.0,
        });
        let passed = now.saturating_duration_since(rate.since);
        // At first whatever is known is better than nothing.
        if passed >= WINDOW || (rate.per_second == 0.0 && passed >= LOOK) {
            let taken = backlog.delivered.saturating_sub(rate.delivered);
            *rate = Rate {
                since: now,
                delivered: backlog.delivered,
                per_second: taken as f64 / passed.as_secs_f64(),
            };
        }
        rate.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(bytes: u64, delivered: u64, when_full: WhenFull) -> [Backlog; 1] {
        [Backlog {
            sink: "slow".to_owned(),
            bytes,
            max_bytes: 1_000,
            when_full,
            delivered,
        }]
    }

    /// Whether files wait when a sink takes so many records a second and these
    /// bytes wait for it, second after second.
    fn held(rate: u64, when_full: WhenFull, bytes: &[u64]) -> Vec<bool> {
        let (mut pace, mut now, mut delivered) = (Pace::default(), Instant::now(), 77);
        let mut held = Vec::new();
        for bytes in bytes {
            held.push(pace.look(now, &behind(*bytes, delivered, when_full)));
            now += Duration::from_secs(1);
            delivered += rate;
        }
        held
    }

    #[test]
    fn files_wait_from_half_full_to_a_quarter() {
        let held = held(
            5_000,
            WhenFull::DropOldest,
            &[0, 500, 501, 300, 251, 250, 400],
        );
        assert_eq!(held, [false, false, true, true, true, false, false]);
    }

    #[test]
    fn nobody_waits_for_a_sink_that_takes_next_to_nothing_or_makes_all_wait_anyway() {
        assert_eq!(held(0, WhenFull::DropOldest, &[900; 3]), [false; 3]);
        assert_eq!(held(999, WhenFull::DropByPriority, &[900; 3]), [false; 3]);
        assert_eq!(held(5_000, WhenFull::Block, &[900; 3]), [false; 3]);
    }

    #[test]
    fn a_sink_that_stops_is_waited_for_no_longer() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut look = |seconds, delivered| {
            let now = start + Duration::from_secs(seconds);
            pace.look(now, &behind(900, delivered, WhenFull::DropOldest))
        };
        assert!(!look(0, 0));
        assert!(look(1, 5_000));
        assert!(!look(2, 5_000));
    }
}
