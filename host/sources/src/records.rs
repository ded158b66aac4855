//! From one record to one event, for every source that reads records.

use std::sync::Arc;

use sidewatch_codecs::Decoder;
use sidewatch_event::Event;

use crate::counters::one;
use crate::identity;
use crate::intake::Intake;

/// A codec and where its events go.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) decoder: Arc<dyn Decoder>,
    pub(crate) intake: Intake,
}

impl Records {
    /// Counts and decodes one record; nothing comes back when it was rejected
    /// (which has been counted then) or empty.
    pub(crate) fn decode(
        &self,
        record: &[u8],
        position: u64,
        truncated: bool,
    ) -> Option<Box<Event>> {
        if record.is_empty() {
            return None;
        }
        self.intake.arrived(record.len());
        self.decode_arrived(record, position, truncated, identity::now())
    }

    /// [`Records::decode`] for a record that has been counted as arrived.
    pub(crate) fn decode_arrived(
        &self,
        record: &[u8],
        position: u64,
        truncated: bool,
        received: i64,
    ) -> Option<Box<Event>> {
        if truncated {
            one(&self.intake.counters().truncated);
        }
        let mut event = self.intake.blank(received);
        if let Err(error) = self.decoder.decode(record, &mut event) {
            self.intake.reject(position, &error);
            return None;
        }
        event.truncated |= truncated;
        Some(event)
    }
}
