//! When a rule fails too often to stay as it is.
//!
//! A rule that traps on one event in a thousand stays; what it fails on goes
//! on without it. One that fails on a share of its events is taken back to the
//! version before, and one that hardly succeeds at all is switched off.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How often a rule may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailurePolicy {
    /// Seconds over which failures are counted; longer while there are fewer
    /// than `least_events`.
    pub window_seconds: u64,
    /// Events a judgement needs.
    pub least_events: u64,
    /// Failed events of a hundred that bring the version before back.
    pub rollback_percent: u64,
    /// Failed events of a hundred that count towards switching off.
    pub off_percent: u64,
    /// Windows in a row that switch the rule off.
    pub off_windows: u32,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            window_seconds: 10,
            least_events: 50,
            rollback_percent: 5,
            off_percent: 50,
            off_windows: 3,
        }
    }
}

/// What a rule's failures say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// It does its work.
    Fine,
    /// The version before should take over, if there is one.
    TooOften,
    /// It should be switched off.
    Hopeless,
}

/// Failures of one version of one rule.
#[derive(Debug, Default)]
pub(crate) struct FailureRate {
    policy: FailurePolicy,
    began: Option<Instant>,
    pub(crate) events: u64,
    pub(crate) failed: u64,
    bad_windows: u32,
}

impl FailureRate {
    pub(crate) fn new(policy: FailurePolicy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Counts events the rule should have seen, and those of them it failed on.
    pub(crate) fn note(&mut self, now: Instant, events: u64, failed: u64) -> Verdict {
        let began = *self.began.get_or_insert(now);
        self.events += events;
        self.failed += failed;
        if self.events < self.policy.least_events.max(1) {
            return Verdict::Fine;
        }
        let at_least = |percent: u64| {
            self.failed > 0
                && self.failed.saturating_mul(100) >= self.events.saturating_mul(percent)
        };
        let too_often = at_least(self.policy.rollback_percent);
        let window = Duration::from_secs(self.policy.window_seconds);
        if now.saturating_duration_since(began) >= window {
            self.bad_windows = if at_least(self.policy.off_percent) {
                self.bad_windows + 1
            } else {
                0
            };
            self.began = None;
            (self.events, self.failed) = (0, 0);
            if self.bad_windows >= self.policy.off_windows.max(1) {
                return Verdict::Hopeless;
            }
        }
        if too_often {
            Verdict::TooOften
        } else {
            Verdict::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate() -> (FailureRate, Instant) {
        (FailureRate::new(FailurePolicy::default()), Instant::now())
    }

    #[test]
    fn a_rare_failure_is_borne_however_long() {
        let (mut rate, start) = rate();
        for second in 0..1_000 {
            let now = start + Duration::from_secs(second);
            assert_eq!(rate.note(now, 1_000, 1), Verdict::Fine);
        }
    }

    #[test]
    fn a_share_of_failures_calls_for_the_version_before_at_once() {
        let (mut rate, now) = rate();
        assert_eq!(rate.note(now, 30, 30), Verdict::Fine, "too few to tell");
        assert_eq!(rate.note(now, 30, 0), Verdict::TooOften);
    }

    #[test]
    fn only_lasting_failure_switches_off() {
        let (mut rate, start) = rate();
        let mut verdicts = Vec::new();
        for window in 0..3 {
            let begun = start + Duration::from_secs(window * 11);
            rate.note(begun, 100, 60);
            verdicts.push(rate.note(begun + Duration::from_secs(10), 1, 1));
        }
        use Verdict::{Hopeless, TooOften};
        assert_eq!(verdicts, [TooOften, TooOften, Hopeless]);
        let (mut rate, start) = self::rate();
        for window in 0..10 {
            let begun = start + Duration::from_secs(window * 11);
            let failed = if window % 3 == 2 { 0 } else { 60 };
            rate.note(begun, 100, failed);
            let verdict = rate.note(begun + Duration::from_secs(10), 0, 0);
            assert_ne!(verdict, Hopeless, "a good window in between forgives");
        }
    }
}
