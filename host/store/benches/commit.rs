//! What a durable commit costs: this store beside the same content put into
//! the embedded database directly, one transaction per group of batches.
//!
//! `cargo bench -p sidewatch-store --bench commit [-- DIRECTORY]`; the
//! directory decides which disk is measured.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench prints and fails loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redb::{Database, TableDefinition};
use sidewatch_event::record::Dictionary;
use sidewatch_event::{Delivery, Event, Field};
use sidewatch_store::{Batch, Outgoing, Policy, Store, StoreSettings, StoredState, WhenFull};

const BATCHES: u64 = 400;
const EVENTS: u64 = 512;
/// Batches under one transaction of the database, as the journal groups them.
const GROUP: u64 = 8;
const RULES: [&str; 3] = ["impossible-travel", "account-sharing", "session-moved"];
const USERS: u64 = 20_000;
const STATE: [u8; 160] = [7; 160];

fn event(number: u64) -> Event {
    let mut event = Event::new();
    event.id = number.into();
    event.time = 1_700_000_000_000 + number.cast_signed();
    event.received = event.time + 3;
    event.status = 200;
    event.source_ip = "192.0.2.7".parse().ok();
    event.set(
        Field::UrlOriginal,
        "/api/v4/channels/9z3kq8/posts?page=0&per_page=60",
    );
    event.set_part(Field::UrlPath, Field::UrlOriginal, 0..28);
    event.set(Field::UserName, "somebody.with.a.name");
    event.set(Field::HttpRequestMethod, "GET");
    event.set(
        Field::UserAgentOriginal,
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    );
    event.set(Field::SessionId, "0123456789abcdef0123456789abcdef");
    event.set(Field::SourceGeoCityName, "Oslo");
    event
}

fn key(number: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % USERS
}

fn state() -> StoredState<'static> {
    StoredState {
        bytes: &STATE,
        changed: 1,
        created: 1,
        changes: 1,
    }
}

fn journal(directory: &Path) -> (Duration, Vec<Duration>) {
    let policy = Policy {
        name: "sink".to_owned(),
        max_bytes: 8 << 30,
        when_full: WhenFull::Block,
    };
    let settings = StoreSettings::new(directory.join("journal"), vec![policy]);
    let (store, _) = Store::open(settings).unwrap();
    let safe = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let handed: Arc<std::sync::Mutex<Vec<Instant>>> = Arc::default();
    let waits: Arc<std::sync::Mutex<Vec<Duration>>> = Arc::default();
    let (committer, running) = store
        .start({
            let (safe, handed, waits) =
                (Arc::clone(&safe), Arc::clone(&handed), Arc::clone(&waits));
            move |receipt| {
                let at = usize::try_from(receipt - 1).unwrap();
                let handed = handed.lock().unwrap().get(at).copied().unwrap();
                waits.lock().unwrap().push(handed.elapsed());
                safe.store(receipt, Ordering::Release);
            }
        })
        .unwrap();
    for number in 0..BATCHES {
        let records = (0..EVENTS).map(|at| Outgoing {
            delivery: Delivery::Event(Arc::new(event(number * EVENTS + at))),
            sinks: 1,
        });
        let mut batch = Batch::of(records.collect(), number + 1);
        for rule in RULES {
            batch.states.rule(rule);
            for at in 0..EVENTS {
                batch.states.put(key(number * EVENTS + at), Some(state()));
            }
        }
        handed.lock().unwrap().push(Instant::now());
        committer.commit(Box::new(batch)).unwrap();
    }
    while safe.load(Ordering::Acquire) < BATCHES {
        std::thread::sleep(Duration::from_micros(200));
    }
    let elapsed = begun.elapsed();
    drop(committer);
    store.close();
    running.wait();
    let waits = std::mem::take(&mut *waits.lock().unwrap());
    (elapsed, waits)
}

fn database(directory: &Path) -> Duration {
    const OUTBOX: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("outbox");
    const STATES: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("states");
    let mut builder = Database::builder();
    builder.set_cache_size(64 << 20);
    let database = builder.create(directory.join("direct.redb")).unwrap();
    let begun = Instant::now();
    let mut dictionary = Dictionary::default();
    let mut bytes = Vec::new();
    for group in 0..BATCHES / GROUP {
        let transaction = database.begin_write().unwrap();
        {
            let mut outbox = transaction.open_table(OUTBOX).unwrap();
            let mut states = transaction.open_table(STATES).unwrap();
            for at in 0..GROUP * EVENTS {
                let number = group * GROUP * EVENTS + at;
                bytes.clear();
                dictionary.put_event(&event(number), &mut bytes);
                outbox.insert(number, bytes.as_slice()).unwrap();
                for rule in 0..3 {
                    states
                        .insert((rule, key(number)), STATE.as_slice())
                        .unwrap();
                }
            }
        }
        transaction.commit().unwrap();
    }
    begun.elapsed()
}

fn main() {
    let base = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let directory = match base {
        Some(base) => tempfile::tempdir_in(base).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let events = (BATCHES * EVENTS) as f64;
    let (elapsed, mut waits) = journal(directory.path());
    waits.sort();
    let at = |share: f64| {
        waits
            .get((waits.len() as f64 * share) as usize)
            .copied()
            .unwrap_or_default()
    };
    println!(
        "journal   {:>9.0} events/s, commit p50 {:?}, p99 {:?}",
        events / elapsed.as_secs_f64(),
        at(0.5),
        at(0.99)
    );
    let direct = database(directory.path());
    println!("database  {:>9.0} events/s", events / direct.as_secs_f64());
    println!(
        "ratio     {:>9.2}",
        direct.as_secs_f64() / elapsed.as_secs_f64()
    );
}
