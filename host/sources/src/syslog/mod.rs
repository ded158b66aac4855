//! Syslog messages whose text is a record of the codec, as nginx sends its
//! access log with `access_log syslog:…`.
//!
//! Datagrams are lossy by their nature: nginx does not wait, and the kernel
//! drops what does not fit. So they are drained by a thread that does nothing
//! else, into a large socket buffer, and what the kernel dropped is counted
//! where it can be known (UDP). For a record that may not be lost, use a file.

mod datagram;
mod stream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;
use sidewatch_codecs::{Decoder, syslog};
use sidewatch_event::{Event, Field};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::listen::{Bound, require_local};
use crate::records::Records;
use crate::settings::check_range;
use crate::tcp::UNAUTHENTICATED_REMEDY;
use crate::tls::TlsSettings;
use crate::{Intake, Shutdown, Source, SourceError, SourceFuture, identity};
use datagram::Datagrams;

/// Settings of the syslog source; any of the three inputs may be used.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyslogSettings {
    /// UDP address.
    pub udp: Option<SocketAddr>,
    /// TCP address; octet counting and line framing are told apart by
    /// themselves.
    pub tcp: Option<SocketAddr>,
    /// Path of a unix datagram socket.
    pub socket: Option<PathBuf>,
    /// Mode of that socket; the sender must be able to write to it.
    pub socket_mode: u32,
    /// Longest message, in bytes; longer ones are cut and flagged (datagrams)
    /// or dropped and counted (TCP).
    pub max_record_bytes: usize,
    /// Bytes of kernel buffer asked for, per datagram socket.
    pub receive_buffer_bytes: usize,
    /// Zone of RFC 3164 times, in seconds east of UTC: they do not say.
    pub zone_offset_seconds: i32,
    /// TCP connections at a time.
    pub max_connections: usize,
    /// Allows addresses others can reach: syslog knows no sender.
    pub insecure: bool,
    /// TLS on the TCP address (RFC 5425); without this table nothing is
    /// encrypted.
    pub tls: Option<TlsSettings>,
}

impl Default for SyslogSettings {
    fn default() -> Self {
        Self {
            udp: None,
            tcp: None,
            socket: None,
            socket_mode: 0o660,
            max_record_bytes: 64 * 1024,
            receive_buffer_bytes: 8 << 20,
            zone_offset_seconds: 0,
            max_connections: 64,
            insecure: false,
            tls: None,
        }
    }
}

/// A bound syslog source.
pub struct SyslogSource {
    name: Box<str>,
    datagrams: Vec<Datagrams>,
    stream: Option<Bound>,
    tls: Option<TlsAcceptor>,
    settings: SyslogSettings,
    decoder: Arc<dyn Decoder>,
}

impl SyslogSettings {
    /// Checks what can be checked without touching the system.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SourceError> {
        if self.udp.is_none() && self.tcp.is_none() && self.socket.is_none() {
            let problem = "is missing; set `udp`, `tcp` or `socket`, e.g. udp = \"127.0.0.1:8514\"";
            return Err(SourceError::Setting {
                setting: "udp",
                problem: problem.into(),
            });
        }
        if let Some(address) = self.udp {
            require_local(address, self.insecure, UNAUTHENTICATED_REMEDY)?;
        }
        if let Some(address) = self.tcp {
            let known = self.tls.as_ref().is_some_and(TlsSettings::authenticates);
            require_local(address, self.insecure || known, UNAUTHENTICATED_REMEDY)?;
        } else if self.tls.is_some() {
            let problem = "needs `tcp`; datagrams cannot be encrypted".into();
            return Err(SourceError::Setting {
                setting: "tls",
                problem,
            });
        }
        check_range(
            "max_record_bytes",
            self.max_record_bytes as u64,
            480..=16 << 20,
        )?;
        check_range(
            "receive_buffer_bytes",
            self.receive_buffer_bytes as u64,
            4096..=1 << 30,
        )?;
        check_range("max_connections", self.max_connections as u64, 1..=65_536)?;
        check_range("socket_mode", u64::from(self.socket_mode), 0o200..=0o777)?;
        let zone = u64::from(self.zone_offset_seconds.unsigned_abs());
        check_range("zone_offset_seconds", zone, 0..=50_400)
    }

    /// Opens the sockets.
    ///
    /// # Errors
    /// Settings that cannot be used, or an address that cannot be bound.
    pub fn bind(&self, name: &str, decoder: Arc<dyn Decoder>) -> Result<SyslogSource, SourceError> {
        self.validate()?;
        let mut datagrams = Vec::new();
        if let Some(address) = self.udp {
            datagrams.push(Datagrams::udp(address, self.receive_buffer_bytes)?);
        }
        if let Some(path) = &self.socket {
            datagrams.push(Datagrams::unix(
                path,
                self.socket_mode,
                self.receive_buffer_bytes,
            )?);
        }
        let tls = self.tls.as_ref().map(TlsSettings::build).transpose()?;
        let stream = self.tcp.map(Bound::tcp).transpose()?;
        Ok(SyslogSource {
            tls,
            name: name.into(),
            datagrams,
            stream,
            settings: self.clone(),
            decoder,
        })
    }
}

impl Source for SyslogSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> Vec<String> {
        let datagrams = self.datagrams.iter().map(Datagrams::address);
        datagrams
            .chain(self.stream.iter().map(Bound::address))
            .collect()
    }

    fn run(self: Box<Self>, intake: Intake, shutdown: Shutdown) -> SourceFuture {
        Box::pin(run(*self, intake, shutdown))
    }
}

async fn run(source: SyslogSource, intake: Intake, shutdown: Shutdown) -> Result<(), SourceError> {
    let messages = Messages {
        records: Records {
            decoder: source.decoder,
            intake: intake.clone(),
        },
        zone_offset_seconds: source.settings.zone_offset_seconds,
    };
    let mut inputs = JoinSet::new();
    for datagrams in source.datagrams {
        let (messages, shutdown) = (messages.clone(), shutdown.clone());
        let limit = source.settings.max_record_bytes;
        inputs.spawn(crate::on_thread("datagrams", move || {
            datagrams.drain(&messages, limit, &shutdown)
        }));
    }
    if let Some(bound) = source.stream {
        inputs.spawn(stream::accept(
            bound,
            source.tls,
            messages,
            source.settings,
            shutdown,
        ));
    }
    while let Some(ended) = inputs.join_next().await {
        ended.map_err(|error| SourceError::Runtime(error.into()))??;
    }
    Ok(())
}

/// Reads the syslog envelope, then the record inside it.
#[derive(Clone)]
struct Messages {
    records: Records,
    zone_offset_seconds: i32,
}

impl Messages {
    /// Counts and decodes one message; nothing comes back when it was
    /// rejected (which has been counted then) or empty.
    fn decode(&self, bytes: &[u8], number: u64, truncated: bool) -> Option<Box<Event>> {
        if bytes.is_empty() {
            return None;
        }
        let received = identity::now();
        self.records.intake.arrived(bytes.len());
        let message = match syslog::decode(bytes, received, self.zone_offset_seconds) {
            Ok(message) => message,
            Err(error) => {
                self.records.intake.reject(number, &error);
                return None;
            }
        };
        let mut event =
            self.records
                .decode_arrived(message.message, number, truncated, received)?;
        if event.time == 0 {
            event.time = message.time.unwrap_or(0);
        }
        if event.own(Field::ObserverHostname).is_none() && !message.hostname.is_empty() {
            event.set(Field::ObserverHostname, message.hostname);
        }
        Some(event)
    }
}
