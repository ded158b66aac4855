//! What an operator may ask of a store: looking at dead letters, offering them
//! again, removing them, and whether the numbers add up.
//!
//! A running sidecar answers on a unix socket in its data directory, which only
//! its own user may enter; a stopped one's store is opened by the command
//! itself. One request and one answer, each a line of JSON.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sidewatch_event::Delivery;
use sidewatch_store::{DeadLetter, Store, StoreError};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

use crate::pipeline::durable::lane;

/// Longest request, in bytes.
const LONGEST: u64 = 1 << 20;
/// How long a peer may take to ask.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the commit of what is offered again may take.
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
    /// The numbers of the sinks.
    Progress,
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

/// Answers one peer after the other; they are few.
pub async fn serve(listener: UnixListener, store: Arc<Store>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let store = Arc::clone(&store);
        if let Err(error) = converse(stream, store).await {
            tracing::debug!(%error, "control connection ended");
        }
    }
}

async fn converse(mut stream: UnixStream, store: Arc<Store>) -> std::io::Result<()> {
    let (reading, mut writing) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(reading.take(LONGEST));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut line)).await??;
    let answered = tokio::task::spawn_blocking(move || {
        serde_json::from_str(&line).map_or_else(
            |error| json!({ "error": error.to_string() }),
            |request| answer(&store, &request),
        )
    });
    let answer = answered.await.map_err(std::io::Error::other)?;
    writing.write_all(format!("{answer}\n").as_bytes()).await
}

/// Does what is asked.
#[must_use]
pub fn answer(store: &Store, request: &ControlRequest) -> Value {
    let done = match request {
        ControlRequest::List { from, limit, sink } => list(store, *from, *limit, sink.as_deref()),
        ControlRequest::Replay(selection) => replay(store, selection),
        ControlRequest::Purge(selection) => purge(store, selection),
        ControlRequest::Progress => Ok(progress(store)),
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
        let begun = Instant::now();
        while last.is_some_and(|number| !store.is_offered(number)) {
            if begun.elapsed() > COMMIT {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        done += offered.len();
        letters.remove(&offered)
    })?;
    Ok(json!({ "done": done, "of_unknown_sinks": unknown }))
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
                "dropped": progress.dropped,
                "moved": progress.moved,
                "damaged": progress.damaged,
                "waiting": progress.waiting(),
            })
        })
        .collect();
    let status = store.status();
    json!({
        "sinks": sinks,
        "journal_bytes": status.journal_bytes,
        "dead_letters": status.dead_letters,
        "trouble": status.trouble,
        "blocked": status.blocked,
    })
}
