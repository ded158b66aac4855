//! How long the folding thread rests between two batches.
//!
//! A batch has costs of its own: waking the thread, calling every rule,
//! committing. When events come thick, the thread rests for a moment so that
//! several share them. An event that comes alone is never kept waiting.

use std::time::{Duration, Instant};

/// Least time between two batches under load; what an event may wait longer.
const INTERVAL: Duration = Duration::from_millis(2);
/// Events that have to be expected within the interval to make it worth it.
const WORTH: u128 = 4;

/// Watches how thick events come.
pub(super) struct Gathering {
    full: usize,
    taken_at: Instant,
}

impl Gathering {
    /// A batch of `full` events is as large as batches get.
    pub(super) fn new(full: usize, now: Instant) -> Self {
        Self {
            full,
            taken_at: now,
        }
    }

    /// When the next batch is to be taken, after one of `taken` events was
    /// taken `now`; none when there is nothing to gain by waiting.
    pub(super) fn next(&mut self, taken: usize, now: Instant) -> Option<Instant> {
        let since = now.saturating_duration_since(self.taken_at);
        self.taken_at = now;
        let expected = INTERVAL
            .as_nanos()
            .saturating_mul(taken as u128)
            .checked_div(since.as_nanos())
            .unwrap_or(u128::MAX);
        (taken > 0 && taken < self.full && expected >= WORTH).then(|| now + INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_events_that_come_thick_and_do_not_fill_a_batch_wait() {
        let begin = Instant::now();
        let at = |microseconds| begin + Duration::from_micros(microseconds);
        let mut gathering = Gathering::new(512, begin);
        assert_eq!(gathering.next(1, at(1_000)), None, "one in a while");
        assert_eq!(
            gathering.next(1, at(1_200)),
            Some(at(3_200)),
            "five thousand a second"
        );
        assert_eq!(gathering.next(10, at(3_200)), Some(at(5_200)));
        assert_eq!(gathering.next(512, at(5_200)), None, "a backlog");
        assert_eq!(gathering.next(0, at(5_300)), None, "only time went by");
        assert_eq!(gathering.next(2, at(2_000_000)), None, "after a pause");
    }
}
