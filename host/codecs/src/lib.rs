//! Bytes to events and back.
//!
//! Every grammar Sidewatch reads or writes has one module here: nginx access
//! logs, mirrored requests, Mattermost's audit log, syslog, CEF, ECS JSON and Tirreno's form.
//!
//! Invariants:
//! - no I/O and no clock: time is passed in, so the crate compiles to
//!   WebAssembly and the edge application uses the same code;
//! - what arrives is hostile: decoding never panics and takes linear time;
//! - secrets never enter an event: texts are redacted and sessions hashed
//!   before they are stored;
//! - an encoder writes exactly one record per event or finding, whatever
//!   bytes the event holds.

pub mod cef;
mod document;
pub mod ecs;
mod evidence;
pub mod gelf;
pub mod json;
pub mod mattermost;
pub mod nginx;
pub mod plain;
pub mod pseudonym;
pub mod redact;
pub mod request;
mod scan;
pub mod syslog;
mod target;
#[cfg(test)]
mod testing;
mod text;
mod time;
pub mod tirreno;

use sidewatch_event::Event;

pub use mattermost::{AuditCodec, AuditOrAccess, AuditTable};
pub use nginx::{LogFormat, LogFormatError};
pub use pseudonym::PseudonymKey;
pub use request::{Locator, RequestCodec, RequestSettings, RequestView};

/// Turns one record into one event.
pub trait Decoder: Send + Sync {
    /// Decodes `record` (without its line end) into `event`, which arrives
    /// cleared apart from `received` and `source`.
    ///
    /// # Errors
    /// Says where the record departs from the expected form. The event may
    /// then hold part of it and is to be cleared.
    fn decode(&self, record: &[u8], event: &mut Event) -> Result<(), DecodeError>;
}

impl DecodeError {
    /// The same error for a record that has `bytes` more before it.
    pub(crate) fn moved(mut self, bytes: usize) -> Self {
        match &mut self {
            Self::Literal { column, .. }
            | Self::Field { column, .. }
            | Self::Trailing { column }
            | Self::Json { column, .. } => *column += bytes,
            Self::Missing { .. } | Self::TooLong { .. } => {}
        }
        self
    }
}

/// Why a record is no event. The texts name columns and fields, never what
/// the record holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The text between two fields differs from the format's.
    #[error(
        "column {column}: expected `{expected}` after `{field}`; does the format match the log?"
    )]
    Literal {
        /// Byte position in the record, counted from 1.
        column: usize,
        /// The literal text of the format.
        expected: Box<str>,
        /// The field before it.
        field: Box<str>,
    },
    /// A field's text cannot be what its name says.
    #[error("column {column}: `{field}` is not {expected}")]
    Field {
        /// Byte position in the record, counted from 1.
        column: usize,
        /// The field's name.
        field: Box<str>,
        /// What it should be.
        expected: &'static str,
    },
    /// The record goes on after its last field.
    #[error("column {column}: text after the end of the format")]
    Trailing {
        /// Byte position in the record, counted from 1.
        column: usize,
    },
    /// A JSON record is none.
    #[error("column {column}: expected {expected}")]
    Json {
        /// Byte position in the record, counted from 1.
        column: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// A field without which the record says nothing is absent.
    #[error("`{field}` is missing")]
    Missing {
        /// The field's name.
        field: &'static str,
    },
    /// The record is longer than the codec reads.
    #[error("record of {length} bytes is longer than {limit}")]
    TooLong {
        /// Bytes it has.
        length: usize,
        /// Bytes it may have.
        limit: usize,
    },
}
