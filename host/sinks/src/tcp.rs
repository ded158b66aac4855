//! Records over TCP or TLS, one after the other, without a header.
//!
//! The receiver is a Logstash, Graylog, Vector or Fluent Bit input that takes
//! lines (or, for GELF, records that end in NUL). No encoder writes either
//! byte inside a record.

use std::time::Duration;

use serde::Deserialize;
use sidewatch_codecs::cef::CefSettings;
use thiserror::Error;

use crate::connection::{Endpoint, EndpointError};
use crate::payload::{Format, Payload};
use crate::syslog::{Framing, SyslogSink};
use crate::tls::{TlsError, TlsSettings};

/// Bytes of a record unless configured.
const RECORD_BYTES: usize = 256 * 1024;

/// What ends a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delimiter {
    /// LF.
    Line,
    /// NUL, as receivers of GELF want it.
    Nul,
}

/// Settings of a TCP sink.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpSettings {
    /// Receiver as host:port.
    pub address: String,
    /// Format of the records; JSON unless given.
    #[serde(default = "json")]
    pub format: Format,
    /// What ends a record; NUL for GELF, a line end for all others unless
    /// given.
    #[serde(default)]
    pub delimiter: Option<Delimiter>,
    /// Header constants for CEF.
    #[serde(default)]
    pub cef: CefSettings,
    /// Longest record in bytes; longer ones are refused and counted.
    #[serde(default = "record_bytes")]
    pub max_bytes: usize,
    /// Seconds until connecting or writing is given up and tried again.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
    /// TLS; without this table nothing is encrypted.
    #[serde(default)]
    pub tls: Option<TlsSettings>,
}

fn json() -> Format {
    Format::Json
}

fn record_bytes() -> usize {
    RECORD_BYTES
}

fn ten() -> u64 {
    10
}

/// Why a TCP sink cannot be built.
#[derive(Debug, Error)]
pub enum TcpError {
    /// The address is none.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A number is off.
    #[error("{0} must be between {1} and {2}")]
    Range(&'static str, u64, u64),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl TcpSettings {
    /// Checks the settings and reads the files they name.
    ///
    /// # Errors
    /// A setting or file cannot be used.
    pub fn build(&self) -> Result<SyslogSink, TcpError> {
        let endpoint: Endpoint = self.address.parse()?;
        if !(480..=16 * 1024 * 1024).contains(&self.max_bytes) {
            return Err(TcpError::Range("max_bytes", 480, 16 * 1024 * 1024));
        }
        if !(1..=300).contains(&self.timeout_seconds) {
            return Err(TcpError::Range("timeout_seconds", 1, 300));
        }
        let tls = match &self.tls {
            Some(tls) => Some(tls.build(&endpoint.host)?),
            None => None,
        };
        let delimiter = self.delimiter.unwrap_or(match self.format {
            Format::Gelf => Delimiter::Nul,
            _ => Delimiter::Line,
        });
        let framing = match delimiter {
            Delimiter::Line => Framing::Lf,
            Delimiter::Nul => Framing::Nul,
        };
        let payload = Payload {
            format: self.format,
            cef: self.cef.clone(),
        };
        let limit = Duration::from_secs(self.timeout_seconds);
        Ok(SyslogSink::without_header(
            endpoint,
            tls,
            framing,
            payload,
            self.max_bytes,
            limit,
        ))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt as _, AsyncReadExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;
    use crate::identity::Identity;
    use crate::sample;
    use crate::sink::Sink;

    async fn received(settings: &str) -> Vec<u8> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings: TcpSettings =
            toml::from_str(&format!("address = '{address}'\n{settings}")).unwrap();
        let mut sink = settings.build().unwrap();
        let reading = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            bytes
        });
        let outcome = sink.deliver(&[sample::event(1), sample::finding(2)]).await;
        assert_eq!(outcome.finished, 2);
        sink.close().await;
        reading.await.unwrap()
    }

    #[tokio::test]
    async fn lines_arrive_as_json_and_gelf_ends_in_nul() {
        let lines = String::from_utf8(received("format = 'ecs'").await).unwrap();
        assert_eq!(lines.lines().count(), 2);
        for line in lines.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(value["ecs"]["version"], "8.11.0");
        }
        let gelf = received("format = 'gelf'").await;
        let records: Vec<&[u8]> = gelf.split(|byte| *byte == 0).collect();
        assert_eq!(records.len(), 3);
        assert!(records[2].is_empty());
        let value: serde_json::Value = serde_json::from_slice(records[1]).unwrap();
        assert_eq!(value["version"], "1.1");
    }

    #[tokio::test]
    async fn over_tls_it_introduces_itself_and_comes_back_after_a_break() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::new(directory.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut sink = toml::from_str::<TcpSettings>(&format!(
            "address = 'localhost:{port}'\n[tls]\nca = '{}'\ncertificate = '{}'\nkey = '{}'",
            identity.ca.display(),
            identity.certificate.display(),
            identity.key.display(),
        ))
        .unwrap()
        .build()
        .unwrap();
        // This receiver refuses whoever shows no certificate of its authority.
        let acceptor = identity.acceptor();
        for part in 0..2 {
            let receiving = async {
                let (stream, _) = listener.accept().await.unwrap();
                let stream = acceptor.accept(stream).await.unwrap();
                let mut lines = BufReader::new(stream).lines();
                for _ in 0..10 {
                    lines.next_line().await.unwrap().unwrap();
                }
            };
            let records: Vec<_> = (1..=10).map(|id| sample::event(part * 10 + id)).collect();
            let delivering = sink.deliver(&records);
            let ((), outcome) = tokio::join!(receiving, delivering);
            assert_eq!((outcome.finished, outcome.retry), (10, None));
            // The receiver went; its end has to arrive here.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let build = |text: &str| {
            toml::from_str::<TcpSettings>(text)
                .unwrap()
                .build()
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        assert!(build("address = 'logs'").contains("host:port"));
        assert!(build("address = 'logs:1'\nmax_bytes = 1").contains("max_bytes"));
        assert!(toml::from_str::<TcpSettings>("address = 'l:1'\ntransport = 'udp'").is_err());
    }
}
