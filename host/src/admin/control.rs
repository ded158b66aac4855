//! What an operator may ask: about the store (dead letters, offering them
//! again, removing them, whether the numbers add up), about the rules in force,
//! and for a look at live records.
//!
//! A running sidecar answers on a unix socket in its data directory, which only
//! its own user may enter, and where `[control]` says so on a loopback port to
//! whoever knows the token; a stopped one's store is opened by the command
//! itself. One request and one answer, each a line of JSON; a tap is answered
//! with a line per record until the asker goes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sidewatch_event::Delivery;
use sidewatch_sinks::FilterSettings;
use sidewatch_sources::Secret;
use sidewatch_store::{DeadLetter, Store, StoreError};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _,
    BufReader,
};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use crate::lifecycle::request::{RulesHandle, RulesRequest};
use crate::pipeline::lanes::{self, lane};
use crate::pipeline::taps::Taps;

/// Longest request, in bytes.
const LONGEST: u64 = 1 << 20;
/// How long a peer may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a peer may take to read an answer, and a record of a tap: somebody
/// may have stopped the terminal for a moment.
const READING: Duration = Duration::from_secs(10);
const WATCHING: Duration = Duration::from_secs(60);
/// How long the commit of what is offered again or given up may take.
const COMMIT: Duration = Duration::from_secs(10);

/// What may be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ControlRequest {
    /// Dead letters, oldest first.
    List {
        /// From this number on.
        from: u64,
        /// At most so many.
        limit: usize,
        /// Of this sink alone.
        sink: Option<String>,
    },
    /// Offers dead letters to their sink again and removes them.
    Replay(Selection),
    /// Removes dead letters.
    Purge(Selection),
    /// Gives up what is kept for a sink that is configured no more.
    GiveUp {
        /// Its name.
        sink: String,
    },
    /// The numbers of the sinks.
    Progress,
    /// About the rules in force.
    Rules(RulesRequest),
    /// Live records.
    Tap {
        /// Which.
        filter: FilterSettings,
    },
}

/// Which dead letters are meant; nothing given means all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// By number.
    pub numbers: Vec<u64>,
    /// Of this sink alone.
    pub sink: Option<String>,
}

impl Selection {
    fn admits(&self, letter: &DeadLetter) -> bool {
        (self.numbers.is_empty() || self.numbers.contains(&letter.number))
            && self.sink.as_ref().is_none_or(|sink| *sink == letter.sink)
    }
}

/// Where the socket of a data directory is.
#[must_use]
pub fn socket(data_directory: &Path) -> PathBuf {
    data_directory.join("control.sock")
}

/// Opens the socket; an old one is replaced, because only one process at a
/// time holds the store.
///
/// # Errors
/// The directory does not let us.
pub fn bind(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(listener)
}

/// What requests are about.
#[derive(Debug, Clone)]
pub struct Subjects {
    /// The store, when there is one.
    pub store: Option<Arc<Store>>,
    /// The rules in force.
    pub rules: RulesHandle,
    /// Live records.
    pub taps: Arc<Taps>,
}

/// Peers answered at a time.
const PEERS: usize = 16;

/// Answers whoever connects.
pub async fn serve(listener: UnixListener, subjects: Subjects) {
    let places = Arc::new(Semaphore::new(PEERS));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let by = stream.peer_cred().map_or_else(
            |_| "control socket".to_owned(),
            |peer| format!("uid {}", peer.uid()),
        );
        let subjects = subjects.clone();
        seat(&places, async move {
            let (reading, writing) = stream.into_split();
            converse(BufReader::new(reading.take(LONGEST)), writing, by, subjects).await
        })
        .await;
    }
}

/// Listens on a loopback address.
///
/// # Errors
/// The address is taken or not ours.
pub async fn bind_tcp(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers whoever connects and begins with the token, a line of its own.
pub async fn serve_tcp(listener: TcpListener, token: Secret, subjects: Subjects) {
    let places = Arc::new(Semaphore::new(PEERS));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (token, subjects) = (token.clone(), subjects.clone());
        seat(&places, async move {
            let (reading, mut writing) = stream.into_split();
            let mut reader = BufReader::new(reading.take(LONGEST));
            let mut line = String::new();
            tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
            if token.matches(line.trim().as_bytes()) {
                return converse(reader, writing, format!("tcp {peer}"), subjects).await;
            }
            tracing::warn!(%peer, "a wrong token at the control port");
            // Whoever guesses shall wait.
            tokio::time::sleep(Duration::from_secs(1)).await;
            writing.write_all(b"{\"error\":\"wrong token\"}\n").await
        })
        .await;
    }
}

/// Lets a conversation go on by itself as soon as there is a place for it.
async fn seat(
    places: &Arc<Semaphore>,
    conversation: impl Future<Output = std::io::Result<()>> + Send + 'static,
) {
    let place = Arc::clone(places).acquire_owned().await;
    tokio::spawn(async move {
        if let Err(error) = conversation.await {
            tracing::debug!(%error, "control connection ended");
        }
        drop(place);
    });
}

/// One request and its answer.
async fn converse(
    mut reader: impl AsyncBufRead + Unpin,
    mut writing: impl AsyncWrite + Unpin,
    by: String,
    subjects: Subjects,
) -> std::io::Result<()> {
    let mut line = String::new();
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let request = match serde_json::from_str(&line) {
        Ok(ControlRequest::Tap { filter }) => {
            return tap(reader, writing, &subjects.taps, &filter).await;
        }
        Ok(request) => request,
        Err(error) => {
            let answer = json!({ "error": error.to_string() });
            return tell(&mut writing, &answer, READING).await;
        }
    };
    let answered = tokio::task::spawn_blocking(move || match (request, subjects.store) {
        (ControlRequest::Rules(request), _) => subjects.rules.ask(request, &by),
        (request, Some(store)) => answer(&store, &request),
        (_, None) => json!({ "error": "nothing is kept: set `data_directory`" }),
    });
    let answer = answered.await.map_err(std::io::Error::other)?;
    tell(&mut writing, &answer, READING).await
}

/// Writes a line, unless the peer does not read.
async fn tell(
    writing: &mut (impl AsyncWrite + Unpin),
    answer: &Value,
    patience: Duration,
) -> std::io::Result<()> {
    let line = format!("{answer}\n");
    tokio::time::timeout(patience, writing.write_all(line.as_bytes())).await?
}

/// Writes what the filter admits, a line each, until the peer goes.
async fn tap(
    mut reader: impl AsyncBufRead + Unpin,
    mut writing: impl AsyncWrite + Unpin,
    taps: &Taps,
    filter: &FilterSettings,
) -> std::io::Result<()> {
    let looking = match filter.build() {
        Err(error) => Err(error.to_string()),
        Ok(filter) => taps
            .look(filter)
            .ok_or_else(|| "too many look already".to_owned()),
    };
    let mut tapped = match looking {
        Ok(tapped) => tapped,
        Err(error) => return tell(&mut writing, &json!({ "error": error }), READING).await,
    };
    let mut line = Vec::new();
    loop {
        let delivery = tokio::select! {
            delivery = tapped.records.recv() => delivery,
            () = gone(&mut reader) => None,
        };
        let Some(delivery) = delivery else {
            return Ok(());
        };
        line.clear();
        sidewatch_codecs::json::encode(&delivery, &mut line);
        line.push(b'\n');
        tokio::time::timeout(WATCHING, writing.write_all(&line)).await??;
        let missed = tapped.missed.swap(0, Ordering::Relaxed);
        if missed > 0 {
            tell(&mut writing, &json!({ "missed": missed }), WATCHING).await?;
        }
    }
}

/// Resolves when the peer has gone; what it says meanwhile is nothing to us.
async fn gone(reader: &mut (impl AsyncBufRead + Unpin)) {
    while let Ok(said) = reader.fill_buf().await
        && !said.is_empty()
    {
        let length = said.len();
        reader.consume(length);
    }
}

/// Does what is asked.
#[must_use]
pub fn answer(store: &Store, request: &ControlRequest) -> Value {
    let done = match request {
        ControlRequest::List { from, limit, sink } => list(store, *from, *limit, sink.as_deref()),
        ControlRequest::Replay(selection) => replay(store, selection),
        ControlRequest::Purge(selection) => purge(store, selection),
        ControlRequest::GiveUp { sink } => Ok(give_up(store, sink)),
        ControlRequest::Progress => Ok(progress(store)),
        ControlRequest::Rules(_) | ControlRequest::Tap { .. } => {
            return json!({ "error": "no sidecar runs on this data directory" });
        }
    };
    done.unwrap_or_else(|error| json!({ "error": error.to_string() }))
}

/// Letters handled at a time.
const PAGE: usize = 256;

/// Calls `take` with pages of the selected letters.
fn each_page(
    store: &Store,
    selection: &Selection,
    mut take: impl FnMut(&[DeadLetter]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let letters = store.dead_letters();
    let mut from = 0;
    loop {
        let mut page = letters.list(from, PAGE)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        from = last.number + 1;
        page.retain(|letter| selection.admits(letter));
        take(&page)?;
    }
}

fn list(store: &Store, from: u64, limit: usize, sink: Option<&str>) -> Result<Value, StoreError> {
    let selection = Selection {
        numbers: Vec::new(),
        sink: sink.map(str::to_owned),
    };
    let mut found = Vec::new();
    each_page(store, &selection, |page| {
        let wanted = page.iter().filter(|letter| letter.number >= from);
        found.extend(wanted.take(limit - found.len().min(limit)).map(describe));
        Ok(())
    })?;
    Ok(json!({ "letters": found }))
}

fn describe(letter: &DeadLetter) -> Value {
    let mut record = Vec::new();
    sidewatch_codecs::json::encode(&letter.delivery, &mut record);
    let record: Value = serde_json::from_slice(&record).unwrap_or(Value::Null);
    let kind = match letter.delivery {
        Delivery::Event(_) => "event",
        Delivery::Finding(_) => "finding",
    };
    json!({
        "number": letter.number,
        "sink": letter.sink,
        "time": letter.time,
        "reason": letter.reason,
        "kind": kind,
        "id": format!("{:032x}", letter.delivery.id()),
        "record": record,
    })
}

fn replay(store: &Store, selection: &Selection) -> Result<Value, StoreError> {
    let letters = store.dead_letters();
    let (mut done, mut unknown) = (0, 0);
    each_page(store, selection, |page| {
        let mut offered = Vec::new();
        let mut last = None;
        for letter in page {
            match store.offer_again(
                &lane(&letter.sink, &letter.delivery),
                letter.delivery.clone(),
            ) {
                Some(number) => {
                    last = Some(number);
                    offered.push(letter.number);
                }
                None => unknown += 1,
            }
        }
        // Removed only when they are in safety elsewhere.
        if !committed(|| last.is_none_or(|number| store.is_offered(number))) {
            return Ok(());
        }
        done += offered.len();
        letters.remove(&offered)
    })?;
    Ok(json!({ "done": done, "of_unknown_sinks": unknown }))
}

fn give_up(store: &Store, sink: &str) -> Value {
    let Some(records) = lanes::give_up(store, sink) else {
        let error = format!(
            "nothing is kept for a sink `{sink}` that is configured no more; see `sidewatch doctor`"
        );
        return json!({ "error": error });
    };
    if !committed(|| store.is_given_up()) {
        let error = "it is not on the disk yet, which refuses or is slow; should the sidecar end before it is, the records are kept";
        return json!({ "error": error });
    }
    json!({ "done": records })
}

/// Waits for a commit, but not for ever. Whether it came.
fn committed(is_done: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !is_done() {
        if begun.elapsed() > COMMIT {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

fn purge(store: &Store, selection: &Selection) -> Result<Value, StoreError> {
    let letters = store.dead_letters();
    let mut done = 0;
    each_page(store, selection, |page| {
        let numbers: Vec<_> = page.iter().map(|letter| letter.number).collect();
        done += numbers.len();
        letters.remove(&numbers)
    })?;
    Ok(json!({ "done": done }))
}

fn progress(store: &Store) -> Value {
    let sinks: Vec<_> = store
        .progress()
        .into_iter()
        .map(|(name, progress)| {
            json!({
                "sink": name,
                "offered": progress.offered,
                "delivered": progress.delivered,
                "filtered": progress.filtered,
                "rejected": progress.rejected,
                "dropped": progress.dropped(),
                "moved": progress.moved,
                "damaged": progress.lost.damaged,
                "waiting": progress.waiting(),
            })
        })
        .collect();
    let removed: Vec<_> = lanes::removed_sinks(store)
        .into_iter()
        .filter(|(_, (waiting, _))| *waiting > 0)
        .map(|(sink, (waiting, _))| json!({ "sink": sink, "waiting": waiting }))
        .collect();
    let status = store.status();
    json!({
        "removed_sinks": removed,
        "sinks": sinks,
        "journal_bytes": status.journal_bytes,
        "dead_letters": status.dead_letters,
        "trouble": status.trouble,
        "blocked": status.blocked,
        "disk_full": status.disk_full,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_tap_ends_when_its_peer_goes_though_nothing_matches() {
        let taps = Taps::default();
        let (ours, theirs) = tokio::io::duplex(1024);
        let (reading, writing) = tokio::io::split(ours);
        let filter = FilterSettings::default();
        let tapping = tap(BufReader::new(reading), writing, &taps, &filter);
        drop(theirs);
        let ended = tokio::time::timeout(Duration::from_secs(30), tapping).await;
        ended.expect("no record comes").unwrap();
    }

    #[tokio::test]
    async fn nobody_keeps_a_place_by_not_reading() {
        let (ours, _theirs) = tokio::io::duplex(16);
        let (_, mut writing) = tokio::io::split(ours);
        let answer = json!({ "letters": "x".repeat(1024) });
        let told = tell(&mut writing, &answer, Duration::from_millis(20)).await;
        assert_eq!(told.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    }
}
