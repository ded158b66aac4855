//! Flipped bits, torn ends and lost files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sidewatch_event::Origin;
use sidewatch_store::verify::verify;
use sidewatch_store::{Store, StoreSettings, StoredState, WhenFull};

use super::support::*;

fn journal_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "journal"))
        .collect();
    files.sort();
    files
}

/// Agrees to go on without the database.
fn agree(directory: &Path) {
    fs::write(directory.join("index.redb.begin-anew"), "").unwrap();
}

/// A store with 20 batches of 5 records, ended.
fn filled(directory: &Path) {
    let open = Open::at(directory);
    for part in 0..20_u128 {
        let mut batch = batch(part as u64 + 1, records(part * 5..part * 5 + 5, 0b01));
        batch.states.rule("r");
        batch.states.put(
            part as u64,
            Some(StoredState {
                bytes: b"s",
                changed: 1,
                created: 1,
                changes: 1,
            }),
        );
        open.commit(batch);
        open.committed(part as u64 + 1);
    }
    open.end();
}

#[test]
fn a_flipped_bit_anywhere_in_the_journal_costs_little_and_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let file = journal_files(directory.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    for at in (0..whole.len()).step_by(389) {
        let trial = tempfile::tempdir().unwrap();
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(trial.path().join(file.file_name().unwrap()), &damaged).unwrap();
        agree(trial.path());
        let open = Open::at(trial.path());
        let before = open.store.progress()[0].1;
        open.commit(batch(1, records([1000], 0b01)));
        open.committed(1);
        let mut outbox = open.outbox(0);
        let mut ids = Vec::new();
        while ids.last() != Some(&1000) {
            ids.extend(take(&mut outbox, 1));
        }
        let after = open.store.progress()[0].1;
        let lost = 101 - ids.len() as u64;
        assert!(lost <= 5, "byte {at}: {lost} lost");
        // The newest frame's own records are unknown when it is damaged.
        assert!(
            after.lost.damaged == lost || before.offered < 100,
            "byte {at}: {after:?}, {lost} lost"
        );
        assert_eq!(after.waiting(), 0, "byte {at}: {after:?}");
        open.end();
    }
}

#[test]
fn a_journal_cut_anywhere_opens_and_keeps_what_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let file = journal_files(directory.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let mut last = 0;
    for length in (0..whole.len()).step_by(811) {
        let trial = tempfile::tempdir().unwrap();
        fs::write(
            trial.path().join(file.file_name().unwrap()),
            &whole[..length],
        )
        .unwrap();
        agree(trial.path());
        let open = Open::at(trial.path());
        let waiting = open.store.progress()[0].1.waiting();
        assert!(waiting >= last, "{length}");
        last = waiting;
        let ids = take(&mut open.outbox(0), usize::try_from(waiting).unwrap());
        assert_eq!(ids, numbers(0..waiting.into()));
        open.end();
    }
    assert!(last > 90);
}

#[test]
fn a_damaged_database_is_put_aside_and_nothing_acknowledged_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let index = directory.path().join("index.redb");
    let whole = fs::read(&index).unwrap();
    for (at, cut) in [
        (0, false),
        (100, false),
        (4096, false),
        (whole.len() / 2, true),
        (70_000, false),
    ] {
        let mut damaged = whole.clone();
        for byte in damaged.iter_mut().skip(at).take(512) {
            *byte ^= 0x5A;
        }
        if cut {
            damaged.truncate(at);
        }
        fs::write(&index, &damaged).unwrap();
        let open = Open::at(directory.path());
        assert_eq!(open.store.progress()[0].1.waiting(), 100);
        let mut states = 0;
        open.store.states(|_, _, _| states += 1).unwrap();
        assert_eq!(states, 20, "the journal still knows them");
        open.end();
    }
}

#[test]
fn a_database_that_is_gone_is_begun_anew_only_when_that_was_agreed_to() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let index = directory.path().join("index.redb");
    let refused = || {
        let settings = StoreSettings::new(directory.path().into(), two_sinks());
        Store::open(settings).unwrap_err().to_string()
    };
    for lose in [
        |index: &Path| fs::remove_file(index).unwrap(),
        |index: &Path| fs::write(index, "").unwrap(),
    ] {
        lose(&index);
        for said in [
            refused(),
            verify(directory.path()).unwrap_err().to_string(),
            refused(),
        ] {
            let hint = format!("touch {}.begin-anew", index.display());
            assert!(said.contains(&hint), "{said}");
        }
        agree(directory.path());
        let open = Open::at(directory.path());
        assert_eq!(open.store.progress()[0].1.waiting(), 100);
        let agreed = directory.path().join("index.redb.begin-anew");
        assert!(!agreed.exists(), "it counts once");
        open.end();
    }
}

#[test]
fn where_nothing_was_kept_there_is_nothing_to_verify_and_nothing_is_made() {
    let directory = tempfile::tempdir().unwrap();
    assert!(verify(directory.path()).unwrap().is_none());
    let absent = directory.path().join("absent");
    assert!(verify(&absent).unwrap().is_none());
    assert!(!absent.exists());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn an_older_database_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    filled(directory.path());
    let index = directory.path().join("index.redb");
    let older = fs::read(&index).unwrap();
    for round in 0..2 {
        let open = Open::at(directory.path());
        let store = Arc::clone(&open.store);
        open.commit(batch(1, records([200 + round], 0b01)));
        open.committed(1);
        open.end();
        store.settle().unwrap();
    }
    let (store, recovered) =
        Store::open(StoreSettings::new(directory.path().into(), two_sinks())).unwrap();
    assert_eq!(recovered.database_behind, 0);
    drop(store);
    fs::write(&index, older).unwrap();
    let open = Open::at(directory.path());
    assert!(open.recovered.database_behind > 15);
    open.end();
}

#[test]
fn a_journal_file_that_is_removed_while_it_runs_costs_its_records_alone() {
    let directory = tempfile::tempdir().unwrap();
    let sinks = vec![policy("down", WhenFull::DropOldest, 256 * 1024)];
    let open = Open::with(directory.path(), sinks, 32 * 1024);
    for part in 0..100_u128 {
        if part == 8 {
            fs::remove_file(journal_files(directory.path()).remove(1)).unwrap();
        }
        let numbers = part * 100..part * 100 + 100;
        open.commit(batch(part as u64 + 1, records(numbers, 1)));
        open.committed(part as u64 + 1);
    }
    let status = open.store.status();
    assert!(status.journal_bytes < 320 * 1024, "{status:?}");
    let waiting = open.store.progress()[0].1.waiting();
    let rest = take(&mut open.outbox(0), waiting as usize);
    assert_eq!(rest, numbers(10_000 - u128::from(waiting)..10_000));
    open.end();
}

#[test]
fn when_the_end_of_the_journal_is_gone_what_the_states_know_is_not_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let open = Open::at(directory.path());
    let place = |part| Origin {
        content: part,
        ..Origin::new(7, part * 100)
    };
    for part in 1..=20_u64 {
        let mut batch = batch(part, Vec::new());
        batch.positions.push(place(part));
        batch.states.rule("r");
        batch.states.put(
            1,
            Some(StoredState {
                bytes: &part.to_le_bytes(),
                changed: 1,
                created: 1,
                changes: 1,
            }),
        );
        open.commit(batch);
        open.committed(part);
    }
    let store = Arc::clone(&open.store);
    open.end();
    store.settle().unwrap();
    drop(store);
    let file = journal_files(directory.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let open = Open::at(directory.path());
    assert!(open.recovered.missing_frames > 5);
    assert_eq!(open.recovered.positions, [place(20)]);
    open.end();
}
