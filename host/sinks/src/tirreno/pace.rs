//! How fast requests may follow each other: at most so many in any span of a
//! given length, the same sliding window the server counts by.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Remembers when the last requests were sent.
#[derive(Debug)]
pub(super) struct Pace {
    limit: usize,
    span: Duration,
    sent: VecDeque<Instant>,
}

impl Pace {
    /// At most `limit` requests in any `span`; 0 means no limit.
    pub(super) fn new(limit: usize, span: Duration) -> Self {
        Self {
            limit,
            span,
            sent: VecDeque::new(),
        }
    }

    /// How long the next request has to wait.
    pub(super) fn wait(&self) -> Duration {
        match self.sent.front() {
            Some(oldest) if self.sent.len() == self.limit => {
                self.span.saturating_sub(oldest.elapsed())
            }
            _ => Duration::ZERO,
        }
    }

    /// Notes that a request is being sent.
    pub(super) fn record(&mut self) {
        if self.limit == 0 {
            return;
        }
        if self.sent.len() == self.limit {
            self.sent.pop_front();
        }
        self.sent.push_back(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_span_holds_more_than_the_limit() {
        let (limit, span) = (5, Duration::from_secs(2));
        let mut pace = Pace::new(limit, span);
        let start = Instant::now();
        let mut sent = Vec::new();
        for step in 0..40_u64 {
            tokio::time::sleep(pace.wait()).await;
            pace.record();
            sent.push(start.elapsed());
            tokio::time::sleep(Duration::from_millis(step * 37 % 500)).await;
        }
        assert!(
            sent.windows(limit + 1)
                .all(|window| window[limit] - window[0] >= span)
        );
        assert!(
            start.elapsed() < Duration::from_secs(20),
            "the limit is not exhausted"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_up_to_the_limit_does_not_wait() {
        let mut pace = Pace::new(3, Duration::from_secs(20));
        for _ in 0..3 {
            assert_eq!(pace.wait(), Duration::ZERO);
            pace.record();
        }
        assert_eq!(pace.wait(), Duration::from_secs(20));
    }

    #[test]
    fn no_limit_never_waits() {
        let mut pace = Pace::new(0, Duration::from_secs(20));
        pace.record();
        assert_eq!(pace.wait(), Duration::ZERO);
    }
}
