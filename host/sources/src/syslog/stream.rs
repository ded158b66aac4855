//! Syslog over TCP (RFC 6587): octet counting and line framing.

use std::sync::Arc;

use sidewatch_codecs::syslog::{Split, Splitter};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::{Messages, SyslogSettings};
use crate::SourceError;
use crate::intake::Closed;
use crate::listen::{self, Bound};
use crate::shutdown::{LastReads, Shutdown};
use crate::stream::Stream;
use crate::tcp::{keep_alive, read_more, secured_until};

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
    let limit = settings.max_record_bytes;
    listen::accept(bound, slots, intake, shutdown, move |stream, _| {
        let (messages, tls) = (messages.clone(), tls.clone());
        let last_reads = LastReads::new(ended.clone());
        async move {
            if read(messages, stream, tls, limit, last_reads)
                .await
                .is_err()
            {
                tracing::debug!("connection ended with the pipeline");
            }
        }
    })
    .await
}

async fn read(
    messages: Messages,
    stream: Stream,
    tls: Option<TlsAcceptor>,
    limit: usize,
    mut last_reads: LastReads,
) -> Result<(), Closed> {
    keep_alive(&stream);
    let Some(mut stream) = secured_until(stream, tls.as_ref(), &mut last_reads).await else {
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
        match read_more(&mut stream, &mut chunk, &mut last_reads).await {
            0 => break,
            count => connection
                .held
                .extend_from_slice(chunk.get(..count).unwrap_or_default()),
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
