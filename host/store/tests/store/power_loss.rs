//! The power fails: what was acknowledged is there, whatever becomes of what
//! was not forced to the disk.
//!
//! The store runs in a program of its own under `strace`, which writes down
//! every change of a file, every sync and, through marks in another file, what
//! was acknowledged and taken. From that the disk is put together as it may
//! look when the power fails at some moment: with all that was forced to it,
//! and of the rest nothing, or any part of it in pieces of 512 bytes. The store
//! has to open it.
//!
//! `SIDEWATCH_CUTS` sets how many moments are tried (60 when unset),
//! `SIDEWATCH_SEED` which ones; a failure names both.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use sidewatch_event::Origin;
use sidewatch_store::{Settled, StoredState, WhenFull};

use super::support::*;
use super::traced::{Disk, Rest, Trace};

const PLACE: &str = "SIDEWATCH_POWER_LOSS_DIRECTORY";
const RECORDS: u64 = 20;
const KEYS: u64 = 31;

fn sinks() -> Vec<sidewatch_store::Policy> {
    vec![policy("sink", WhenFull::Block, 1 << 30)]
}

fn numbered(number: u64) -> sidewatch_store::Batch {
    let first = u128::from((number - 1) * RECORDS);
    let mut batch = batch(number, records(first..first + u128::from(RECORDS), 1));
    batch.states.rule("counting");
    for key in [number % KEYS, number % 7] {
        batch.states.put(
            key,
            Some(StoredState {
                bytes: &number.to_le_bytes(),
                changed: 0,
                created: 0,
                changes: 1,
            }),
        );
    }
    batch.positions.push(Origin::new(7, number));
    batch
}

fn expected_states(batches: u64) -> BTreeMap<u64, u64> {
    (1..=batches)
        .flat_map(|number| [(number % KEYS, number), (number % 7, number)])
        .collect()
}

/// In one call, so that it is seen as a whole.
fn mark(place: &Path, text: &str) {
    let marks = File::options().append(true).open(place.join("marks"));
    marks.unwrap().write_all(text.as_bytes()).unwrap();
}

/// What the program under `strace` does: three runs, with a sink that takes
/// records in two of them, and the database brought up to date at the ends. By
/// itself it is the same without a power loss.
#[test]
fn three_runs_leave_what_was_committed() {
    if let Some(place) = std::env::var_os(PLACE) {
        three_runs(Path::new(&place));
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    File::create(directory.path().join("marks")).unwrap();
    let batches = three_runs(directory.path());
    let open = Open::with(&directory.path().join("store"), sinks(), 16 * 1024);
    assert_eq!(open.recovered.positions, [Origin::new(7, batches)]);
    assert_eq!(states(&open), expected_states(batches));
    open.end();
}

/// Tells how many batches were committed.
fn three_runs(place: &Path) -> u64 {
    let (mut number, mut taken) = (0, 0);
    for run in 0..3 {
        let settings = sidewatch_store::StoreSettings {
            segment_bytes: 16 * 1024,
            window_bytes: 8 * 1024,
            ..sidewatch_store::StoreSettings::new(place.join("store"), sinks())
        };
        let (store, _) = sidewatch_store::Store::open(settings).unwrap();
        let marks = place.to_owned();
        let (committer, running) = store
            .start(move |receipt| mark(&marks, &format!("acknowledged {receipt}\n")))
            .unwrap();
        for _ in 0..60 {
            number += 1;
            committer.commit(Box::new(numbered(number))).unwrap();
            if run > 0 && number % 3 == 0 {
                let mut outbox = store.outbox(0);
                let mut some = Vec::new();
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                runtime.block_on(outbox.receive(70, &mut some)).unwrap();
                taken += some.len();
                mark(place, &format!("taken {taken}\n"));
                outbox.settle(Settled {
                    finished: some.len(),
                    ..Settled::default()
                });
            }
        }
        drop(committer);
        store.close();
        running.wait();
        if run < 2 {
            store.settle().unwrap();
        }
    }
    number
}

fn traced(place: &Path) -> Option<Trace> {
    let log = place.join("trace");
    File::create(place.join("marks")).unwrap();
    let status = Command::new("strace")
        .args(["-f", "-y", "-qq", "-xx", "-s", "100000000", "-e"])
        .arg("trace=openat,write,pwrite64,ftruncate,fallocate,fsync,fdatasync,unlink,rename")
        .arg("-o")
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "power_loss::three_runs_leave_what_was_committed"])
        .env(PLACE, place)
        .stdout(std::process::Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => {}
        other => {
            eprintln!("NOTICE: strace cannot be used here ({other:?}); power loss was NOT tested");
            return None;
        }
    }
    let text = std::fs::read_to_string(log).unwrap();
    let trace = Trace::parse(&text, &place.join("store"), &place.join("marks"));
    Some(trace)
}

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn what_was_acknowledged_survives_the_loss_of_everything_not_forced_to_the_disk() {
    let cuts = from_environment("SIDEWATCH_CUTS", 60);
    let seed = from_environment("SIDEWATCH_SEED", 20_261_121);
    let directory = tempfile::tempdir().unwrap();
    let Some(trace) = traced(directory.path()) else {
        return;
    };
    assert!(trace.len() > 500, "{} calls were seen", trace.len());
    let mut random = seed;
    let mut below = |limit: u64| {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % limit
    };
    let mut survived = 0;
    for _ in 0..cuts {
        let cut = below(trace.len() as u64) as usize;
        for rest in [Rest::Nothing, Rest::Pieces(below(u64::MAX))] {
            let (disk, marks) = trace.cut(cut, rest);
            let what = format!("seed {seed}, cut {cut} of {}, {rest:?}", trace.len());
            survived += check(&disk, &marks, &what);
        }
    }
    eprintln!("{cuts} cuts, {survived} acknowledged batches survived");
    assert!(survived > 0);
}

fn last(marks: &[String], what: &str) -> u64 {
    let of = |mark: &String| mark.strip_prefix(what)?.trim().parse().ok();
    marks.iter().filter_map(of).max().unwrap_or(0)
}

/// Opens what is left of the disk; gives how many batches had been
/// acknowledged.
fn check(disk: &Disk, marks: &[String], what: &str) -> u64 {
    let acknowledged = last(marks, "acknowledged ");
    let taken = last(marks, "taken ");
    let directory = tempfile::tempdir().unwrap();
    disk.write_to(directory.path());
    let open = Open::with(directory.path(), sinks(), 16 * 1024);
    let progress = open.store.progress()[0].1;
    assert_eq!(progress.lost.damaged, 0, "{what}");
    let position = open.recovered.positions.first().map_or(0, |it| it.end);
    assert!(
        position >= acknowledged,
        "{what}: {acknowledged} were acknowledged, {position} are there"
    );
    assert_eq!(states(&open), expected_states(position), "{what}");
    let waiting = progress.waiting();
    let first = position * RECORDS - waiting;
    assert!(
        first <= taken,
        "{what}: {first} count as taken, {taken} were"
    );
    let rest = take(&mut open.outbox(0), waiting as usize);
    let wanted = numbers(u128::from(first)..u128::from(position * RECORDS));
    assert_eq!(rest, wanted, "{what}");
    open.end();
    acknowledged
}
