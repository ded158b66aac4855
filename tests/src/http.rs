//! A small HTTP/1.1 client that sees exactly what it sends and how long the
//! answer took.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::wait::PATIENCE;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Body.
    pub body: String,
    /// From the first byte sent to the last byte read.
    pub elapsed: Duration,
}

/// One kept-alive connection.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Connects.
    ///
    /// # Panics
    /// Nobody listens there.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends `METHOD /target` with header lines and a body; `Host` and
    /// `Content-Length` are added.
    ///
    /// # Panics
    /// The answer does not come in time or is no HTTP.
    pub fn send(&mut self, request: &str, headers: &[&str], body: &str) -> Answer {
        self.try_send(request, headers, body).expect("an answer")
    }

    /// As [`Client::send`], for servers that may go away.
    ///
    /// # Errors
    /// The connection ended.
    pub fn try_send(
        &mut self,
        request: &str,
        headers: &[&str],
        body: &str,
    ) -> std::io::Result<Answer> {
        let mut text = format!("{request} HTTP/1.1\r\nHost: app.example\r\n");
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let begun = Instant::now();
        self.0.get_mut().write_all(text.as_bytes())?;
        let status_line = self.line()?;
        let broken = || std::io::Error::new(std::io::ErrorKind::InvalidData, status_line.clone());
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .ok_or_else(broken)?;
        let mut length = 0;
        loop {
            let line = self.line()?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(|_| broken())?;
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Answer {
            status,
            body: String::from_utf8_lossy(&body).into_owned(),
            elapsed: begun.elapsed(),
        })
    }

    fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

/// One GET on a connection of its own.
pub fn get(address: SocketAddr, path: &str) -> Answer {
    Client::connect(address).send(&format!("GET {path}"), &[], "")
}
