//! The store as the pipeline uses it: committing, restarting, falling behind,
//! damage.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests fail loudly"
)]

mod damage;
mod full_disk;
mod losses;
mod power_loss;
mod support;
mod traced;

use std::collections::BTreeMap;
use std::sync::Arc;

use sidewatch_event::{Delivery, Origin};
use sidewatch_store::{Batch, Outgoing, Settled, Store, StoreSettings, StoredState, WhenFull};

use support::*;

#[test]
fn each_sink_gets_its_records_in_order_and_after_a_restart_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let open = Open::at(directory.path());
    for number in 0..200_u128 {
        open.commit(batch(
            number as u64 + 1,
            records([number], if number % 2 == 0 { 0b11 } else { 0b01 }),
        ));
    }
    open.committed(200);
    let mut a = open.outbox(0);
    assert_eq!(take(&mut a, 50), numbers(0..50));
    let mut b = open.outbox(1);
    assert_eq!(take(&mut b, 100), (0..200).step_by(2).collect::<Vec<_>>());
    // Given out but not settled: comes again.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(a.receive(10, &mut Vec::new())).unwrap();
    open.end();

    let open = Open::at(directory.path());
    let waiting = |sink: usize| open.store.progress()[sink].1.waiting();
    assert_eq!((waiting(0), waiting(1)), (150, 0));
    assert_eq!(take(&mut open.outbox(0), 150), numbers(50..200));
    assert_eq!(waiting(0), 0);
    open.commit(batch(1, records([500], 0b10)));
    assert_eq!(take(&mut open.outbox(1), 1), [500]);
    open.end();
}

#[test]
fn states_positions_and_waiting_halves_survive_together() {
    let directory = tempfile::tempdir().unwrap();
    let state = |bytes: &'static [u8], changed| StoredState {
        bytes,
        changed,
        created: 5,
        changes: 2,
    };
    let place = |end| Origin {
        content: end + 1,
        ..Origin::new(7, end)
    };
    for round in 0..3_u64 {
        let open = Open::at(directory.path());
        let mut batch = batch(1, Vec::new());
        batch.states.rule("travel");
        batch.states.put(1, Some(state(b"one", round as i64)));
        batch.states.put(round + 10, Some(state(b"own", 0)));
        batch.states.rule("sharing");
        batch.states.put(1, (round < 2).then(|| state(b"other", 0)));
        batch.positions = vec![place(100 + round), Origin::new(8, 5)];
        batch.park(&event(round.into()), round == 1);
        if round == 2 {
            batch.unparked = vec![0];
        }
        open.commit(batch);
        open.committed(1);
        open.end();
        if round == 1 {
            // The second restart finds the database brought up to date.
            let (store, _) =
                Store::open(StoreSettings::new(directory.path().into(), two_sinks())).unwrap();
            store.settle().unwrap();
        }
    }
    let mut open = Open::at(directory.path());
    open.recovered.positions.sort_by_key(|it| it.file);
    assert_eq!(open.recovered.positions, [place(102), Origin::new(8, 5)]);
    let parked: Vec<_> = open
        .recovered
        .parked
        .iter()
        .map(|half| (half.event.id, half.mirrored))
        .collect();
    assert_eq!(parked, [(1, true), (2, false)]);
    let mut states = BTreeMap::new();
    open.store
        .states(|rule, key, state| {
            let value = state.map(|state| {
                (
                    state.bytes.to_vec(),
                    state.changed,
                    state.created,
                    state.changes,
                )
            });
            states.insert((rule.to_owned(), key), value);
        })
        .unwrap();
    let kept = |bytes: &[u8], changed| Some((bytes.to_vec(), changed, 5, 2));
    let expected = [
        (("sharing".to_owned(), 1), None),
        (("travel".to_owned(), 1), kept(b"one", 2)),
        (("travel".to_owned(), 10), kept(b"own", 0)),
        (("travel".to_owned(), 11), kept(b"own", 0)),
        (("travel".to_owned(), 12), kept(b"own", 0)),
    ];
    assert_eq!(states, BTreeMap::from(expected));
    open.end();
}

#[test]
fn a_sink_far_behind_reads_files_and_they_go_when_read() {
    let directory = tempfile::tempdir().unwrap();
    let open = Open::at(directory.path());
    for part in 0..60_u128 {
        open.commit(batch(
            part as u64 + 1,
            records(part * 50..part * 50 + 50, 0b11),
        ));
    }
    open.committed(60);
    let before = open.store.status();
    assert!(before.segments > 2, "{before:?}");
    assert_eq!(take(&mut open.outbox(0), 3000), numbers(0..3000));
    assert_eq!(take(&mut open.outbox(1), 3000), numbers(0..3000));
    open.commit(batch(61, records([9], 0b11)));
    open.committed(61);
    until("the files to go", || open.store.status().segments <= 2);
    open.end();
}

#[test]
fn a_full_buffer_drops_events_before_findings_and_counts_them() {
    let directory = tempfile::tempdir().unwrap();
    let cap = 256 * 1024;
    let sinks = vec![
        policy("priority", WhenFull::DropByPriority, cap),
        policy("oldest", WhenFull::DropOldest, cap),
        policy("quick", WhenFull::Block, cap),
    ];
    let open = Open::with(directory.path(), sinks, 32 * 1024);
    let mut quick = open.outbox(2);
    let mut given = 0;
    for part in 0..100_u128 {
        let mut some = records(part * 100..part * 100 + 99, 0b111);
        some.push(Outgoing {
            delivery: finding(part * 100 + 99),
            sinks: 0b111,
        });
        open.commit(batch(part as u64 + 1, some));
        given += take(&mut quick, 100).len();
    }
    assert_eq!(given, 10_000);
    let status = open.store.status();
    assert!(status.journal_bytes < cap + 64 * 1024, "{status:?}");
    for sink in 0..2 {
        let progress = open.store.progress()[sink].1;
        assert!(progress.dropped() > 5_000, "{progress:?}");
        let ids = take(
            &mut open.outbox(sink),
            usize::try_from(progress.waiting()).unwrap(),
        );
        let findings = ids.iter().filter(|id| *id % 100 == 99).count();
        let after = open.store.progress()[sink].1;
        assert_eq!(after.waiting(), 0, "{after:?}");
        assert_eq!(after.delivered + after.dropped(), 10_000, "{after:?}");
        if sink == 0 {
            assert_eq!(findings, 100);
        } else {
            assert_eq!((after.moved, findings < 50), (0, true));
        }
    }
    open.end();
}

#[test]
fn a_blocking_sink_holds_everything_up_and_lets_go() {
    let directory = tempfile::tempdir().unwrap();
    let sinks = vec![policy("slow", WhenFull::Block, 64 * 1024)];
    let open = Open::with(directory.path(), sinks, 16 * 1024);
    let store = Arc::clone(&open.store);
    let mut outbox = open.outbox(0);
    let feeding = std::thread::spawn(move || {
        for part in 0..40_u128 {
            open.commit(batch(
                part as u64 + 1,
                records(part * 50..part * 50 + 50, 1),
            ));
        }
        open.committed(40);
        open
    });
    until("the block", || store.status().blocked);
    assert!(store.status().journal_bytes < 256 * 1024);
    assert_eq!(take(&mut outbox, 2000), numbers(0..2000));
    let open = feeding.join().unwrap();
    assert_eq!(store.progress()[0].1.dropped(), 0);
    drop(store);
    open.end();
}

#[test]
fn dead_letters_are_kept_with_reason_and_can_be_offered_again() {
    let directory = tempfile::tempdir().unwrap();
    let open = Open::at(directory.path());
    let letters = open.store.dead_letters();
    letters
        .add(
            "a",
            77,
            [
                (&finding(1), "too long"),
                (&Delivery::Event(event(2)), "400"),
            ]
            .into_iter(),
        )
        .unwrap();
    drop(letters);
    open.end();
    let open = Open::at(directory.path());
    let letters = open.store.dead_letters();
    let listed = letters.list(0, 10).unwrap();
    let seen: Vec<_> = listed
        .iter()
        .map(|it| {
            (
                it.sink.as_str(),
                it.reason.as_str(),
                it.time,
                it.delivery.id(),
            )
        })
        .collect();
    assert_eq!(seen, [("a", "too long", 77, 1), ("a", "400", 77, 2)]);
    assert!(
        open.store
            .offer_again("nobody", listed[0].delivery.clone())
            .is_none()
    );
    let number = open
        .store
        .offer_again("a", listed[0].delivery.clone())
        .unwrap();
    until("the commit", || open.store.is_offered(number));
    letters.remove(&[listed[0].number]).unwrap();
    assert_eq!(take(&mut open.outbox(0), 1), [1]);
    assert_eq!(letters.count(), 1);
    open.end();
}

#[test]
fn a_second_instance_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let open = Open::at(directory.path());
    let settings = StoreSettings::new(directory.path().into(), two_sinks());
    let refused = Store::open(settings).unwrap_err().to_string();
    assert!(refused.contains("in use"), "{refused}");
    open.end();
}

#[test]
fn the_few_records_of_one_sink_are_found_behind_many_of_another() {
    let directory = tempfile::tempdir().unwrap();
    let open = Open::at(directory.path());
    let mut rare = open.outbox(1);
    for part in 0..200_u128 {
        open.commit(batch(
            part as u64 + 1,
            records(part * 100..part * 100 + 100, 0b01),
        ));
    }
    open.commit(batch(201, records([777_777], 0b11)));
    open.committed(201);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut found = Vec::new();
    runtime
        .block_on(rare.receive_available(10, &mut found))
        .unwrap();
    assert_eq!(found.len(), 1);
    rare.settle(Settled {
        finished: 1,
        ..Settled::default()
    });
    found.clear();
    runtime
        .block_on(rare.receive_available(10, &mut found))
        .unwrap();
    assert!(found.is_empty(), "and it does not wait for more");
    assert_eq!(take(&mut open.outbox(0), 20_001).len(), 20_001);
    open.end();
}

#[test]
fn a_sink_that_stays_behind_while_the_journal_grows_misses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let open = Open::at(directory.path());
    let mut outbox = open.outbox(0);
    // Beyond the window and less than a segment, so that the segment read is
    // the one being written when the reading begins.
    let lag = 4;
    let mut ids = Vec::new();
    for part in 0..60_u128 {
        open.commit(batch(
            part as u64 + 1,
            records(part * 100..part * 100 + 100, 0b01),
        ));
        open.committed(part as u64 + 1);
        if part >= lag {
            ids.extend(take(&mut outbox, 100));
        }
    }
    assert!(open.store.status().segments > 1);
    ids.extend(take(&mut outbox, 100 * usize::try_from(lag).unwrap()));
    assert_eq!(ids, numbers(0..6_000));
    assert_eq!(open.store.progress()[0].1.lost.damaged, 0);
    open.end();
}

#[test]
fn of_many_files_those_still_followed_are_remembered() {
    let directory = tempfile::tempdir().unwrap();
    let open = Open::with(directory.path(), two_sinks(), 64 * 1024);
    open.store.keep_positions(|file| file == 7);
    let mut batch = batch(1, Vec::new());
    batch.positions = vec![Origin::new(7, 100)];
    open.commit(batch);
    for part in 1..=30 {
        let mut batch = Batch::of(Vec::new(), 1 + part);
        let files = part * 1000..(part + 1) * 1000;
        let files = files.map(|file| Origin::new(file.into(), 1));
        batch.positions = files.collect();
        open.commit(batch);
        open.committed(1 + part);
    }
    let store = Arc::clone(&open.store);
    open.end();
    store.settle().unwrap();
    drop(store);
    let open = Open::at(directory.path());
    let positions = &open.recovered.positions;
    assert!(positions.contains(&Origin::new(7, 100)));
    assert!(positions.contains(&Origin::new(30_999, 1)));
    assert!(positions.len() < 15_000, "{}", positions.len());
    open.end();
}
