//! Lines that come late, and files that are taken up again: by a later run, or
//! after they were moved.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sidewatch_event::{Event, Origin};
use sidewatch_sources::Codecs;
use sidewatch_sources::file::MemoryPositions;

use crate::file::{append, directory, following};
use crate::file_rotation::{lines, numbered};
use crate::support::{Keep, PATIENCE, codecs, messages, start, start_with};

/// What the next process knows of events that were committed.
pub(crate) fn remembered(events: &[Box<Event>]) -> Codecs {
    remembered_as(events, |origin| origin)
}

fn remembered_as(events: &[Box<Event>], stored: impl Fn(Origin) -> Origin) -> Codecs {
    let origins = events.iter().filter_map(|event| event.origin);
    let mut codecs = codecs(Keep);
    codecs.positions = Arc::new(MemoryPositions::of(origins.map(stored)));
    codecs
}

/// All lines a run reads of what is there.
fn run(path: &Path, codecs: &Codecs, count: usize) -> Vec<Box<Event>> {
    let mut source = start_with(&following(path), codecs, 1000);
    let mut events = source.events(count);
    std::thread::sleep(Duration::from_millis(150));
    events.extend(source.stop().0);
    events
}

#[test]
fn any_number_of_rotations_while_stopped_is_read_oldest_first() {
    let (_directory, path) = directory();
    append(&path, lines(0..2));
    let first = run(&path, &codecs(Keep), 2);
    let begun = SystemTime::now() - Duration::from_secs(3600);
    let files = 150;
    for file in 0..files {
        append(&path, lines(file * 2 + 2..file * 2 + 4));
        let options = fs::File::options().append(true).open(&path).unwrap();
        let age = Duration::from_secs(file as u64);
        options.set_modified(begun + age).unwrap();
        let aside = numbered(&path, &format!("-{}", 20_260_000 + file));
        fs::rename(&path, aside).unwrap();
    }
    append(&path, "last\n");
    let mut wanted: Vec<_> = (2..files * 2 + 2).map(|it| format!("line {it}")).collect();
    wanted.push("last".into());
    let events = run(&path, &remembered(&first), wanted.len());
    assert_eq!(messages(&events), wanted);
}

#[test]
fn a_rotated_file_stays_in_sight_for_a_writer_that_was_quiet() {
    let (_directory, path) = directory();
    append(&path, "one\n");
    let mut source = start(&following(&path));
    assert_eq!(source.messages(1), ["one"]);
    let writer = fs::File::options().append(true).open(&path).unwrap();
    fs::rename(&path, numbered(&path, ".1")).unwrap();
    append(&path, "new\n");
    assert_eq!(source.messages(1), ["new"]);
    for round in 0..3 {
        // Longer than a rotated file may be quiet before it is finished.
        std::thread::sleep(Duration::from_millis(200));
        std::io::Write::write_all(&mut &writer, format!("late {round}\n").as_bytes()).unwrap();
        assert_eq!(source.messages(1), [format!("late {round}")]);
    }
    assert!(source.stop().0.is_empty());
}

#[test]
fn a_deleted_file_gives_its_space_back_once_it_is_quiet() {
    let (directory, path) = directory();
    append(&path, "one\n");
    let mut source = start(&following(&path));
    assert_eq!(source.messages(1), ["one"]);
    let aside = numbered(&path, ".1");
    fs::rename(&path, &aside).unwrap();
    append(&path, "new\n");
    assert_eq!(source.messages(1), ["new"]);
    std::thread::sleep(Duration::from_millis(200));
    fs::remove_file(&aside).unwrap();
    let is_held = || {
        let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|file| {
                let file = file.to_string_lossy().into_owned();
                file.starts_with(directory.path().to_str().unwrap()) && file.ends_with("(deleted)")
            })
    };
    let deadline = std::time::Instant::now() + PATIENCE;
    while is_held() {
        assert!(std::time::Instant::now() < deadline, "still held");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_rest_of_a_line_handed_over_early_is_neither_a_line_nor_a_reason_to_read_all_again() {
    for beginning in ["one\ntwo\nhal", "hal"] {
        let (_directory, path) = directory();
        append(&path, beginning);
        let mut source = start(&following(&path));
        let whole = beginning.matches('\n').count();
        let mut first = source.events(whole);
        std::thread::sleep(Duration::from_millis(50));
        let aside = numbered(&path, ".1");
        fs::rename(&path, &aside).unwrap();
        append(&path, "new\n");
        first.extend(source.events(2));
        assert!(messages(&first).contains(&"hal".to_owned()));
        // Its writer goes on while we look, and while nobody does.
        append(&aside, "f\nthree\n");
        first.extend(source.events(1));
        let (rest, counts) = source.stop();
        assert!(rest.is_empty());
        assert_eq!((counts.rejected, counts.lost_bytes), (1, 0));
        assert!(counts.is_conserved());
        append(&aside, "four\n");
        let mut source = start_with(&following(&path), &remembered(&first), 100);
        assert_eq!(source.messages(1), ["four"], "{beginning:?}");
        let (rest, counts) = source.stop();
        assert_eq!((messages(&rest), counts.rejected), (vec![], 0));
    }
}

#[test]
fn a_line_that_got_its_end_while_nobody_looked_does_not_have_the_file_read_again() {
    let (_directory, path) = directory();
    append(&path, "one\ntwo\nhal");
    let mut source = start(&following(&path));
    let mut first = source.events(2);
    std::thread::sleep(Duration::from_millis(50));
    let aside = numbered(&path, ".1");
    fs::rename(&path, &aside).unwrap();
    first.extend(source.events(1));
    source.stop();
    append(&aside, "f\nthree\n");
    append(&path, "new\n");
    let mut source = start_with(&following(&path), &remembered(&first), 100);
    assert_eq!(source.messages(2), ["three", "new"]);
    let (rest, counts) = source.stop();
    assert_eq!((messages(&rest), counts.rejected), (vec![], 1));
}

#[test]
fn positions_of_an_older_release_still_hold() {
    let (_directory, path) = directory();
    append(&path, "one\ntwo\n");
    let first = run(&path, &codecs(Keep), 2);
    append(&path, "three\n");
    let older = remembered_as(&first, |origin| Origin::new(origin.file, origin.end));
    assert_eq!(messages(&run(&path, &older, 1)), ["three"]);
}

#[test]
fn a_restored_copy_goes_on_where_the_lost_original_ended() {
    let (_directory, path) = directory();
    append(&path, lines(0..30));
    let first = run(&path, &codecs(Keep), 30);
    let copy = path.with_file_name("copy");
    fs::copy(&path, &copy).unwrap();
    append(&copy, lines(30..32));

    fs::remove_file(&path).unwrap();
    fs::rename(&copy, &path).unwrap();
    let events = run(&path, &remembered(&first), 2);
    assert_eq!(messages(&events), ["line 30", "line 31"]);
    // Under the original's name, so its next position continues the same file.
    let file = |events: &[Box<Event>]| events[0].origin.unwrap().file;
    assert_eq!(file(&events), file(&first));
}

#[test]
fn what_only_looks_like_a_restored_copy_is_read_from_its_beginning() {
    // The original is still there.
    let (_directory, path) = directory();
    append(&path, lines(0..30));
    let first = run(&path, &codecs(Keep), 30);
    fs::rename(&path, numbered(&path, ".1")).unwrap();
    fs::copy(numbered(&path, ".1"), &path).unwrap();
    assert_eq!(run(&path, &remembered(&first), 30).len(), 30);

    // It begins alike and is another one.
    let (_directory, path) = directory();
    append(&path, format!("# a head\n{}", lines(0..30)));
    let first = run(&path, &codecs(Keep), 31);
    let next = path.with_file_name("next");
    append(&next, format!("# a head\n{}", lines(100..140)));
    fs::rename(&next, &path).unwrap();
    assert_eq!(run(&path, &remembered(&first), 41).len(), 41);
}

#[test]
fn an_older_file_that_begins_like_a_lost_longer_one_is_not_taken_for_read() {
    let (_directory, path) = directory();
    append(&path, format!("# a head\n{}", lines(0..30)));
    let first = run(&path, &codecs(Keep), 31);
    // Rotated twice while nobody looked; the file that was read is gone.
    fs::remove_file(&path).unwrap();
    append(&numbered(&path, ".1"), "# a head\nshort\n");
    append(&path, "new\n");
    let mut codecs = remembered(&first);
    // Something beside it is known, so what came later is no history.
    let known = numbered(&path, ".2");
    append(&known, "known\n");
    let of_known = run(&known, &crate::support::codecs(Keep), 1);
    let origins = first.iter().chain(&of_known).filter_map(|it| it.origin);
    codecs.positions = Arc::new(MemoryPositions::of(origins));
    let past = SystemTime::now() - Duration::from_secs(60);
    let file = fs::File::options().append(true).open(&known).unwrap();
    file.set_modified(past).unwrap();
    let texts = messages(&run(&path, &codecs, 3));
    assert_eq!(texts, ["# a head", "short", "new"]);
}
