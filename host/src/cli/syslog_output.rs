//! Records of a batch verb to a syslog receiver, through the same sink as
//! `run` uses.

use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use sidewatch_codecs::cef::CefSettings;
use sidewatch_event::Delivery;
use sidewatch_sinks::syslog::{
    Facility, Framing, Protocol, SyslogSettings, Transport, UnknownFacility,
};
use sidewatch_sinks::{Sink, SinkSettings};
use tokio::runtime::{Builder, Runtime};

use super::output::OutputFormat;
use super::terminal;
use super::usage::usage;

/// Records sent at once.
const BATCH: usize = 512;
/// Attempts in a row that bring nothing on before the run is given up.
const ATTEMPTS: u32 = 8;
/// Pause before the first further attempt; doubles with each.
const PAUSE: Duration = Duration::from_millis(50);
/// Largest datagram, in bytes.
const DATAGRAM: usize = 60 * 1024;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Carrier {
    /// Datagrams: fast, and lost without a word
    Udp,
    /// A connection
    Tcp,
}

/// Where to send instead of writing.
#[derive(Debug, Args)]
pub(crate) struct SyslogArguments {
    /// Send to this syslog receiver instead of writing: a host, host:port, or the path of a socket such as /dev/log
    #[arg(long, short, value_name = "ADDRESS", conflicts_with = "output")]
    syslog: Option<String>,
    /// Syslog facility by name, such as user, authpriv, local0
    #[arg(long, value_name = "NAME", requires = "syslog", default_value = "user", value_parser = facility)]
    facility: Facility,
    /// Port of the receiver
    #[arg(long, value_name = "PORT", requires = "syslog", default_value_t = 514)]
    port: u16,
    /// How messages travel to a host
    #[arg(long, value_enum, requires = "syslog", default_value = "udp")]
    transport: Carrier,
}

fn facility(name: &str) -> Result<Facility, UnknownFacility> {
    Facility::try_from(name.to_ascii_lowercase())
}

impl SyslogArguments {
    /// Whether anything is to be sent at all.
    pub(super) fn is_wanted(&self) -> bool {
        self.syslog.is_some()
    }

    /// The sender, when one is wanted.
    ///
    /// # Errors
    /// Says which argument cannot be used.
    pub(super) fn build(
        &self,
        format: OutputFormat,
        cef: CefSettings,
    ) -> Result<Option<SyslogOutput>> {
        let Some(address) = &self.syslog else {
            return Ok(None);
        };
        let payload = format
            .record()
            .ok_or_else(|| usage("--syslog takes a format of records, such as cef or json"))?;
        let is_path = address.starts_with(['/', '.']);
        let transport = match self.transport {
            _ if is_path => Transport::Unix,
            Carrier::Udp => Transport::Udp,
            Carrier::Tcp => Transport::Tcp,
        };
        let settings = SyslogSettings {
            transport,
            address: (!is_path).then(|| with_port(address, self.port)),
            path: is_path.then(|| Path::new(address).to_owned()),
            protocol: Protocol::default(),
            framing: Framing::default(),
            payload,
            cef,
            facility: self.facility,
            app_name: "sidewatch".to_owned(),
            hostname: None,
            utc_offset_seconds: 0,
            max_bytes: (transport == Transport::Udp).then_some(DATAGRAM),
            timeout_seconds: 10,
            tls: None,
        };
        let sink = SinkSettings::Syslog(settings)
            .build()
            .map_err(|error| usage(format!("--syslog: {error}")))?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .context("--syslog")?;
        Ok(Some(SyslogOutput {
            sink,
            runtime,
            pending: Vec::with_capacity(BATCH),
            refused: 0,
        }))
    }
}

/// `host`, `host:port`, `[::1]:port` or a bare IPv6 address.
fn with_port(address: &str, port: u16) -> String {
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return format!("[{address}]:{port}");
    }
    let has_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    if has_port {
        address.to_owned()
    } else {
        format!("{address}:{port}")
    }
}

/// Sends records in batches and waits for each.
pub(super) struct SyslogOutput {
    sink: Box<dyn Sink>,
    runtime: Runtime,
    pending: Vec<Delivery>,
    refused: u64,
}

impl SyslogOutput {
    /// Records the receiver or the transport refused for good.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// Takes one record.
    ///
    /// # Errors
    /// The receiver takes nothing more.
    pub(super) fn send(&mut self, delivery: Delivery) -> io::Result<()> {
        self.pending.push(delivery);
        if self.pending.len() >= BATCH {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Sends what is pending.
    ///
    /// # Errors
    /// The receiver takes nothing more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut attempts = 0;
        while !self.pending.is_empty() {
            let outcome = self.runtime.block_on(self.sink.deliver(&self.pending));
            for rejection in &outcome.rejected {
                self.refused += 1;
                if self.refused == 1 {
                    terminal::note(&format!("not sent: {}", rejection.reason));
                }
            }
            let finished = outcome.finished.min(self.pending.len());
            self.pending.drain(..finished);
            if finished > 0 {
                attempts = 0;
            }
            if let Some(retry) = outcome.retry {
                attempts += 1;
                if attempts >= ATTEMPTS {
                    return Err(io::Error::other(retry.reason));
                }
                std::thread::sleep(PAUSE * 2_u32.saturating_pow(attempts - 1));
            } else if finished == 0 {
                return Err(io::Error::other("the receiver takes nothing"));
            }
        }
        Ok(())
    }
}

impl Drop for SyslogOutput {
    fn drop(&mut self) {
        self.runtime.block_on(self.sink.close());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_added_where_there_is_none() {
        for (address, expected) in [
            ("logs.example", "logs.example:514"),
            ("logs.example:6514", "logs.example:6514"),
            ("::1", "[::1]:514"),
            ("[::1]:6514", "[::1]:6514"),
            ("192.0.2.1", "192.0.2.1:514"),
        ] {
            assert_eq!(with_port(address, 514), expected);
        }
    }
}
