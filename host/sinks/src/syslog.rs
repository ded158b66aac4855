//! Syslog over UDP, TCP, TLS or a Unix socket.
//!
//! What is known of a delivery differs by transport. Datagrams are fire and
//! forget. On a stream a batch counts as delivered once it was written whole;
//! when the connection breaks before that, the batch is sent again from its
//! first record, as nothing in a broken connection is known to have arrived.
//! Syslog has no answers, so what was written but still under way when a
//! connection broke is lost unnoticed; that can be prevented by no sender.
//!
//! A message above `max_bytes` is never cut, because half a CEF or JSON record
//! helps nobody, and never sent as it is, because a receiver that splits it
//! reads a message a client wrote: it is encoded again with shorter texts.

mod facility;
mod settings;
mod transport;

use std::io;
use std::time::Duration;

use sidewatch_codecs::syslog::{
    SyslogHeader, encode_3164, encode_5424, frame_octet_counted, severity_of,
};
use sidewatch_event::{Delivery, Field};
use tokio::time::timeout;

pub use facility::{Facility, UnknownFacility};
pub use settings::{Framing, Protocol, SyslogError, SyslogSettings, Transport};

use crate::connection::Endpoint;
use crate::payload::Payload;
use crate::sink::{BoxFuture, Outcome, Sink};
use crate::tls::Tls;
use transport::{Remote, Socket};

/// Most bytes written to a stream at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Longest texts of a record that is too long, tried one after the other.
const TEXTS: [usize; 5] = [1024, 256, 64, 16, 0];

/// Turns records into syslog messages.
struct Messages {
    /// None writes the payload alone.
    protocol: Option<Protocol>,
    utc_offset_seconds: i32,
    facility: Facility,
    hostname: String,
    app_name: String,
    process_id: String,
    payload: Payload,
    max_bytes: usize,
    body: Vec<u8>,
}

impl Messages {
    /// Writes one message into `out`, replacing what it held; one that is too
    /// long with its texts cut as little as needed.
    fn encode(&mut self, delivery: &Delivery, out: &mut Vec<u8>) -> Result<(), String> {
        self.write(delivery, out);
        for longest in TEXTS {
            if out.len() <= self.max_bytes {
                return Ok(());
            }
            self.write(&delivery.shortened(longest), out);
        }
        if out.len() <= self.max_bytes {
            return Ok(());
        }
        Err(format!(
            "the message has {} bytes without any text, more than max_bytes = {}",
            out.len(),
            self.max_bytes
        ))
    }

    fn write(&mut self, delivery: &Delivery, out: &mut Vec<u8>) {
        self.body.clear();
        self.payload.encode(delivery, &mut self.body);
        let event = delivery.event();
        let (time, message_id) = match delivery {
            Delivery::Finding(finding) => (finding.time, &*finding.kind),
            Delivery::Event(event) => (
                event.time,
                event.get(Field::EventAction).unwrap_or_default(),
            ),
        };
        let header = SyslogHeader {
            facility: self.facility.code(),
            severity: severity_of(delivery.severity()),
            time: if time == 0 { event.received } else { time },
            hostname: &self.hostname,
            app_name: &self.app_name,
            process_id: &self.process_id,
            message_id,
            structured_data: &[],
        };
        out.clear();
        match self.protocol {
            Some(Protocol::Rfc5424) => encode_5424(&header, &self.body, out),
            Some(Protocol::Rfc3164) => {
                encode_3164(&header, self.utc_offset_seconds, &self.body, out)
            }
            None => out.extend_from_slice(&self.body),
        }
    }
}

/// Sends records to a syslog receiver.
pub struct SyslogSink {
    messages: Messages,
    framing: Framing,
    remote: Remote,
    limit: Duration,
    socket: Option<Socket>,
    message: Vec<u8>,
    buffer: Vec<u8>,
}

impl SyslogSink {
    /// A sink that sends the payload alone, for receivers of other kinds.
    pub(crate) fn without_header(
        endpoint: Endpoint,
        tls: Option<Tls>,
        framing: Framing,
        payload: Payload,
        max_bytes: usize,
        limit: Duration,
    ) -> Self {
        Self {
            messages: Messages {
                protocol: None,
                utc_offset_seconds: 0,
                facility: Facility::default(),
                hostname: String::new(),
                app_name: String::new(),
                process_id: String::new(),
                payload,
                max_bytes,
                body: Vec::new(),
            },
            framing,
            remote: Remote::Tcp(endpoint, tls),
            limit,
            socket: None,
            message: Vec::new(),
            buffer: Vec::new(),
        }
    }

    async fn send_some(&mut self, batch: &[Delivery]) -> Outcome {
        let mut socket = match self.connected().await {
            Ok(socket) => socket,
            Err(error) => {
                return Outcome::default()
                    .with_retry(format!("cannot connect to {}: {error}", self.remote));
            }
        };
        let (outcome, usable) = match &mut socket {
            Socket::Stream(_) => self.send_stream(&mut socket, batch).await,
            _ => self.send_datagrams(&mut socket, batch).await,
        };
        if usable {
            self.socket = Some(socket);
        }
        outcome
    }

    /// The socket, taken out so that a cancelled attempt drops it.
    async fn connected(&mut self) -> io::Result<Socket> {
        if let Some(mut socket) = self.socket.take()
            && socket.is_open()
        {
            return Ok(socket);
        }
        timeout(self.limit, self.remote.connect()).await?
    }

    async fn send_stream(&mut self, socket: &mut Socket, batch: &[Delivery]) -> (Outcome, bool) {
        let mut outcome = Outcome::default();
        self.buffer.clear();
        for delivery in batch {
            match self.messages.encode(delivery, &mut self.message) {
                Ok(()) => {
                    self.framing.frame(&self.message, &mut self.buffer);
                    outcome.finished += 1;
                }
                Err(reason) => outcome.reject(reason),
            }
            if self.buffer.len() >= WRITE_BYTES {
                break;
            }
        }
        match flatten(timeout(self.limit, socket.write(&self.buffer)).await) {
            Ok(()) => (outcome, true),
            Err(error) => {
                let reason = format!("the connection to {} broke: {error}", self.remote);
                (Outcome::default().with_retry(reason), false)
            }
        }
    }

    async fn send_datagrams(&mut self, socket: &mut Socket, batch: &[Delivery]) -> (Outcome, bool) {
        let mut outcome = Outcome::default();
        for delivery in batch {
            if let Err(reason) = self.messages.encode(delivery, &mut self.message) {
                outcome.reject(reason);
                continue;
            }
            match flatten(timeout(self.limit, socket.send(&self.message)).await) {
                Ok(()) => outcome.finished += 1,
                Err(error) if transport::is_too_long(&error) => {
                    outcome.reject(format!(
                        "{} bytes do not fit into one datagram",
                        self.message.len()
                    ));
                }
                Err(error) => {
                    return (
                        outcome.with_retry(format!("cannot send to {}: {error}", self.remote)),
                        false,
                    );
                }
            }
        }
        (outcome, true)
    }
}

fn flatten<T>(result: Result<io::Result<T>, tokio::time::error::Elapsed>) -> io::Result<T> {
    result.unwrap_or_else(|elapsed| Err(elapsed.into()))
}

impl Framing {
    fn frame(self, message: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::OctetCounted => frame_octet_counted(message, out),
            Self::Lf => {
                // The encoders leave no line end in a message.
                out.extend_from_slice(message);
                out.push(b'\n');
            }
            Self::Nul => {
                out.extend_from_slice(message);
                out.push(0);
            }
        }
    }
}

impl Sink for SyslogSink {
    fn deliver<'a>(&'a mut self, batch: &'a [Delivery]) -> BoxFuture<'a, Outcome> {
        Box::pin(self.send_some(batch))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(mut socket) = self.socket.take()
                && let Err(error) = socket.close().await
            {
                tracing::debug!(remote = %self.remote, %error, "the connection did not close cleanly");
            }
        })
    }
}

#[cfg(test)]
mod tests;
