//! Syslog over TCP (RFC 6587): octet counting and line framing.

use std::sync::Arc;

use sidewatch_codecs::syslog::{Split, Splitter};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::{Messages, SyslogSettings};
use crate::SourceError;
use crate::intake::Closed;
use crate::listen::{self, Bound};
use crate::shutdown::Shutdown;
use crate::stream::Stream;
use crate::tcp::{keep_alive, read_until};
use crate::tls::secured;

/// Bytes asked of a connection at a time.
const CHUNK: usize = 16 * 1024;

pub(super) async fn accept(
    bound: Bound,
    tls: Option<TlsAcceptor>,
    messages: Messages,
    settings: SyslogSettings,
    shutdown: Shutdown,
) -> Result<(), SourceError> {
    let slots = Arc::new(Semaphore::new(settings.max_connections));
    let intake = messages.records.intake.clone();
    let ended = shutdown.clone();
    listen::accept(bound, slots, intake, shutdown, move |stream, _| {
        read_until(
            ended.clone(),
            read(
                messages.clone(),
                stream,
                tls.clone(),
                settings.max_record_bytes,
            ),
        )
    })
    .await
}

async fn read(
    messages: Messages,
    stream: Stream,
    tls: Option<TlsAcceptor>,
    limit: usize,
) -> Result<(), Closed> {
    keep_alive(&stream);
    let Some(mut stream) = secured(stream, tls.as_ref()).await else {
        return Ok(());
    };
    let mut connection = Reader {
        messages,
        splitter: Splitter::new(limit),
        held: Vec::new(),
        number: 0,
    };
    let mut chunk = vec![0; CHUNK];
    loop {
        match stream.read(&mut chunk).await {
            Ok(0) => break,
            Ok(count) => connection
                .held
                .extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) => {
                tracing::debug!(%error, "connection lost");
                break;
            }
        }
        connection.take(false).await?;
    }
    connection.take(true).await
}

struct Reader {
    messages: Messages,
    splitter: Splitter,
    /// Read but not yet split; the splitter bounds it.
    held: Vec<u8>,
    number: u64,
}

impl Reader {
    /// Takes every whole record out of what is held.
    async fn take(&mut self, end: bool) -> Result<(), Closed> {
        let intake = &self.messages.records.intake;
        let mut done = 0;
        loop {
            let rest = self.held.get(done..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match self.splitter.next(rest, end) {
                Split::Record { record, consumed } => {
                    self.number += 1;
                    let event = self.messages.decode(record, self.number, false);
                    done += consumed.max(1);
                    if let Some(event) = event {
                        intake.push(event).await?;
                    }
                }
                Split::Skip {
                    consumed,
                    oversized,
                } => {
                    if oversized {
                        self.number += 1;
                        intake.arrived(consumed);
                        intake.reject(self.number, &"message longer than `max_record_bytes`");
                    }
                    done += consumed.max(1);
                }
                Split::More => break,
            }
        }
        self.held.drain(..done.min(self.held.len()));
        Ok(())
    }
}
