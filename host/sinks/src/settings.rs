//! The sinks an operator can configure, told apart by `type`.

use serde::Deserialize;
use thiserror::Error;

use crate::console::ConsoleSettings;
use crate::file::{FileError, FileSettings};
use crate::sink::Sink;
use crate::syslog::{SyslogError, SyslogSettings};
use crate::tirreno::{TirrenoError, TirrenoSettings};

/// Settings of one sink, as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SinkSettings {
    /// Tirreno's `POST /sensor/`.
    Tirreno(TirrenoSettings),
    /// A syslog receiver.
    Syslog(SyslogSettings),
    /// A file of lines.
    File(FileSettings),
    /// Standard output or standard error.
    Console(ConsoleSettings),
}

/// Why a sink cannot be built.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The Tirreno sink.
    #[error(transparent)]
    Tirreno(#[from] TirrenoError),
    /// The syslog sink.
    #[error(transparent)]
    Syslog(#[from] SyslogError),
    /// The file sink.
    #[error(transparent)]
    File(#[from] FileError),
}

impl SinkSettings {
    /// Checks the settings and prepares the sink. The remote end need not be
    /// up.
    ///
    /// # Errors
    /// A setting cannot be used; the text says which and what to do.
    pub fn build(&self) -> Result<Box<dyn Sink>, SinkError> {
        Ok(match self {
            Self::Tirreno(settings) => Box::new(settings.build()?),
            Self::Syslog(settings) => Box::new(settings.build()?),
            Self::File(settings) => Box::new(settings.build()?),
            Self::Console(settings) => Box::new(settings.build()),
        })
    }

    /// The `type` of the sink.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tirreno(_) => "tirreno",
            Self::Syslog(_) => "syslog",
            Self::File(_) => "file",
            Self::Console(_) => "console",
        }
    }
}
