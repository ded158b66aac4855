//! The sinks an operator can configure, told apart by `type`.

use serde::Deserialize;
use thiserror::Error;

use crate::console::ConsoleSettings;
use crate::file::{FileError, FileSettings};
use crate::sink::Sink;
use crate::syslog::{SyslogError, SyslogSettings};
use crate::tcp::{TcpError, TcpSettings};
use crate::tirreno::{TirrenoError, TirrenoSettings};

/// Settings of one sink, as typed.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum SinkSettings {
    /// Tirreno's `POST /sensor/`.
    Tirreno(TirrenoSettings),
    /// A syslog receiver.
    Syslog(SyslogSettings),
    /// A receiver of records over TCP or TLS.
    Tcp(TcpSettings),
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
    /// The TCP sink.
    #[error(transparent)]
    Tcp(#[from] TcpError),
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
            Self::Tcp(settings) => Box::new(settings.build()?),
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
            Self::Tcp(_) => "tcp",
            Self::File(_) => "file",
            Self::Console(_) => "console",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_can_be_configured_and_built() {
        let directory = tempfile::tempdir().unwrap();
        let file = format!(
            "type = 'file'\npath = '{}'",
            directory.path().join("log").display()
        );
        for (kind, text) in [
            (
                "tirreno",
                "type = 'tirreno'\nurl = 'http://t.example'\napi_key = 'k'",
            ),
            (
                "syslog",
                "type = 'syslog'\ntransport = 'udp'\naddress = 'logs.example:514'",
            ),
            (
                "tcp",
                "type = 'tcp'\naddress = 'logs.example:12201'\nformat = 'gelf'",
            ),
            ("file", file.as_str()),
            ("console", "type = 'console'"),
        ] {
            let settings: SinkSettings = toml::from_str(text).unwrap();
            assert_eq!(settings.kind(), kind);
            assert!(settings.build().is_ok(), "{kind}");
        }
    }

    #[test]
    fn unknown_types_and_keys_are_refused_by_name() {
        let refused = |text: &str| {
            toml::from_str::<SinkSettings>(text)
                .unwrap_err()
                .to_string()
        };
        assert!(refused("type = 'consol'").contains("consol"));
        assert!(refused("type = 'console'\ncolors = true").contains("colors"));
        let nested =
            refused("type = 'tirreno'\nurl = 'http://t.example'\n[rate_limit]\nrequest = 1");
        assert!(nested.contains("request"), "{nested}");
    }
}
