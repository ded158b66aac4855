//! A sink's two lanes in the store, events and findings, and what is known of
//! both together: of the configured sinks, and of those that are no more but
//! for which something is kept.

use sidewatch_event::Delivery;
use sidewatch_store::{Outbox, Policy, Progress, Store, WhenFull};

use crate::config::{FINDINGS_LANE, SinkEntry};

/// A sink has two lanes in the store, each with its own place, so that a
/// finding does not wait behind an hour of page views: events, then findings.
pub(super) fn lanes(sink: &SinkEntry) -> [Policy; 2] {
    let policy = |name: String, when_full: WhenFull| Policy {
        name,
        max_bytes: sink.buffer.max_bytes,
        when_full,
    };
    let when_full = sink.buffer.when_full.into();
    let of_events = match when_full {
        WhenFull::DropByPriority => WhenFull::DropOldest,
        other => other,
    };
    [
        policy(sink.id.clone(), of_events),
        policy(format!("{}{FINDINGS_LANE}", sink.id), when_full),
    ]
}

/// The lanes of the sink at a place in the configuration.
pub(super) fn outboxes(store: &Store, sink: usize) -> (Outbox, Outbox) {
    (store.outbox(2 * sink), store.outbox(2 * sink + 1))
}

/// The sink of a lane.
#[must_use]
pub fn sink_of(lane: &str) -> &str {
    lane.strip_suffix(FINDINGS_LANE).unwrap_or(lane)
}

/// Adds up what is known of the lanes, by sink.
fn by_sink<T: Default>(
    lanes: impl IntoIterator<Item = (String, Progress)>,
    add: impl Fn(&mut T, &Progress),
) -> Vec<(String, T)> {
    let mut sinks: Vec<(String, T)> = Vec::new();
    for (lane, progress) in lanes {
        let name = sink_of(&lane);
        let at = sinks.iter().position(|(known, _)| known == name);
        let at = at.unwrap_or_else(|| {
            sinks.push((name.to_owned(), T::default()));
            sinks.len() - 1
        });
        if let Some((_, sum)) = sinks.get_mut(at) {
            add(sum, &progress);
        }
    }
    sinks
}

/// Sinks that are configured no more: how many records are kept for them, and
/// how many were lost.
#[must_use]
pub fn removed_sinks(store: &Store) -> Vec<(String, (u64, u64))> {
    by_sink(
        store.left(),
        |(waiting, lost): &mut (u64, u64), progress| {
            *waiting += progress.waiting();
            *lost += progress.dropped();
        },
    )
}

/// Gives up what is kept for a sink that is configured no more. How many
/// records that were; none when there is no such sink.
#[must_use]
pub fn give_up(store: &Store, sink: &str) -> Option<u64> {
    let lanes = [sink.to_owned(), format!("{sink}{FINDINGS_LANE}")];
    let given_up = lanes.map(|lane| store.give_up_left(&lane));
    given_up
        .into_iter()
        .flatten()
        .reduce(|all, more| all + more)
}

/// What is to be known of a sink for which records are kept although it is
/// configured no more.
#[must_use]
pub fn left_of(sink: &str, waiting: u64) -> String {
    format!(
        "sink {sink} is configured no more, and {waiting} records wait for it; they are delivered when a sink has this name again, and `sidewatch dlq give-up CONFIG {sink}` drops them"
    )
}

/// The lane a record for a sink belongs to.
#[must_use]
pub fn lane(sink: &str, delivery: &Delivery) -> String {
    match delivery {
        Delivery::Event(_) => sink.to_owned(),
        Delivery::Finding(_) => format!("{sink}{FINDINGS_LANE}"),
    }
}
