//! Plays requests through the real inputs, as nginx would: each request to the
//! mirror over kept-alive connections, then its access-log line by syslog.
//!
//! Invariant: it never has more under way than the pipeline's queues and the
//! kernel's socket buffer hold, so nothing is shed; what is lost all the same
//! is seen in the counters.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sidewatch_sources::SourceCounters;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use super::request::Request;
use crate::pipeline::Status;

/// Requests under way at a time.
const WINDOW: usize = 256;
/// Log lines sent before it is looked whether they arrived: a socket buffer
/// of the system's usual size holds several times as many.
const BURST: usize = 64;
/// Connections to the mirror, as of a busy nginx worker.
const CONNECTIONS: usize = 4;
/// Longest answer to one window read before the peer is taken for another
/// program.
const LONGEST_ANSWER: usize = 64 * 1024;
/// Name of the source of log lines in the configuration.
const LOG_SOURCE: &str = "access-log";
/// How long nothing may move before what is missing counts as lost.
const STALLED: Duration = Duration::from_secs(6);

/// Where to play to.
#[derive(Debug)]
pub struct Target<'a> {
    /// The mirror.
    pub mirror: SocketAddr,
    /// The syslog input.
    pub syslog: SocketAddr,
    /// The mirror's secret.
    pub token: &'a str,
}

/// What was sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Played {
    /// Requests to the mirror, each with a log line.
    pub requests: u64,
    /// Answers other than 204.
    pub refused: u64,
    /// From the first request until all were folded and written.
    pub elapsed: Duration,
}

/// Plays everything and waits until it is through. `progress` hears how many
/// requests were sent.
///
/// # Errors
/// A connection breaks.
pub async fn play(
    requests: &[Request],
    target: &Target<'_>,
    status: &Status,
    mut progress: impl FnMut(u64),
) -> io::Result<Played> {
    let begun = Instant::now();
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(target.mirror).await?;
        stream.set_nodelay(true)?;
        connections.push(stream);
    }
    let lines = UdpSocket::bind(SocketAddr::new(target.syslog.ip(), 0)).await?;
    lines.connect(target.syslog).await?;
    let mut pace = Pace::new(status);
    let mut played = Played::default();
    let mut line = String::new();
    for window in requests.chunks(WINDOW) {
        let share = window.len().div_ceil(CONNECTIONS).max(1);
        for (part, stream) in window.chunks(share).zip(&mut connections) {
            let mut text = String::new();
            part.iter()
                .for_each(|request| request.write_mirrored(target.token, &mut text));
            stream.write_all(text.as_bytes()).await?;
        }
        for (part, stream) in window.chunks(share).zip(&mut connections) {
            played.refused += read_answers(stream, part.len()).await?;
        }
        // nginx logs when it has answered: the mirrored half is there already,
        // so requests come out of the join in the order of their lines.
        for burst in window.chunks(BURST) {
            for request in burst {
                request.write_line(&mut line);
                lines.send(line.as_bytes()).await?;
            }
            pace.sent(burst.len() as u64).await;
        }
        played.requests += window.len() as u64;
        wait_for_folding(status, played.requests).await;
        progress(played.requests);
    }
    settle(status, played.requests * 2).await;
    played.elapsed = begun.elapsed();
    Ok(played)
}

/// Reads so many answers without bodies; how many were no 204.
async fn read_answers(stream: &mut TcpStream, count: usize) -> io::Result<u64> {
    const END: &[u8] = b"\r\n\r\n";
    let mut answers = Vec::with_capacity(4096);
    let ends = |bytes: &[u8]| {
        bytes
            .windows(END.len())
            .filter(|window| *window == END)
            .count()
    };
    while ends(&answers) < count {
        if answers.len() > LONGEST_ANSWER {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the mirror's answers do not end",
            ));
        }
        if stream.read_buf(&mut answers).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    const TAKEN: &[u8] = b"HTTP/1.1 204";
    let taken = answers
        .windows(TAKEN.len())
        .filter(|window| *window == TAKEN)
        .count();
    Ok(count.saturating_sub(taken) as u64)
}

/// Keeps the log lines under way few.
struct Pace {
    taken: Option<Arc<SourceCounters>>,
    sent: u64,
    /// Lines not waited for any more.
    written_off: u64,
}

impl Pace {
    fn new(status: &Status) -> Self {
        let source = status.sources.iter().find(|(name, _)| name == LOG_SOURCE);
        Self {
            taken: source.map(|(_, counters)| Arc::clone(counters)),
            sent: 0,
            written_off: 0,
        }
    }

    /// So many more were sent; waits until at most a burst is under way.
    async fn sent(&mut self, lines: u64) {
        self.sent += lines;
        let Some(taken) = &self.taken else { return };
        let begun = Instant::now();
        loop {
            let missing = self.sent - self.written_off.min(self.sent);
            let missing = missing.saturating_sub(taken.received.load(Ordering::Relaxed));
            if missing <= BURST as u64 {
                return;
            }
            if begun.elapsed() > STALLED {
                self.written_off += missing;
                return;
            }
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    }
}

/// Keeps the queue in front of the folding thread short.
async fn wait_for_folding(status: &Status, requests: u64) {
    const BEHIND: u64 = 4_096;
    let begun = Instant::now();
    while status.pipeline.received.load(Ordering::Acquire) + BEHIND < requests * 2 {
        if begun.elapsed() > STALLED {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until `halves` are folded and every sink has written what it got, or
/// nothing moves any more.
pub async fn settle(status: &Status, halves: u64) {
    let pipeline = &status.pipeline;
    let read = || {
        (
            pipeline.received.load(Ordering::Acquire),
            pipeline.forwarded.load(Ordering::Acquire),
            in_flight(status),
        )
    };
    let mut last = (read(), Instant::now());
    loop {
        let now = read();
        let idle = pipeline.waiting.load(Ordering::Acquire) == 0 && pipeline.is_conserved();
        if now.0 >= halves && now.2 == 0 && idle {
            return;
        }
        if now != last.0 {
            last = (now, Instant::now());
        } else if last.1.elapsed() > STALLED {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn in_flight(status: &Status) -> u64 {
    status
        .sinks
        .iter()
        .map(|(_, counters)| counters.counts().in_flight)
        .sum()
}
