//! A disk that is full: what may go goes, the rest waits, nothing that was
//! acknowledged is lost, and when there is room everything goes on.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use sidewatch_store::{Outgoing, StoredState, WhenFull};

use super::support::*;

/// A disk of four megabytes that only this thread and its children see.
fn small_disk(place: &Path) -> Option<PathBuf> {
    let nothing = None::<&str>;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    let mounted = unshare(CloneFlags::CLONE_NEWNS)
        .and_then(|()| mount(nothing, "/", nothing, private, nothing))
        .and_then(|()| {
            let (kind, size) = (Some("tmpfs"), Some("size=4m"));
            mount(kind, place, kind, MsFlags::empty(), size)
        });
    match mounted {
        Ok(()) => Some(place.to_owned()),
        Err(error) => {
            eprintln!(
                "NOTICE: this user may not mount ({error}); full disks were NOT tested: run as root"
            );
            None
        }
    }
}

/// Takes all the room there is.
fn fill(place: &Path) -> PathBuf {
    let path = place.join("filler");
    let mut file = File::create(&path).unwrap();
    for block in [vec![0; 4096], vec![0; 1]] {
        while file.write_all(&block).is_ok() {}
    }
    path
}

const RECORDS: u64 = 100;

/// The batch with this number: records, and states that change with it.
fn numbered(number: u64, sinks: u64) -> sidewatch_store::Batch {
    let first = u128::from((number - 1) * RECORDS);
    let mut batch = batch(number, records(first..first + u128::from(RECORDS), sinks));
    batch.states.rule("counting");
    for key in 0..40 {
        let bytes = number.to_le_bytes();
        batch.states.put(
            key * 97 % 1009 + number % 7,
            Some(StoredState {
                bytes: &bytes,
                changed: 0,
                created: 0,
                changes: 1,
            }),
        );
    }
    batch
}

fn expected_states(batches: u64) -> BTreeMap<u64, u64> {
    let mut states = BTreeMap::new();
    for number in 1..=batches {
        for key in 0..40 {
            states.insert(key * 97 % 1009 + number % 7, number);
        }
    }
    states
}

#[test]
fn sinks_that_may_lose_records_make_room_and_nobody_else_loses_any() {
    let directory = tempfile::tempdir().unwrap();
    let Some(place) = small_disk(directory.path()) else {
        return;
    };
    let sinks = || {
        vec![
            policy("dead", WhenFull::DropOldest, 1 << 30),
            policy("live", WhenFull::Block, 1 << 30),
        ]
    };
    let open = Open::with(&place, sinks(), 64 * 1024);
    let mut live = open.outbox(1);
    let batches = 1_000;
    let mut seen = Vec::new();
    for number in 1..=batches {
        open.commit(numbered(number, 0b11));
        if number % 10 == 0 {
            seen.extend(take(&mut live, 10 * RECORDS as usize));
        }
    }
    open.committed(batches);
    assert_eq!(seen, numbers(0..u128::from(batches * RECORDS)));
    let dead = open.store.progress()[0].1;
    assert!(dead.dropped() > 0 && dead.lost.damaged == 0, "{dead:?}");
    assert_eq!(dead.lost.disk_full, dead.dropped());
    assert!(open.store.status().disk_full);
    assert_eq!(open.store.status().trouble, None);
    open.end();

    let open = Open::with(&place, sinks(), 64 * 1024);
    assert_eq!(states(&open), expected_states(batches));
    let waiting = open.store.progress()[0].1.waiting();
    assert!(waiting > 1_000, "more was dropped than needed: {waiting}");
    let rest = take(&mut open.outbox(0), waiting as usize);
    let all = u128::from(batches * RECORDS);
    assert_eq!(rest, numbers(all - u128::from(waiting)..all), "the newest");
    open.end();
}

#[test]
fn where_nothing_may_go_nothing_is_acknowledged_until_a_sink_has_taken_its_records() {
    let directory = tempfile::tempdir().unwrap();
    let Some(place) = small_disk(directory.path()) else {
        return;
    };
    let sinks = || vec![policy("slow", WhenFull::Block, 1 << 30)];
    let open = Open::with(&place, sinks(), 64 * 1024);
    let all = 500;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..=all {
                open.commit(numbered(number, 1));
            }
        });
        until("the disk to be full", || {
            open.store.status().trouble.is_some()
        });
        let trouble = open.store.status().trouble.unwrap();
        assert!(
            trouble.contains(place.to_str().unwrap()) && trouble.contains("No space left"),
            "{trouble}"
        );
        let acknowledged = open.receipts.load(Ordering::SeqCst);
        // Longer than several attempts.
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(open.receipts.load(Ordering::SeqCst), acknowledged);
        assert!(acknowledged > 10 && acknowledged < all);
        let mut slow = open.outbox(0);
        let whole = u128::from(all * RECORDS);
        assert_eq!(take(&mut slow, whole as usize), numbers(0..whole));
    });
    open.committed(all);
    until("the trouble to end", || {
        open.store.status().trouble.is_none()
    });
    open.end();
    let open = Open::with(&place, sinks(), 64 * 1024);
    assert_eq!(states(&open), expected_states(all));
    assert_eq!(open.store.progress()[0].1.waiting(), 0);
    open.end();
}

#[test]
fn a_store_on_a_full_disk_can_be_opened_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let Some(place) = small_disk(directory.path()) else {
        return;
    };
    let sinks = || vec![policy("slow", WhenFull::Block, 1 << 30)];
    let open = Open::with(&place, sinks(), 64 * 1024);
    for number in 1..=20 {
        open.commit(numbered(number, 1));
    }
    open.committed(20);
    open.store.settle().unwrap();
    open.end();
    std::fs::remove_file(place.join("reserve")).unwrap();
    let filler = fill(&place);
    let open = Open::with(&place, sinks(), 64 * 1024);
    assert_eq!(states(&open), expected_states(20));
    open.commit(numbered(21, 1));
    until("the trouble to show", || {
        open.store.status().trouble.is_some()
    });
    assert_eq!(open.receipts.load(Ordering::SeqCst), 0);
    std::fs::remove_file(filler).unwrap();
    open.committed(21);
    assert_eq!(take(&mut open.outbox(0), 2_100), numbers(0..2_100));
    open.end();
}

#[test]
fn on_a_disk_that_stays_full_to_the_end_findings_are_kept_or_counted_as_lost() {
    let directory = tempfile::tempdir().unwrap();
    let Some(place) = small_disk(directory.path()) else {
        return;
    };
    let sinks = || vec![policy("dead", WhenFull::DropByPriority, 1 << 30)];
    let mut open = Open::with(&place, sinks(), 64 * 1024);
    let findings = (0..20).map(|number| Outgoing {
        delivery: finding(number),
        sinks: 1,
    });
    open.commit(batch(1, findings.collect()));
    let committer = open.committer.take().unwrap();
    let committing = std::thread::spawn(move || {
        for number in 2.. {
            let first = u128::from(number * RECORDS);
            let records = records(first..first + u128::from(RECORDS), 1);
            if committer.commit(Box::new(batch(number, records))).is_err() {
                break;
            }
        }
    });
    until("the disk to be full", || open.store.status().disk_full);
    // What is shed makes room for some time, until all of it is taken.
    let mut fillers = Vec::new();
    until("the trouble to show", || {
        let filler = place.join(format!("filler{}", fillers.len()));
        let mut file = File::create(&filler).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        fillers.push(filler);
        open.store.status().trouble.is_some()
    });
    std::thread::sleep(Duration::from_millis(500));
    let receipts = Arc::clone(&open.receipts);
    open.end();
    committing.join().unwrap();
    let committed = 20 + (receipts.load(Ordering::SeqCst) - 1) * RECORDS;

    for filler in fillers {
        std::fs::remove_file(filler).unwrap();
    }
    let open = Open::with(&place, sinks(), 64 * 1024);
    let progress = open.store.progress()[0].1;
    let rest = take(&mut open.outbox(0), progress.waiting() as usize);
    let progress = open.store.progress()[0].1;
    assert_eq!(progress.lost.damaged, 0, "{progress:?}");
    // A finding that was to be kept is there, or among those lost in the end.
    let known = rest.len() as u64 + progress.dropped();
    assert_eq!(known, committed, "{progress:?}");
    open.end();
}
