//! Settings of a syslog sink, and what makes them unusable.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use sidewatch_codecs::cef::CefSettings;
use thiserror::Error;

use super::facility::Facility;
use super::transport::Remote;
use super::{Messages, SyslogSink};
use crate::connection::{Endpoint, EndpointError};
use crate::payload::{Format, Payload};
use crate::tls::{TlsError, TlsSettings};

/// Bytes of a message unless configured: what rsyslog takes unless told
/// otherwise (`maxMessageSize`). It splits longer ones, on streams too, and
/// what follows the split is a message of its own, which a client would write.
const MESSAGE_BYTES: usize = 8 * 1024;

/// Least bytes of a message: room for a finding without its texts.
const LEAST_BYTES: usize = 2048;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// UDP (RFC 5426).
    Udp,
    /// TCP (RFC 6587).
    Tcp,
    /// TLS (RFC 5425).
    Tls,
    /// A Unix socket: datagrams, or a stream if the socket is one.
    Unix,
}

/// What precedes the payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// RFC 5424.
    #[default]
    Rfc5424,
    /// RFC 3164, without year and zone.
    Rfc3164,
}

/// How messages are told apart on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Framing {
    /// Each after its length, RFC 6587 section 3.4.1.
    #[default]
    OctetCounted,
    /// Each ended by LF, for receivers that know nothing else.
    Lf,
    /// Each ended by NUL, as GELF.
    Nul,
}

/// Settings of a syslog sink.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogSettings {
    /// How messages travel.
    pub transport: Transport,
    /// Receiver as host:port; for udp, tcp and tls.
    #[serde(default)]
    pub address: Option<String>,
    /// Path of the socket; for unix.
    #[serde(default)]
    pub path: Option<PathBuf>,
    /// What precedes the payload.
    #[serde(default)]
    pub protocol: Protocol,
    /// How messages are told apart on a stream.
    #[serde(default)]
    pub framing: Framing,
    /// Format of the records; CEF unless given.
    #[serde(default = "cef")]
    pub payload: Format,
    /// Header constants for CEF.
    #[serde(default)]
    pub cef: CefSettings,
    /// Facility by name; `authpriv` unless given.
    #[serde(default)]
    pub facility: Facility,
    /// Program name in the messages.
    #[serde(default = "sidewatch")]
    pub app_name: String,
    /// Host name in the messages; the system's unless given.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Seconds east of UTC of the times in RFC 3164 messages.
    #[serde(default)]
    pub utc_offset_seconds: i32,
    /// Longest message in bytes, framing aside; the texts of longer ones are
    /// shortened. 8 KiB unless given; raise it together with the receiver's own
    /// bound (rsyslog: `maxMessageSize`), never alone.
    #[serde(default)]
    pub max_bytes: Option<usize>,
    /// Seconds until connecting or writing is given up and tried again.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
    /// TLS; for tls.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
}

fn cef() -> Format {
    Format::Cef
}

fn sidewatch() -> String {
    "sidewatch".into()
}

fn ten() -> u64 {
    10
}

/// Why a syslog sink cannot be built.
#[derive(Debug, Error)]
pub enum SyslogError {
    /// A setting the transport needs is absent.
    #[error("transport {0:?} needs `{1}`")]
    Missing(Transport, &'static str),
    /// A setting that would have no effect.
    #[error("`{1}` has no effect with transport {0:?}: remove it or change the transport")]
    Useless(Transport, &'static str),
    /// The address is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A number is off.
    #[error("{0} must be between {1} and {2}")]
    Range(&'static str, i64, i64),
    /// A name that would break the header apart.
    #[error("`{0}` must be visible ASCII without blanks, at most {1} characters")]
    Name(&'static str, usize),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl SyslogSettings {
    /// Checks the settings and reads the files they name.
    ///
    /// # Errors
    /// A setting or file cannot be used.
    pub fn build(&self) -> Result<SyslogSink, SyslogError> {
        let remote = self.remote()?;
        let max_bytes = self.max_bytes.unwrap_or(MESSAGE_BYTES);
        if !(LEAST_BYTES..=1024 * 1024).contains(&max_bytes) {
            return Err(SyslogError::Range("max_bytes", 2048, 1024 * 1024));
        }
        if !(1..=300).contains(&self.timeout_seconds) {
            return Err(SyslogError::Range("timeout_seconds", 1, 300));
        }
        if self.utc_offset_seconds.abs() > 86_400 {
            return Err(SyslogError::Range("utc_offset_seconds", -86_400, 86_400));
        }
        Ok(SyslogSink {
            messages: Messages {
                protocol: Some(self.protocol),
                utc_offset_seconds: self.utc_offset_seconds,
                facility: self.facility,
                hostname: header_name(
                    "hostname",
                    self.hostname.clone().unwrap_or_else(system_hostname),
                    255,
                )?,
                app_name: header_name("app_name", self.app_name.clone(), 48)?,
                process_id: std::process::id().to_string(),
                payload: Payload {
                    format: self.payload,
                    cef: self.cef.clone(),
                },
                max_bytes,
                body: Vec::new(),
            },
            framing: self.framing,
            remote,
            limit: Duration::from_secs(self.timeout_seconds),
            socket: None,
            message: Vec::new(),
            buffer: Vec::new(),
        })
    }

    fn remote(&self) -> Result<Remote, SyslogError> {
        let transport = self.transport;
        let present = [
            ("path", self.path.is_some(), transport == Transport::Unix),
            (
                "address",
                self.address.is_some(),
                transport != Transport::Unix,
            ),
            ("tls", self.tls.is_some(), transport == Transport::Tls),
        ];
        if let Some((name, ..)) = present.into_iter().find(|(_, given, used)| *given && !used) {
            return Err(SyslogError::Useless(transport, name));
        }
        if transport == Transport::Unix {
            return self
                .path
                .clone()
                .map(Remote::Unix)
                .ok_or(SyslogError::Missing(transport, "path"));
        }
        let address = self
            .address
            .as_deref()
            .ok_or(SyslogError::Missing(transport, "address"))?;
        let endpoint: Endpoint = address.parse()?;
        Ok(match transport {
            Transport::Udp => Remote::Udp(endpoint),
            Transport::Tls => {
                let tls = self.tls.clone().unwrap_or_default().build(&endpoint.host)?;
                Remote::Tcp(endpoint, Some(tls))
            }
            _ => Remote::Tcp(endpoint, None),
        })
    }
}

fn header_name(setting: &'static str, name: String, longest: usize) -> Result<String, SyslogError> {
    let fits = !name.is_empty()
        && name.len() <= longest
        && name.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        Ok(name)
    } else {
        Err(SyslogError::Name(setting, longest))
    }
}

fn system_hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "localhost".into()
    } else {
        name.into()
    }
}
