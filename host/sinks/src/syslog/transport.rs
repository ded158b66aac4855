//! Sockets to a syslog receiver.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{UdpSocket, UnixDatagram, UnixStream, lookup_host};

use crate::connection::{Endpoint, Stream, connect};
use crate::tls::Tls;

/// `EMSGSIZE` on Linux: the message does not fit into one datagram.
const TOO_LONG: i32 = 90;

/// `EPROTOTYPE` on Linux: the socket is of another kind.
const OTHER_KIND: i32 = 91;

/// How long a receiver may take to close its end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Where the receiver is.
pub(super) enum Remote {
    Udp(Endpoint),
    Tcp(Endpoint, Option<Tls>),
    Unix(PathBuf),
}

impl fmt::Display for Remote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(endpoint) | Self::Tcp(endpoint, _) => endpoint.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}

/// A connected socket.
pub(super) enum Socket {
    Udp(UdpSocket),
    UnixDatagram(UnixDatagram),
    Stream(Box<dyn Stream>),
}

impl Remote {
    pub(super) async fn connect(&self) -> io::Result<Socket> {
        match self {
            Self::Udp(endpoint) => connect_udp(endpoint).await.map(Socket::Udp),
            Self::Tcp(endpoint, tls) => connect(endpoint, tls.as_ref()).await.map(Socket::Stream),
            Self::Unix(path) => {
                let datagram = UnixDatagram::unbound()?;
                match datagram.connect(path) {
                    Ok(()) => Ok(Socket::UnixDatagram(datagram)),
                    Err(error) if error.raw_os_error() == Some(OTHER_KIND) => {
                        Ok(Socket::Stream(Box::new(UnixStream::connect(path).await?)))
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }
}

async fn connect_udp(endpoint: &Endpoint) -> io::Result<UdpSocket> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for address in lookup_host((endpoint.host.as_str(), endpoint.port)).await? {
        let any = if address.is_ipv4() {
            "0.0.0.0:0"
        } else {
            "[::]:0"
        };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

impl Socket {
    /// Whether the peer has not closed a stream meanwhile. Without asking, the
    /// first write after a restart of the receiver would succeed into nothing.
    pub(super) fn is_open(&mut self) -> bool {
        let Self::Stream(stream) = self else {
            return true;
        };
        let mut context = Context::from_waker(Waker::noop());
        let mut space = [0; 256];
        // What a receiver says, if anything, is of no interest; the bound
        // keeps a babbling one from holding us up.
        for _ in 0..16 {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut *stream).poll_read(&mut context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return false,
                Poll::Pending => return true,
            }
        }
        true
    }

    /// Writes all bytes to a stream.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
            _ => Err(io::Error::other("not a stream")),
        }
    }

    /// Sends one datagram.
    pub(super) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let sent = match self {
            Self::Udp(socket) => socket.send(message).await?,
            Self::UnixDatagram(socket) => socket.send(message).await?,
            Self::Stream(_) => return Err(io::Error::other("not a datagram socket")),
        };
        if sent == message.len() {
            Ok(())
        } else {
            Err(io::Error::other("the datagram was cut"))
        }
    }

    /// Says goodbye on a stream and waits, briefly, for the receiver to do the
    /// same. Closing while something it sent lies unread (a TLS session ticket,
    /// say) would reset the connection and take what it has not read yet along.
    pub(super) async fn close(&mut self) -> io::Result<()> {
        let Self::Stream(stream) = self else {
            return Ok(());
        };
        stream.shutdown().await?;
        let farewell = async {
            let mut space = [0; 256];
            while stream.read(&mut space).await? > 0 {}
            Ok(())
        };
        tokio::time::timeout(FAREWELL, farewell)
            .await
            .unwrap_or(Ok(()))
    }
}

pub(super) fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(TOO_LONG)
}
