//! What is handed to a sink.

use std::sync::Arc;

use crate::event::Event;
use crate::finding::{EvidenceValue, Finding};

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

    /// The same with every text a client may have chosen cut to `longest` bytes;
    /// 0 leaves who, where and when as far as they are no texts.
    #[must_use]
    pub fn shortened(&self, longest: usize) -> Self {
        let mut event = Event::clone(self.event());
        event.shorten(longest);
        let event = Arc::new(event);
        match self {
            Self::Event(_) => Self::Event(event),
            Self::Finding(finding) => {
                let mut finding = Finding::clone(finding);
                finding.event = event;
                cut(&mut finding.title, longest.max(64));
                for item in &mut finding.evidence {
                    if let EvidenceValue::Text(text) = &mut item.value {
                        cut(text, longest);
                    }
                }
                if longest == 0 {
                    finding.evidence.clear();
                }
                Self::Finding(Arc::new(finding))
            }
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

fn cut(text: &mut String, longest: usize) {
    text.truncate(text.floor_char_boundary(longest));
}
