//! nginx access logs, read by the user's own `log_format`.

use sidewatch_event::Event;

use crate::pseudonym::PseudonymKey;
use crate::{DecodeError, Decoder};

/// A reader of access-log lines, compiled from a `log_format`.
#[derive(Debug, Clone)]
pub struct LogFormat;

/// Why a `log_format` cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFormatError {
    /// No variable in the text.
    #[error("the format holds no variable; paste nginx' `log_format` directive or its text")]
    NoVariable,
}

impl LogFormat {
    /// Names accepted by [`LogFormat::preset`].
    pub const PRESETS: &[&str] = &["combined", "archivematica", "archivematica-xff", "json"];

    /// Compiles a pasted `log_format name escape=json '…' '…';` directive, or
    /// just the format text.
    ///
    /// # Errors
    /// Says what in the text cannot be understood.
    pub fn compile(text: &str) -> Result<Self, LogFormatError> {
        if text.contains('$') {
            Ok(Self)
        } else {
            Err(LogFormatError::NoVariable)
        }
    }

    /// A format known by name, see [`LogFormat::PRESETS`].
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        Self::PRESETS.contains(&name).then_some(Self)
    }

    /// Sets `event.dataset` of the events; `nginx.access` when not called.
    #[must_use]
    pub fn with_dataset(self, _dataset: &str) -> Self {
        self
    }

    /// Makes the keyed hash of a variable (say `cookie_sessionid`) the
    /// session. Without this, cookies are dropped.
    #[must_use]
    pub fn with_session(self, _variable: &str, _key: PseudonymKey) -> Self {
        self
    }

    /// Makes a variable (say `upstream_http_x_user`) the user name.
    #[must_use]
    pub fn with_user(self, _variable: &str) -> Self {
        self
    }
}

impl Decoder for LogFormat {
    fn decode(&self, _record: &[u8], _event: &mut Event) -> Result<(), DecodeError> {
        Err(DecodeError::Missing { field: "request" })
    }
}
