//! Logs rejected records a few times a minute, so that a flood of garbage
//! costs neither disk nor attention.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Rejected records logged per minute; the rest are summed up.
const PER_MINUTE: u64 = 5;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct RejectLog(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    since: Option<Instant>,
    count: u64,
}

impl RejectLog {
    pub(super) fn rejected(&self, source: &str, position: u64, reason: &dyn Display) {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.since.is_none_or(|since| since.elapsed() >= MINUTE) {
            let unlogged = window.count.saturating_sub(PER_MINUTE);
            if unlogged > 0 {
                tracing::warn!(source, unlogged, "further records were rejected");
            }
            *window = Window {
                since: Some(Instant::now()),
                count: 0,
            };
        }
        window.count += 1;
        if window.count <= PER_MINUTE {
            tracing::warn!(source, record = position, error = %reason, "record rejected");
        }
    }
}
