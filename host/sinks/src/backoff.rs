//! How long to wait before the next attempt.
//!
//! Doubles from the first delay up to a ceiling, each with up to half taken
//! off at random, so that many sidecars do not return in step.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Exponential back-off with jitter.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    ceiling: Duration,
    failures: u32,
    random: RandomState,
}

impl Backoff {
    /// Starts at `first` and never exceeds `ceiling`.
    #[must_use]
    pub fn new(first: Duration, ceiling: Duration) -> Self {
        Self {
            first,
            ceiling,
            failures: 0,
            random: RandomState::new(),
        }
    }

    /// The next delay: between half and all of the doubled one.
    pub fn next_delay(&mut self) -> Duration {
        let full = self
            .first
            .saturating_mul(1_u32.checked_shl(self.failures.min(30)).unwrap_or(u32::MAX));
        let full = full.min(self.ceiling);
        self.failures = self.failures.saturating_add(1);
        let share = self.random.hash_one(self.failures) % 1024;
        full / 2 + full.mul_f64(share as f64 / 2048.0)
    }

    /// The next failure counts as the first.
    pub fn reset(&mut self) {
        self.failures = 0;
        self.random = RandomState::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_ceiling_and_keep_at_least_half() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        for expected in [100, 200, 400, 800, 1600, 2000, 2000] {
            let full = Duration::from_millis(expected);
            let delay = backoff.next_delay();
            assert!(delay >= full / 2 && delay <= full, "{delay:?} for {full:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= Duration::from_millis(100));
    }

    #[test]
    fn a_long_outage_does_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30));
        for _ in 0..200 {
            assert!(backoff.next_delay() <= Duration::from_secs(30));
        }
    }
}
