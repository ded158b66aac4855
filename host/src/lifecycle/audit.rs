//! Every change to the rules in force as an event: who, what, which version,
//! how it ended. It goes through the pipeline like any other, to every sink
//! whose filter admits it.

use std::sync::{Mutex, PoisonError};

use sidewatch_event::{Event, Field};
use sidewatch_sources::{Intake, identity};

/// `event.dataset` of these events.
pub const DATASET: &str = "sidewatch.rules";
/// `event.action` of a rule that was taken back to the version before.
pub const ROLLED_BACK: &str = "rule-rolled-back";
/// `event.action` of a rule that was switched off for failing.
pub const SWITCHED_OFF: &str = "rule-switched-off";
/// Label that says the change was nobody's wish; it becomes a finding.
pub const BY_ITSELF: &str = "automatic";

/// Something done to a rule.
#[derive(Debug, Clone, Copy)]
pub struct Action<'a> {
    /// `event.action`, such as `rule-swapped`.
    pub action: &'a str,
    /// The rule; empty when it concerns all.
    pub rule: &'a str,
    /// Its version, where one is meant.
    pub version: &'a str,
    /// Who wanted it.
    pub by: &'a str,
    /// Why it was not done.
    pub failure: Option<&'a str>,
    /// In words.
    pub message: &'a str,
}

/// Where these events go.
#[derive(Debug, Default)]
pub struct Audit(Mutex<Option<Intake>>);

impl Audit {
    /// Events go to this end of the hand-over until [`Audit::close`].
    #[must_use]
    pub fn to(intake: Intake) -> Self {
        Self(Mutex::new(Some(intake)))
    }

    /// The pipeline ends: it waits for every end of the hand-over to go.
    pub fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Tells an action; it is in the log anyway.
    pub fn tell(&self, action: &Action<'_>) {
        let intake = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(intake) = &*intake {
            let mut event = intake.blank(identity::now());
            fill(&mut event, action);
            intake.arrived(0);
            // Shed like any other when there is no room; that is counted.
            drop(intake.offer(event));
        }
    }
}

fn fill(event: &mut Event, action: &Action<'_>) {
    event.time = event.received;
    let serious = matches!(action.action, ROLLED_BACK | SWITCHED_OFF);
    event.severity = Some(match (serious, action.failure) {
        (_, Some(_)) => 5,
        (true, None) => 7,
        (false, None) => 2,
    });
    event.set(Field::EventKind, "event");
    event.set(Field::EventCategory, "configuration");
    event.set(Field::EventType, "change");
    event.set(Field::EventDataset, DATASET);
    event.set(Field::EventAction, action.action);
    event.set(
        Field::EventOutcome,
        if action.failure.is_some() {
            "failure"
        } else {
            "success"
        },
    );
    if let Some(reason) = action.failure {
        event.set(Field::EventReason, reason);
    }
    event.set(Field::ObserverProduct, "sidewatch");
    event.set(Field::SidewatchName, "Rules changed");
    event.set(Field::Message, action.message);
    for (label, text) in [
        ("rule", action.rule),
        ("version", action.version),
        ("by", action.by),
    ] {
        if !text.is_empty() {
            event.set_label(label, text);
        }
    }
    if serious && action.by == BY_ITSELF {
        event.set_label(BY_ITSELF, "true");
    }
}
