//! A store with two sinks, what goes in and what comes out.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sidewatch_event::{Delivery, Event, Field, Finding};
use sidewatch_store::{
    Batch, Committer, Outbox, Outgoing, Policy, Recovered, Running, Settled, Store, StoreSettings,
    WhenFull,
};

pub(super) fn policy(name: &str, when_full: WhenFull, max_bytes: u64) -> Policy {
    Policy {
        name: name.to_owned(),
        max_bytes,
        when_full,
    }
}

pub(super) fn two_sinks() -> Vec<Policy> {
    ["a", "b"]
        .map(|name| policy(name, WhenFull::Block, 1 << 30))
        .into()
}

pub(super) struct Open {
    pub(super) store: Arc<Store>,
    pub(super) recovered: Recovered,
    pub(super) committer: Option<Committer>,
    pub(super) running: Option<Running>,
    pub(super) receipts: Arc<AtomicU64>,
}

impl Open {
    pub(super) fn with(directory: &Path, sinks: Vec<Policy>, segment_bytes: u64) -> Self {
        Self::of(StoreSettings {
            segment_bytes,
            window_bytes: 16 * 1024,
            ..StoreSettings::new(directory.to_owned(), sinks)
        })
    }

    pub(super) fn of(settings: StoreSettings) -> Self {
        let (store, recovered) = Store::open(settings).unwrap();
        let receipts = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&receipts);
        let (committer, running) = store
            .start(move |receipt| {
                let before = seen.swap(receipt, Ordering::SeqCst);
                assert!(receipt > before, "receipts come in order");
            })
            .unwrap();
        Self {
            store: Arc::new(store),
            recovered,
            committer: Some(committer),
            running: Some(running),
            receipts,
        }
    }

    pub(super) fn at(directory: &Path) -> Self {
        Self::with(directory, two_sinks(), 64 * 1024)
    }

    pub(super) fn commit(&self, batch: Batch) {
        self.committer
            .as_ref()
            .unwrap()
            .commit(Box::new(batch))
            .unwrap();
    }

    pub(super) fn committed(&self, receipt: u64) {
        until("a receipt", || {
            self.receipts.load(Ordering::SeqCst) >= receipt
        });
    }

    pub(super) fn outbox(&self, sink: usize) -> Outbox {
        self.store.outbox(sink)
    }

    /// Ends as a killed process would: nothing is brought up to date.
    pub(super) fn end(mut self) {
        self.committer = None;
        self.store.close();
        self.running.take().unwrap().wait();
    }
}

pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "waited for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(super) fn event(number: u128) -> Arc<Event> {
    let mut event = Event::new();
    event.id = number;
    event.set(Field::Message, &"x".repeat(100));
    Arc::new(event)
}

pub(super) fn finding(number: u128) -> Delivery {
    Delivery::Finding(Arc::new(Finding {
        id: number,
        incident: 1,
        occurrence: 1,
        rule: "rule".into(),
        rule_version: "1".into(),
        kind: "kind".into(),
        technique: "".into(),
        severity: 5,
        score: 1.0,
        title: "title".into(),
        time: 1,
        evidence: Vec::new(),
        event: event(number + 1_000_000),
    }))
}

pub(super) fn records(numbers: impl IntoIterator<Item = u128>, sinks: u64) -> Vec<Outgoing> {
    numbers
        .into_iter()
        .map(|number| Outgoing {
            delivery: Delivery::Event(event(number)),
            sinks,
        })
        .collect()
}

pub(super) fn batch(receipt: u64, records: Vec<Outgoing>) -> Batch {
    Batch::of(records, receipt)
}

/// Receives until `count` records came, and settles them.
pub(super) fn take(outbox: &mut Outbox, count: usize) -> Vec<u128> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut ids = Vec::new();
    while ids.len() < count {
        let mut some = Vec::new();
        runtime.block_on(async {
            let received = outbox.receive((count - ids.len()).min(7), &mut some);
            tokio::time::timeout(Duration::from_secs(30), received)
                .await
                .unwrap()
                .unwrap();
        });
        assert!(!some.is_empty(), "it ended after {} records", ids.len());
        ids.extend(some.iter().map(Delivery::id));
        outbox.settle(Settled {
            finished: some.len(),
            ..Settled::default()
        });
    }
    ids
}

pub(super) fn numbers(range: std::ops::Range<u128>) -> Vec<u128> {
    range.collect()
}

/// Every state that is kept, by its key; tests keep numbers in them.
pub(super) fn states(open: &Open) -> BTreeMap<u64, u64> {
    let mut states = BTreeMap::new();
    open.store
        .states(|_, key, state| {
            let bytes = state.unwrap().bytes.try_into().unwrap();
            states.insert(key, u64::from_le_bytes(bytes));
        })
        .unwrap();
    states
}
