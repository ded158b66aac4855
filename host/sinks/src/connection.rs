//! Byte streams to a sink's remote end: TCP, TLS or a Unix socket.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::tls::Tls;

/// How long a peer may leave data unacknowledged before the connection counts
/// as broken. Without it a silent peer would only be noticed after minutes.
const UNACKNOWLEDGED_FOR: Duration = Duration::from_secs(30);

/// How long a peer has to refuse our certificate once the TLS handshake has
/// ended on our side: its answer takes one way there and back.
const REFUSED_WITHIN: Duration = Duration::from_millis(400);

/// A connected byte stream of whatever kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A host and a port, as in `logs.example.org:6514` or `[2001:db8::1]:514`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, without brackets.
    pub host: String,
    /// Port, not 0.
    pub port: u16,
}

/// The text is no host and port.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "`{0}` is no address: write host:port, for instance logs.example.org:514 or [2001:db8::1]:514"
)]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let split = || {
            let (host, port) = text.rsplit_once(':')?;
            let host = match host.strip_prefix('[') {
                Some(bracketed) => bracketed.strip_suffix(']')?,
                None if host.contains(':') => return None,
                None => host,
            };
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let fits = !host.is_empty()
                && host
                    .chars()
                    .all(|one| one.is_ascii_graphic() && one != '/' && one != '@');
            fits.then(|| Self {
                host: host.to_owned(),
                port,
            })
        };
        split().ok_or_else(|| EndpointError(text.to_owned()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(formatter, "[{host}]:{port}")
        } else {
            write!(formatter, "{host}:{port}")
        }
    }
}

/// Connects, with TLS where asked for. The caller sets the time limit.
pub(crate) async fn connect(endpoint: &Endpoint, tls: Option<&Tls>) -> io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(&stream);
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_FOR))?;
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(UNACKNOWLEDGED_FOR))?;
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    let name = tls.server_name.clone();
    let mut stream = tls.connector.connect(name, stream).await?;
    // With TLS 1.3 the handshake ends on our side before the peer has looked at
    // our certificate, and what is written then is gone (RFC 8446, 4.4.2.4).
    let ended = match timeout(REFUSED_WITHIN, stream.read(&mut [0])).await {
        Err(_) | Ok(Ok(1..)) => return Ok(Box::new(stream)),
        Ok(Ok(0)) => "it closed the connection".to_owned(),
        Ok(Err(error)) => error.to_string(),
    };
    Err(io::Error::new(
        io::ErrorKind::ConnectionRefused,
        format!(
            "the receiver refused us after the TLS handshake ({ended}); it may want another client certificate: `tls.certificate` and `tls.key`"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_and_written_alike() {
        for text in [
            "logs.example.org:514",
            "192.0.2.1:6514",
            "[2001:db8::1]:514",
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "host",
            "host:",
            "host:0",
            "host:70000",
            ":514",
            "2001:db8::1:514",
            "[::1:514",
            "a b:1",
            "u@h:1",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }
}
