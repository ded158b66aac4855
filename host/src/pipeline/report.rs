//! What is lost is itself an event: nobody has to watch a counter to learn of
//! it. One event per component, reason and second at most, with the number.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sidewatch_event::{Event, Field};
use sidewatch_sources::{Intake, identity};

use super::status::Status;

/// How often losses are looked for.
const INTERVAL: Duration = Duration::from_secs(1);
/// `event.severity` of a loss, 0 to 10.
const SEVERITY: u8 = 6;

/// Name of the source these events come from.
pub(super) const SOURCE: &str = "sidewatch";

/// Reports losses until it is dropped.
pub(super) async fn report_losses(status: Arc<Status>, intake: Intake) {
    let mut known = HashMap::new();
    loop {
        tokio::time::sleep(INTERVAL).await;
        for event in news(&status, &mut known, &intake) {
            intake.arrived(0);
            // When even this one is shed, the next look reports the sum.
            drop(intake.offer(event));
        }
    }
}

type Known = HashMap<(String, &'static str), u64>;

fn news(status: &Status, known: &mut Known, intake: &Intake) -> Vec<Box<Event>> {
    let mut totals = Vec::new();
    for (name, counters) in &status.sources {
        let counts = counters.snapshot();
        for (reason, total) in [
            ("queue-full", counts.shed_queue_full),
            ("kernel-buffer-full", counts.kernel_dropped),
            ("bytes-overwritten", counts.lost_bytes),
        ] {
            totals.push((format!("source {name}"), reason, total));
        }
    }
    for (name, counters) in &status.sinks {
        let counts = counters.counts();
        for (reason, total) in [
            ("buffer-full", counts.dropped_queue_full),
            ("disk-full", counts.dropped_disk_full),
        ] {
            totals.push((format!("sink {name}"), reason, total));
        }
    }
    let mut events = Vec::new();
    for (component, reason, total) in totals {
        let before = known.entry((component.clone(), reason)).or_default();
        let more = total.saturating_sub(*before);
        if more > 0 {
            *before = total;
            events.push(loss(intake, &component, reason, more));
        }
    }
    events
}

fn loss(intake: &Intake, component: &str, reason: &str, count: u64) -> Box<Event> {
    let now = identity::now();
    let mut event = intake.blank(now);
    event.time = now;
    event.severity = Some(SEVERITY);
    event.set(Field::EventKind, "pipeline_error");
    event.set(Field::EventDataset, "sidewatch.pipeline");
    event.set(Field::EventAction, "records-dropped");
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

    #[test]
    fn a_loss_is_told_once_with_its_number() {
        let (intake, _receiver) = Intake::channel(SOURCE.into(), 10);
        let sink = Arc::new(SinkCounters::default());
        let status = Status::new(
            Vec::new(),
            vec![("siem".to_owned(), Arc::clone(&sink))],
            Vec::new(),
        );
        let mut known = Known::new();
        assert!(news(&status, &mut known, &intake).is_empty());
        sink.add_offered(10, 0);
        sink.set_dropped(7, 0);
        let told = news(&status, &mut known, &intake);
        assert_eq!(told.len(), 1);
        assert_eq!(
            told[0].get(Field::Message),
            Some("sink siem: 7 records lost: buffer-full")
        );
        assert_eq!(told[0].label("count"), Some("7"));
        assert!(news(&status, &mut known, &intake).is_empty());
    }
}
