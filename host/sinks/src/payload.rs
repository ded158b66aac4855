//! What a record looks like inside a syslog message or on a line of a file.

use serde::Deserialize;
use sidewatch_codecs::cef::CefSettings;
use sidewatch_codecs::{cef, json};
use sidewatch_event::Delivery;

/// Format of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Common Event Format.
    Cef,
    /// One JSON object with nested ECS names.
    Json,
}

/// Writes records in one format.
#[derive(Debug, Clone)]
pub(crate) struct Payload {
    pub(crate) format: Format,
    pub(crate) cef: CefSettings,
}

impl Payload {
    /// Appends one record, without a line end.
    pub(crate) fn encode(&self, delivery: &Delivery, out: &mut Vec<u8>) {
        match self.format {
            Format::Cef => cef::encode(delivery, &self.cef, out),
            Format::Json => json::encode(delivery, out),
        }
    }
}
