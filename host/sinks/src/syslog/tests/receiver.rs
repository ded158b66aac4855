//! The other end: reads everything until the sender closes.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

pub(super) async fn read_to_end(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

pub(super) async fn accept_and_read(listener: TcpListener) -> Vec<u8> {
    read_to_end(listener.accept().await.unwrap().0).await
}

pub(super) async fn accept_tls_and_read(
    listener: TcpListener,
    acceptor: TlsAcceptor,
) -> io::Result<Vec<u8>> {
    let stream = acceptor.accept(listener.accept().await?.0).await?;
    Ok(read_to_end(stream).await)
}

/// Splits a stream of octet-counted messages, which must be whole.
pub(super) fn split_octet_counted(mut bytes: &[u8]) -> Vec<String> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..blank])
            .unwrap()
            .parse()
            .unwrap();
        let (message, rest) = bytes[blank + 1..].split_at(length);
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        bytes = rest;
    }
    messages
}
