//! How much waits for each sink, and how much may.

use crate::progress::WhenFull;
use crate::shared::Shared;

/// How far a sink is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Name of the sink.
    pub sink: String,
    /// Bytes of journal kept for it.
    pub bytes: u64,
    /// As many may be.
    pub max_bytes: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
    /// Records it took since it was first configured.
    pub delivered: u64,
}

/// Of the configured sinks.
pub(crate) fn backlogs(shared: &Shared) -> Vec<Backlog> {
    let state = shared.lock();
    let sinks = shared.policies.iter().zip(&state.progress);
    sinks
        .take(shared.configured)
        .map(|(policy, progress)| Backlog {
            sink: policy.name.clone(),
            bytes: state.bytes_from(progress.cursor.sequence),
            max_bytes: policy.max_bytes,
            when_full: policy.when_full,
            delivered: progress.delivered,
        })
        .collect()
}
