//! What is handed to a sink.

use std::sync::Arc;

use crate::event::Event;
use crate::finding::Finding;

/// One record for a sink: cheap to clone, shared by all sinks.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// An enriched event.
    Event(Arc<Event>),
    /// A finding.
    Finding(Arc<Finding>),
}

impl Delivery {
    /// Stable identifier, the same on every attempt.
    #[must_use]
    pub fn id(&self) -> u128 {
        match self {
            Self::Event(event) => event.id,
            Self::Finding(finding) => finding.id,
        }
    }

    /// The event itself, or the one that raised the finding.
    #[must_use]
    pub fn event(&self) -> &Arc<Event> {
        match self {
            Self::Event(event) => event,
            Self::Finding(finding) => &finding.event,
        }
    }

    /// Severity from 0 to 10; events without one count as 0.
    #[must_use]
    pub fn severity(&self) -> u8 {
        match self {
            Self::Event(event) => event.severity_or_mapped(),
            Self::Finding(finding) => finding.severity,
        }
    }
}
