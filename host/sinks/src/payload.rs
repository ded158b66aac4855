//! What a record looks like inside a syslog message or on a line of a file.

use std::sync::LazyLock;

use serde::Deserialize;
use sidewatch_codecs::cef::CefSettings;
use sidewatch_codecs::{cef, ecs, gelf, json, plain};
use sidewatch_event::Delivery;

/// Format of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Common Event Format.
    Cef,
    /// One JSON object with nested ECS names, and what is Sidewatch's own.
    Json,
    /// A document of the Elastic Common Schema.
    Ecs,
    /// A document as Elastic's integration for the application makes it.
    EcsElastic,
    /// GELF 1.1.
    Gelf,
    /// Time, severity and quoted `name=value` pairs.
    Plain,
}

/// Name of this machine, for formats that carry it.
static HOST: LazyLock<String> = LazyLock::new(|| {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
});

impl Format {
    /// Appends one record, without a line end.
    pub fn encode(self, delivery: &Delivery, cef: &CefSettings, out: &mut Vec<u8>) {
        match self {
            Self::Cef => cef::encode(delivery, cef, out),
            Self::Json => json::encode(delivery, out),
            Self::Ecs => ecs::encode(delivery, out),
            Self::EcsElastic => ecs::encode_elastic(delivery, out),
            Self::Gelf => gelf::encode(delivery, &HOST, out),
            Self::Plain => plain::encode(delivery, out),
        }
    }
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
        self.format.encode(delivery, &self.cef, out);
    }
}
