//! Keeps a failing rule from eating its neighbours' time.
//!
//! Faults cost time: instances made anew, deadlines run out. When a rule's
//! faults take more than a share of a window, it is suspended for a pause that
//! doubles each time, up to a minute. A rule that traps on one event in a
//! thousand never comes near the share; one that loops reaches it at once.

use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(10);
const SHARE: Duration = Duration::from_millis(200);
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Whether and until when a rule is suspended.
#[derive(Debug, Default)]
pub(crate) struct Suspension {
    window_began: Option<Instant>,
    spent: Duration,
    until: Option<Instant>,
    pause: Duration,
}

impl Suspension {
    /// Whether the rule is suspended now.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }

    /// How much longer, if it is.
    pub(crate) fn remaining(&self, now: Instant) -> Option<Duration> {
        self.until
            .and_then(|until| until.checked_duration_since(now))
            .filter(|left| !left.is_zero())
    }

    /// Notes a fault that began at `now` and took `cost`; returns the pause if
    /// the rule is suspended because of it.
    pub(crate) fn strike(&mut self, now: Instant, cost: Duration) -> Option<Duration> {
        if self
            .window_began
            .is_none_or(|began| now.duration_since(began) > WINDOW)
        {
            let calm = self
                .until
                .is_none_or(|until| now.saturating_duration_since(until) > WINDOW);
            if calm {
                self.pause = Duration::ZERO;
            }
            self.window_began = Some(now);
            self.spent = Duration::ZERO;
        }
        self.spent += cost;
        if self.spent < SHARE {
            return None;
        }
        self.pause = (self.pause * 2).clamp(SHORTEST, LONGEST);
        self.until = Some(now + cost + self.pause);
        self.window_began = None;
        self.spent = Duration::ZERO;
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_trap_is_forgiven_and_a_loop_is_not() {
        let start = Instant::now();
        let mut rare = Suspension::default();
        for n in 0..1_000 {
            assert_eq!(
                rare.strike(
                    start + Duration::from_millis(n * 10),
                    Duration::from_micros(50)
                ),
                None
            );
        }
        let mut looping = Suspension::default();
        let struck = (0..30).find_map(|n| {
            looping.strike(
                start + Duration::from_millis(n * 12),
                Duration::from_millis(11),
            )
        });
        assert_eq!(struck, Some(SHORTEST));
        assert!(looping.holds(start + Duration::from_millis(500)));
        assert!(!looping.holds(start + Duration::from_secs(3)));
    }

    #[test]
    fn pauses_double_while_it_goes_on_failing() {
        let mut now = Instant::now();
        let mut suspension = Suspension::default();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let pause = suspension.strike(now, SHARE).unwrap();
            pauses.push(pause.as_secs());
            now += SHARE + pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
