//! Records over TCP, one per line (or NUL-terminated), as Mattermost sends its
//! audit log.
//!
//! Invariants:
//! - beyond a TLS handshake, not one byte is ever written to a peer: some senders take any byte for a
//!   reason to close;
//! - a full pipeline stops reading, so the sender's own queue holds what
//!   waits; nothing is shed;
//! - a quiet connection stays open; TCP keep-alive finds the dead ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use sidewatch_codecs::Decoder;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::intake::Closed;
use crate::lines::{DEFAULT_LINE_LIMIT, LineBuffer};
use crate::listen::{self, Bound, require_local};
use crate::records::Records;
use crate::settings::check_range;
use crate::shutdown::{LastReads, SILENCE};
use crate::stream::Stream;
use crate::tls::{TlsSettings, secured};
use crate::{Intake, Shutdown, Source, SourceError, SourceFuture};

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delimiter {
    /// LF or CR LF.
    #[default]
    Line,
    /// NUL, as GELF over TCP.
    Nul,
}

/// Settings of the TCP source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpSettings {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// What ends a record.
    #[serde(default)]
    pub delimiter: Delimiter,
    /// Longest record, in bytes; longer ones are cut and flagged.
    #[serde(default = "default_record_limit")]
    pub max_record_bytes: usize,
    /// Connections at a time.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
    /// Allows an address others can reach: this protocol knows no sender.
    #[serde(default)]
    pub insecure: bool,
    /// TLS; without this table nothing is encrypted.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
}

fn default_record_limit() -> usize {
    DEFAULT_LINE_LIMIT
}

fn default_connections() -> usize {
    64
}

/// A bound TCP source.
pub struct TcpSource {
    name: Box<str>,
    bound: Bound,
    tls: Option<TlsAcceptor>,
    settings: TcpSettings,
    decoder: Arc<dyn Decoder>,
}

/// What to do about an address anyone can send to.
pub(crate) const UNAUTHENTICATED_REMEDY: &str = "listen on 127.0.0.1, or set `insecure = true` \
     if a firewall admits only the senders you trust, or name their authority as `tls.client_ca`";

impl TcpSettings {
    /// Checks what can be checked without touching the system.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SourceError> {
        let known = self.tls.as_ref().is_some_and(TlsSettings::authenticates);
        require_local(self.listen, self.insecure || known, UNAUTHENTICATED_REMEDY)?;
        check_range(
            "max_record_bytes",
            self.max_record_bytes as u64,
            64..=64 << 20,
        )?;
        check_range("max_connections", self.max_connections as u64, 1..=65_536)
    }

    /// Opens the listener.
    ///
    /// # Errors
    /// Settings that cannot be used, or an address that cannot be bound.
    pub fn bind(&self, name: &str, decoder: Arc<dyn Decoder>) -> Result<TcpSource, SourceError> {
        self.validate()?;
        let tls = self.tls.as_ref().map(TlsSettings::build).transpose()?;
        let bound = Bound::tcp(self.listen)?;
        Ok(TcpSource {
            name: name.into(),
            bound,
            tls,
            settings: self.clone(),
            decoder,
        })
    }
}

impl Source for TcpSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> Vec<String> {
        vec![self.bound.address()]
    }

    fn run(self: Box<Self>, intake: Intake, shutdown: Shutdown) -> SourceFuture {
        let Self {
            bound,
            tls,
            settings,
            decoder,
            ..
        } = *self;
        let slots = Arc::new(Semaphore::new(settings.max_connections));
        let records = Records {
            decoder,
            intake: intake.clone(),
        };
        let ended = shutdown.clone();
        Box::pin(listen::accept(
            bound,
            slots,
            intake,
            shutdown,
            move |stream, _| {
                let (records, tls, settings) = (records.clone(), tls.clone(), settings.clone());
                let last_reads = LastReads::new(ended.clone());
                async move {
                    if read(records, stream, tls, settings, last_reads)
                        .await
                        .is_err()
                    {
                        tracing::debug!("connection ended with the pipeline");
                    }
                }
            },
        ))
    }
}

/// Reads more of a connection; 0 at its end, and at shutdown once all that had
/// been sent is read: a sender does not know that it is not ours yet.
pub(crate) async fn read_more(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut [u8],
    last_reads: &mut LastReads,
) -> usize {
    let read = if last_reads.have_begun() {
        if last_reads.are_over() {
            tracing::warn!("a connection was still sending at shutdown and was cut");
            return 0;
        }
        let read = tokio::time::timeout(SILENCE, stream.read(buffer)).await;
        read.unwrap_or(Ok(0))
    } else {
        tokio::select! {
            biased;
            read = stream.read(buffer) => read,
            () = last_reads.begin() => {
                let read = tokio::time::timeout(SILENCE, stream.read(buffer)).await;
                read.unwrap_or(Ok(0))
            }
        }
    };
    read.unwrap_or_else(|error| {
        tracing::debug!(%error, "connection lost");
        0
    })
}

/// [`secured`], but nobody is waited for at shutdown.
pub(crate) async fn secured_until(
    stream: Stream,
    tls: Option<&TlsAcceptor>,
    last_reads: &mut LastReads,
) -> Option<Stream> {
    tokio::select! {
        biased;
        secured = secured(stream, tls) => secured,
        () = last_reads.begin() => None,
    }
}

/// Finds peers that went without a word.
pub(crate) fn keep_alive(stream: &Stream) {
    if let Stream::Tcp(stream) = stream {
        let probes = TcpKeepalive::new()
            .with_time(Duration::from_secs(60))
            .with_interval(Duration::from_secs(15));
        if let Err(error) = SockRef::from(stream).set_tcp_keepalive(&probes) {
            tracing::debug!(%error, "keep-alive could not be set");
        }
    }
}

async fn read(
    records: Records,
    stream: Stream,
    tls: Option<TlsAcceptor>,
    settings: TcpSettings,
    mut last_reads: LastReads,
) -> Result<(), Closed> {
    keep_alive(&stream);
    let Some(mut stream) = secured_until(stream, tls.as_ref(), &mut last_reads).await else {
        return Ok(());
    };
    let delimiter = match settings.delimiter {
        Delimiter::Line => b'\n',
        Delimiter::Nul => 0,
    };
    let mut lines =
        LineBuffer::new(settings.max_record_bytes, 8 * 1024, 0).with_delimiter(delimiter);
    loop {
        match read_more(&mut stream, lines.spare(), &mut last_reads).await {
            0 => break,
            count => lines.filled(count),
        }
        while let Some(line) = lines.next_line() {
            let record = line.bytes.strip_prefix(b"\n").unwrap_or(line.bytes);
            if let Some(event) = records.decode(record, line.number, line.truncated) {
                records.intake.push(event).await?;
            }
        }
    }
    // A sender that was cut off mid-record sends the whole record again later,
    // so half a record is a duplicate or garbage; the codec tells.
    if let Some(line) = lines.last_line()
        && let Some(event) = records.decode(line.bytes, line.number, line.truncated)
    {
        records.intake.push(event).await?;
    }
    Ok(())
}
