//! The settings of every kind of source, as typed in the configuration.

use std::sync::Arc;

use serde::Deserialize;
use sidewatch_codecs::{Decoder, RequestCodec};

use crate::file::{FileSettings, Followed, MemoryPositions, Positions};
use crate::mirror::MirrorSettings;
use crate::stdin::StdinSettings;
use crate::syslog::SyslogSettings;
use crate::tcp::TcpSettings;
use crate::{Source, SourceError};

/// One `[[sources]]` entry, told apart by its `type`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceSettings {
    /// Mirrored requests, and Tirreno's form at `/sensor/`.
    Mirror(MirrorSettings),
    /// Syslog over UDP, TCP or a unix datagram socket.
    Syslog(SyslogSettings),
    /// Followed files.
    File(FileSettings),
    /// Records over TCP, one per line.
    Tcp(TcpSettings),
    /// Records on standard input, one per line.
    Stdin(StdinSettings),
}

/// How what arrives becomes events, and where file positions are kept.
#[derive(Clone)]
pub struct Codecs {
    /// For lines and messages.
    pub records: Arc<dyn Decoder>,
    /// For mirrored requests.
    pub requests: Arc<RequestCodec>,
    /// Where files were read up to.
    pub positions: Arc<dyn Positions>,
    /// The names all file sources of the process follow.
    pub followed: Arc<Followed>,
}

impl Codecs {
    /// Codecs with positions that last as long as the process.
    #[must_use]
    pub fn new(records: Arc<dyn Decoder>, requests: Arc<RequestCodec>) -> Self {
        Self {
            records,
            requests,
            positions: Arc::new(MemoryPositions::default()),
            followed: Arc::default(),
        }
    }
}

impl SourceSettings {
    /// Checks what can be checked without touching the system.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SourceError> {
        match self {
            Self::Mirror(settings) => settings.validate(),
            Self::Syslog(settings) => settings.validate(),
            Self::File(settings) => settings.validate(),
            Self::Tcp(settings) => settings.validate(),
            Self::Stdin(settings) => settings.validate(),
        }
    }

    /// Opens the source's sockets. Files may come and go and are opened when
    /// running.
    ///
    /// # Errors
    /// Settings that cannot be used, or an address or path that cannot be
    /// bound, and why.
    pub fn bind(&self, name: &str, codecs: &Codecs) -> Result<Box<dyn Source>, SourceError> {
        let records = Arc::clone(&codecs.records);
        Ok(match self {
            Self::Mirror(settings) => Box::new(settings.bind(name, Arc::clone(&codecs.requests))?),
            Self::Syslog(settings) => Box::new(settings.bind(name, records)?),
            Self::File(settings) => {
                let positions = Arc::clone(&codecs.positions);
                let followed = Arc::clone(&codecs.followed);
                Box::new(settings.bind(name, records, positions, followed)?)
            }
            Self::Tcp(settings) => Box::new(settings.bind(name, records)?),
            Self::Stdin(settings) => Box::new(settings.bind(name, records)?),
        })
    }
}

/// Refuses a limit of zero or one beyond reason.
pub(crate) fn check_range(
    setting: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<(), SourceError> {
    if range.contains(&value) {
        return Ok(());
    }
    let problem = format!("is {value}; choose {} to {}", range.start(), range.end());
    Err(SourceError::Setting { setting, problem })
}
