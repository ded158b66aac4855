//! The rules of the application as it calls them: `wit/` in plain types.

use sidewatch_event::Evidence;
use sidewatch_frame::{DetectionClaims, MappingClaims, Numbers};

/// Text or bytes in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First byte; [`sidewatch_frame::block::ABSENT`] for none.
    pub start: u32,
    /// Bytes.
    pub length: u32,
}

/// Events of one state key.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    /// Index of its first event.
    pub first: u32,
    /// How many there are.
    pub count: u32,
    /// The state as last returned.
    pub state: Span,
}

/// `detection.frame`.
#[derive(Debug, Clone, Default)]
pub struct DetectionFrame {
    /// Texts and states.
    pub block: Vec<u8>,
    /// Numbers of the events.
    pub events: Vec<Numbers>,
    /// The texts the rule reads, event by event.
    pub texts: Vec<Span>,
    /// Groups in order of their events.
    pub groups: Vec<Group>,
}

/// `detection.change`.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    /// Index of the group.
    pub group: u32,
    /// The new state in the outcome's block; no length forgets it.
    pub state: Span,
}

/// `detection.finding`.
#[derive(Debug, Clone)]
pub struct Reported {
    /// Index of the event within the frame.
    pub event: u32,
    /// Index into the rule's kinds.
    pub kind: u32,
    /// See [`sidewatch_event::Finding::incident`].
    pub incident: u64,
    /// See [`sidewatch_event::Finding::occurrence`].
    pub occurrence: u32,
    /// 0 to 10.
    pub severity: u32,
    /// 0 to 1.
    pub score: f32,
    /// One line for a human.
    pub title: String,
    /// In the rule's order.
    pub evidence: Vec<Evidence>,
}

/// `detection.outcome`.
#[derive(Debug, Clone, Default)]
pub struct DetectionOutcome {
    /// Holds the changed states.
    pub block: Vec<u8>,
    /// Changed states.
    pub changes: Vec<Change>,
    /// What was found.
    pub findings: Vec<Reported>,
}

/// `mapping.frame`.
#[derive(Debug, Clone, Default)]
pub struct MappingFrame {
    /// Texts.
    pub block: Vec<u8>,
    /// Status and server port of each event.
    pub events: Vec<(u32, u32)>,
    /// The texts the rule reads, event by event.
    pub texts: Vec<Span>,
}

/// `mapping.outcome`.
#[derive(Debug, Clone, Default)]
pub struct MappingOutcome {
    /// Holds the computed texts.
    pub block: Vec<u8>,
    /// Event and number of its annotation.
    pub mapped: Vec<(u32, u32)>,
    /// Event, number of the field, text.
    pub computed: Vec<(u32, u32, Span)>,
}

/// A parameter a rule refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("parameter `{parameter}`: {message}")]
pub struct Refusal {
    /// Its name.
    pub parameter: String,
    /// What is wrong with it.
    pub message: String,
}

/// Rules in slots. Calls are synchronous and have no effect but their answer.
pub trait Rules {
    /// Configures the mapping.
    ///
    /// # Errors
    /// The parameter it refuses.
    fn configure_mapping(&self, parameters: &str) -> Result<MappingClaims, Refusal>;

    /// Maps a frame.
    fn map(&self, frame: MappingFrame) -> MappingOutcome;

    /// Configures the detection in a slot.
    ///
    /// # Errors
    /// The parameter it refuses.
    fn configure(&self, slot: usize, parameters: &str) -> Result<DetectionClaims, Refusal>;

    /// Folds a frame with the detection in a slot.
    fn fold(&self, slot: usize, frame: DetectionFrame) -> DetectionOutcome;
}
