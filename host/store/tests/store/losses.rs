//! What sinks lose: exactly as much as is said, under the reason it was lost
//! for, whatever became of the process.

use sidewatch_event::Delivery;
use sidewatch_store::{
    LossReason, Lost, Outbox, Outgoing, Policy, Settled, StoreSettings, WhenFull,
};

use super::support::*;

#[test]
fn what_a_sink_has_in_its_hands_is_not_counted_as_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let sinks = vec![policy("hung", WhenFull::DropOldest, 256 * 1024)];
    let open = Open::with(directory.path(), sinks, 32 * 1024);
    let mut outbox = open.outbox(0);
    open.commit(batch(1, records(0..100, 1)));
    open.committed(1);
    let mut held = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(outbox.receive(60, &mut held)).unwrap();
    assert_eq!(held.len(), 60);
    for part in 1..100_u128 {
        open.commit(batch(
            part as u64 + 1,
            records(part * 100..part * 100 + 100, 1),
        ));
    }
    open.committed(100);
    let dropped = open.store.progress()[0].1.dropped();
    assert!(dropped > 5_000);
    outbox.settle(Settled {
        finished: 60,
        ..Settled::default()
    });
    let waiting = open.store.progress()[0].1.waiting();
    let rest = take(&mut outbox, usize::try_from(waiting).unwrap());
    let progress = open.store.progress()[0].1;
    assert_eq!(progress.delivered, 60 + rest.len() as u64);
    assert_eq!(progress.delivered + progress.dropped(), 10_000);
    assert_eq!(progress.lost.damaged, 0);
    open.end();
}

#[test]
fn findings_in_the_hands_of_a_sink_that_is_down_survive_the_end_of_the_process() {
    let sinks = || vec![policy("down", WhenFull::DropByPriority, 256 * 1024)];
    let directory = tempfile::tempdir().unwrap();
    // Findings may take half of the room that is made: of one file they fit.
    let segment = 64 * 1024;
    let findings = |numbers: std::ops::Range<u128>| -> Vec<Outgoing> {
        let delivered = numbers.map(finding);
        delivered
            .map(|delivery| Outgoing { delivery, sinks: 1 })
            .collect()
    };
    for comes_back in [false, true] {
        let place = directory.path().join(comes_back.to_string());
        let open = Open::with(&place, sinks(), segment);
        let mut outbox = open.outbox(0);
        open.commit(batch(1, findings(0..20)));
        open.committed(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let mut held = Vec::new();
        runtime.block_on(outbox.receive(60, &mut held)).unwrap();
        assert_eq!(held.len(), 20);
        for part in 1..100_u128 {
            let numbers = part * 100..part * 100 + 100;
            open.commit(batch(part as u64 + 1, records(numbers, 1)));
        }
        open.committed(100);
        if comes_back {
            outbox.settle(Settled {
                finished: 20,
                ..Settled::default()
            });
        }
        drop(outbox);
        open.end();

        let open = Open::with(&place, sinks(), segment);
        let progress = open.store.progress()[0].1;
        assert!(
            progress.dropped() > 5_000 && progress.moved >= 20,
            "{progress:?}"
        );
        let waiting = usize::try_from(progress.waiting()).unwrap();
        let rest = take(&mut open.outbox(0), waiting);
        assert!((0..20).all(|number| rest.contains(&number)), "{progress:?}");
        let progress = open.store.progress()[0].1;
        assert_eq!(
            (progress.waiting(), progress.lost.damaged),
            (0, 0),
            "{progress:?}"
        );
        let ended = progress.delivered + progress.dropped();
        assert_eq!(
            ended,
            20 + 9_900,
            "delivered twice: {comes_back}: {progress:?}"
        );
        open.end();
    }
}

/// Takes records into a sink's hands.
fn hold(outbox: &mut Outbox, records: usize) -> Vec<u128> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut held = Vec::new();
    runtime
        .block_on(outbox.receive(records, &mut held))
        .unwrap();
    held.iter().map(Delivery::id).collect()
}

/// Records 0 to 9,999 in a hundred batches.
fn commit_many(open: &Open) {
    for part in 0..100_u128 {
        let numbers = part * 100..part * 100 + 100;
        open.commit(batch(part as u64 + 1, records(numbers, 1)));
        // Files end after a group of batches, so each is one.
        open.committed(part as u64 + 1);
    }
}

#[test]
fn events_in_the_hands_of_a_sink_that_is_down_are_lost_for_the_reason_they_were_dropped_for() {
    let directory = tempfile::tempdir().unwrap();
    let sinks = || vec![policy("down", WhenFull::DropOldest, 256 * 1024)];
    for (case, finished) in [0, 20, 60].into_iter().enumerate() {
        let place = directory.path().join(case.to_string());
        let open = Open::with(&place, sinks(), 32 * 1024);
        let mut outbox = open.outbox(0);
        open.commit(batch(1, records(20_000..20_100, 1)));
        open.committed(1);
        assert_eq!(hold(&mut outbox, 60).len(), 60);
        for part in 1..100_u128 {
            let numbers = part * 100..part * 100 + 100;
            open.commit(batch(part as u64 + 1, records(numbers, 1)));
        }
        open.committed(100);
        outbox.settle(Settled {
            finished,
            ..Settled::default()
        });
        let before = open.store.progress()[0].1;
        assert_eq!(before.delivered, finished as u64);
        // The sink has the rest in its hands to the very end.
        open.end();
        drop(outbox);

        let open = Open::with(&place, sinks(), 32 * 1024);
        let found = open.store.progress()[0].1;
        let expected = before.lost.buffer_full + 60 - finished as u64;
        assert_eq!(found.lost.buffer_full, expected, "{before:?}, {found:?}");
        let rest = take(&mut open.outbox(0), found.waiting() as usize);
        let after = open.store.progress()[0].1;
        assert_eq!((after.waiting(), after.lost.damaged), (0, 0), "{after:?}");
        assert_eq!(rest.last(), Some(&9_999));
        let ended = finished as u64 + rest.len() as u64 + after.dropped();
        assert_eq!(ended, 10_000, "{after:?}");
        open.end();
    }
}

#[test]
fn hands_that_reach_beyond_what_is_dropped_lose_no_more_than_that() {
    let directory = tempfile::tempdir().unwrap();
    let small = || vec![policy("down", WhenFull::DropOldest, 48 * 1024)];
    let open = Open::with(
        directory.path(),
        vec![policy("down", WhenFull::DropOldest, 1 << 30)],
        16 * 1024,
    );
    commit_many(&open);
    open.end();
    let open = Open::with(directory.path(), small(), 16 * 1024);
    let mut outbox = open.outbox(0);
    // It is given no more than one file holds at a time.
    let held: Vec<_> = (0..4).flat_map(|_| hold(&mut outbox, 512)).collect();
    assert!(
        held.len() > 200,
        "they lie in several files: {}",
        held.len()
    );
    open.commit(batch(1, records([50_000], 1)));
    open.committed(1);
    open.end();
    drop(outbox);

    let open = Open::with(directory.path(), small(), 16 * 1024);
    let found = open.store.progress()[0].1;
    let rest = take(&mut open.outbox(0), found.waiting() as usize);
    let first = 10_001 - rest.len() as u128;
    assert_eq!(rest[..rest.len() - 1], numbers(first..10_000));
    assert!(first > held[0], "something was dropped from under it");
    let after = open.store.progress()[0].1;
    assert_eq!(after.lost.buffer_full, first as u64, "{after:?}");
    assert_eq!((after.waiting(), after.lost.damaged), (0, 0), "{after:?}");
    open.end();
}

fn with_left_bytes(
    directory: &std::path::Path,
    sinks: Vec<Policy>,
    left_bytes: u64,
) -> (Open, Vec<(String, u64)>) {
    let open = Open::of(StoreSettings {
        segment_bytes: 32 * 1024,
        window_bytes: 16 * 1024,
        left_bytes,
        ..StoreSettings::new(directory.to_owned(), sinks)
    });
    let removed = open.recovered.removed_sinks.clone();
    (open, removed)
}

fn renamed(name: &str) -> Vec<Policy> {
    vec![policy(name, WhenFull::DropOldest, 1 << 30)]
}

#[test]
fn what_waits_for_a_sink_that_was_renamed_is_kept_and_comes_when_it_has_its_name_back() {
    let directory = tempfile::tempdir().unwrap();
    let (open, _) = with_left_bytes(directory.path(), renamed("siem"), 1 << 30);
    commit_many(&open);
    assert_eq!(take(&mut open.outbox(0), 100).len(), 100);
    open.end();
    for round in 0..2 {
        let (open, removed) = with_left_bytes(directory.path(), renamed("sime"), 1 << 30);
        assert_eq!(removed, [("siem".to_owned(), 9_900)]);
        assert_eq!(open.store.left()[0].1.waiting(), 9_900);
        open.commit(batch(1, records([20_000 + round], 1)));
        open.committed(1);
        assert_eq!(take(&mut open.outbox(0), 1), [20_000 + round]);
        open.end();
    }
    let (open, removed) = with_left_bytes(directory.path(), renamed("siem"), 1 << 30);
    assert_eq!(removed, [], "nothing waits for the other");
    assert_eq!(take(&mut open.outbox(0), 9_900), numbers(100..10_000));
    let progress = open.store.progress()[0].1;
    assert_eq!((progress.waiting(), progress.lost), (0, Lost::default()));
    open.end();
}

#[test]
fn what_waits_for_a_sink_that_was_removed_is_counted_when_it_is_too_much_or_given_up() {
    let directory = tempfile::tempdir().unwrap();
    for too_much in [true, false] {
        let place = directory.path().join(too_much.to_string());
        let (open, _) = with_left_bytes(&place, renamed("old"), 1 << 30);
        commit_many(&open);
        open.end();
        let bytes = if too_much { 256 * 1024 } else { 1 << 30 };
        let (open, _) = with_left_bytes(&place, renamed("new"), bytes);
        assert_eq!(open.store.give_up_left("new"), None, "it is configured");
        if !too_much {
            assert_eq!(open.store.give_up_left("old"), Some(10_000));
        }
        let mut outbox = open.outbox(0);
        for part in 0..100_u128 {
            open.commit(batch(part as u64 + 1, records([part; 50], 1)));
            take(&mut outbox, 50);
        }
        until("the files to go", || open.store.status().segments < 20);
        let old = open.store.progress()[1].1;
        assert_eq!(
            (old.lost.sink_removed, old.waiting()),
            (10_000, 0),
            "{old:?}"
        );
        // Until somebody was told, it is not forgotten.
        drop(outbox);
        open.end();
        let (open, removed) = with_left_bytes(&place, renamed("new"), bytes);
        assert_eq!(removed, [("old".to_owned(), 0)]);
        let mut telling = batch(1, Vec::new());
        telling.told = vec![("old".to_owned(), LossReason::SinkRemoved, 10_000)];
        open.commit(telling);
        open.committed(1);
        open.end();
        let (open, removed) = with_left_bytes(&place, renamed("new"), bytes);
        assert_eq!(removed, []);
        open.end();
    }
}

#[test]
fn how_much_was_told_of_the_losses_is_known_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let sinks = || vec![policy("down", WhenFull::DropOldest, 256 * 1024)];
    let open = Open::with(directory.path(), sinks(), 32 * 1024);
    commit_many(&open);
    let mut telling = batch(101, records([1], 1));
    telling.told = vec![("down".to_owned(), LossReason::BufferFull, 3_000)];
    open.commit(telling);
    open.committed(101);
    let lost = open.store.progress()[0].1.lost.buffer_full;
    assert!(lost > 5_000);
    open.end();
    let open = Open::with(directory.path(), sinks(), 32 * 1024);
    let found = open.store.progress()[0].1;
    assert_eq!(found.told.buffer_full, 3_000, "{found:?}");
    assert_eq!(found.lost.buffer_full, lost, "{found:?}");
    open.end();
}
