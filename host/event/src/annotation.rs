//! What a mapping rule says of an event.
//!
//! A mapping answers with the number of an entry of its table; the entry's
//! constant texts are shared by every event it applies to.

use crate::activity::Activity;
use crate::field::Field;

/// A field's bit in a set of fields.
fn bit(field: Field) -> u128 {
    const { assert!(Field::COUNT <= 128, "a field has no bit") };
    1 << field as u32
}

/// One entry of a mapping's table, shared by all events that matched it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotation {
    fields: Vec<(Field, Box<str>)>,
    /// Bit per field that is set: most questions are about others.
    present: u128,
    /// `event.severity`, 0 to 10 as in CEF.
    pub severity: Option<u8>,
    /// The event is noise and goes to no sink.
    pub suppress: bool,
    /// Derived from category, type, outcome and action.
    pub activity: Activity,
}

impl Annotation {
    /// Builds an entry; empty texts count as absent.
    #[must_use]
    pub fn new(
        fields: impl IntoIterator<Item = (Field, String)>,
        severity: Option<u8>,
        suppress: bool,
    ) -> Self {
        let fields: Vec<_> = fields
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(field, text)| (field, text.into_boxed_str()))
            .collect();
        let present = fields.iter().fold(0, |bits, (field, _)| bits | bit(*field));
        let mut annotation = Self {
            fields,
            present,
            severity,
            suppress,
            activity: Activity::Other,
        };
        let text = |field| annotation.get(field).unwrap_or_default();
        annotation.activity = Activity::from_ecs(
            text(Field::EventCategory),
            text(Field::EventType),
            text(Field::EventOutcome),
            text(Field::EventAction),
        );
        annotation
    }

    /// The entry's text for a field.
    #[must_use]
    pub fn get(&self, field: Field) -> Option<&str> {
        if self.present & bit(field) == 0 {
            return None;
        }
        self.fields
            .iter()
            .find(|(candidate, _)| *candidate == field)
            .map(|(_, text)| &**text)
    }
}
