//! What is lost is itself an event: nobody has to watch a counter to learn of
//! it. One event per component, reason and second at most, with the number.
//!
//! What a sink of the store lost is told from the store's own numbers, which
//! also say how much of it was told before: the batch that holds such an event
//! says so in the same commit ([`told`]). So what was lost in the last moments
//! of a run is told by the next one, once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sidewatch_event::{Event, Field};
use sidewatch_sources::{Intake, identity};
use sidewatch_store::{LossReason, Progress};
use tokio::sync::oneshot;

use super::status::Status;

/// How often losses are looked for.
const INTERVAL: Duration = Duration::from_secs(1);
/// `event.severity` of a loss, 0 to 10.
const SEVERITY: u8 = 6;
/// `event.action` of a loss.
const ACTION: &str = "records-dropped";
/// Begins the component of a sink.
const OF_SINK: &str = "sink ";

/// Name of the source these events come from.
pub(super) const SOURCE: &str = "sidewatch";

/// Whoever reports, and what makes it look a last time and end.
pub(super) struct Reporting {
    pub(super) task: tokio::task::JoinHandle<()>,
    pub(super) last_look: oneshot::Sender<()>,
}

impl Reporting {
    /// Reports losses from now on, and first those nobody could report yet.
    pub(super) fn start(status: Arc<Status>, intake: Intake, given_up: Vec<(String, u64)>) -> Self {
        let (last_look, last) = oneshot::channel();
        let task = tokio::spawn(report_losses(status, intake, given_up, last));
        Self { task, last_look }
    }

    /// Looks a last time.
    pub(super) async fn end(self) {
        drop(self.last_look);
        drop(self.task.await);
    }
}

async fn report_losses(
    status: Arc<Status>,
    intake: Intake,
    given_up: Vec<(String, u64)>,
    mut last: oneshot::Receiver<()>,
) {
    let mut known = Known::new();
    for (lane, count) in given_up {
        let component = format!("{OF_SINK}{lane}");
        let reason = LossReason::SinkRemoved.name();
        let event = loss(&intake, &component, reason, count);
        intake.arrived(0);
        if intake.push(event).await.is_err() {
            return;
        }
    }
    loop {
        tell(&status, &mut known, &intake).await;
        // It is dropped when all sources have ended.
        if tokio::time::timeout(INTERVAL, &mut last).await.is_ok() {
            tell(&status, &mut known, &intake).await;
            return;
        }
    }
}

/// How much was told, by component and reason.
type Known = HashMap<(String, &'static str), u64>;

async fn tell(status: &Status, known: &mut Known, intake: &Intake) {
    for (component, reason, more) in news(status, known) {
        let event = loss(intake, &component, reason, more);
        intake.arrived(0);
        if intake.push(event).await.is_ok() {
            *known.entry((component, reason)).or_default() += more;
        }
    }
}

/// What was lost and not told yet: component, reason, number.
fn news(status: &Status, known: &mut Known) -> Vec<(String, &'static str, u64)> {
    // With what is known to have been told before this run.
    let mut totals = Vec::new();
    for (name, counters) in &status.sources {
        let counts = counters.snapshot();
        for (reason, total) in [
            ("queue-full", counts.shed_queue_full),
            ("kernel-buffer-full", counts.kernel_dropped),
            ("bytes-overwritten", counts.lost_bytes),
        ] {
            totals.push((format!("source {name}"), reason, total, 0));
        }
    }
    // A sink's findings are a component of their own.
    let kept = status
        .store
        .as_ref()
        .map_or_else(Vec::new, |store| store.progress());
    for (name, counters) in &status.sinks {
        if kept.iter().any(|(lane, _)| lane == name) {
            continue;
        }
        let counts = counters.counts();
        let total = counts.dropped_queue_full;
        totals.push((
            format!("{OF_SINK}{name}"),
            LossReason::BufferFull.name(),
            total,
            0,
        ));
    }
    if let Some(store) = &status.store {
        let removed = store.status().dead_letters_dropped;
        totals.push(("dead letters".to_owned(), "too-many", removed, 0));
    }
    for (lane, Progress { lost, told, .. }) in kept {
        for reason in LossReason::ALL {
            let (lost, told) = (lost.by(reason), told.by(reason));
            totals.push((format!("{OF_SINK}{lane}"), reason.name(), lost, told));
        }
    }
    let mut news = Vec::new();
    for (component, reason, total, told) in totals {
        let before = *known.entry((component.clone(), reason)).or_insert(told);
        let more = total.saturating_sub(before);
        if more > 0 {
            news.push((component, reason, more));
        }
    }
    news
}

/// What an event tells of the losses of a sink: which of its lanes, why, how
/// many.
pub(super) fn told(event: &Event) -> Option<(String, LossReason, u64)> {
    if event.source.as_deref() != Some(SOURCE) || event.get(Field::EventAction) != Some(ACTION) {
        return None;
    }
    let sink = event.label("component")?.strip_prefix(OF_SINK)?;
    let reason = LossReason::of(event.get(Field::EventReason)?)?;
    Some((sink.to_owned(), reason, event.label("count")?.parse().ok()?))
}

fn loss(intake: &Intake, component: &str, reason: &str, count: u64) -> Box<Event> {
    let now = identity::now();
    let mut event = intake.blank(now);
    event.time = now;
    event.severity = Some(SEVERITY);
    event.set(Field::EventKind, "pipeline_error");
    event.set(Field::EventDataset, "sidewatch.pipeline");
    event.set(Field::EventAction, ACTION);
    event.set(Field::EventOutcome, "failure");
    event.set(Field::EventReason, reason);
    event.set(Field::ObserverProduct, "sidewatch");
    event.set(Field::SidewatchName, "Records dropped");
    let unit = if reason == "bytes-overwritten" {
        "bytes"
    } else {
        "records"
    };
    event.set(
        Field::Message,
        &format!("{component}: {count} {unit} lost: {reason}"),
    );
    event.set_label("component", component);
    event.set_label("count", &count.to_string());
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use sidewatch_sinks::SinkCounters;

    #[tokio::test]
    async fn a_loss_is_told_once_with_its_number() {
        let (intake, mut receiver) = Intake::channel(SOURCE.into(), 1_000);
        let sink = Arc::new(SinkCounters::default());
        let status = Status::new(
            Vec::new(),
            vec![("siem".to_owned(), Arc::clone(&sink))],
            Vec::new(),
        );
        let mut known = Known::new();
        sink.add_offered(10, 0);
        tell(&status, &mut known, &intake).await;
        sink.set_dropped(7, 0, 0);
        tell(&status, &mut known, &intake).await;
        tell(&status, &mut known, &intake).await;
        let mut events = Vec::new();
        receiver.receive_timeout(&mut events, 10, Duration::ZERO);
        assert_eq!(events.len(), 1);
        assert_eq!(
            events[0].get(Field::Message),
            Some("sink siem: 7 records lost: buffer-full")
        );
        let told = told(&events[0]);
        assert_eq!(told, Some(("siem".to_owned(), LossReason::BufferFull, 7)));
    }
}
