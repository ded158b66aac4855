//! The file source across every kind of rotation.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::file::{append, directory, following};
use crate::support::{Keep, Running, codecs, start, start_with};

pub(crate) fn numbered(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// All lines `0..count`, each once, in order.
pub(crate) fn assert_complete(source: &mut Running, count: usize) {
    let events = source.events(count);
    let texts = crate::support::messages(&events);
    let wanted: Vec<_> = (0..count).map(|number| format!("line {number}")).collect();
    assert_eq!(texts, wanted);
    let identifiers: HashSet<_> = events.iter().map(|event| event.id).collect();
    assert_eq!(identifiers.len(), count);
}

pub(crate) fn lines(range: std::ops::Range<usize>) -> String {
    range.map(|number| format!("line {number}\n")).collect()
}

#[test]
fn renaming_under_a_busy_writer_loses_and_repeats_nothing() {
    let (_directory, path) = directory();
    let mut source = start(&following(&path).replace("wait_ms = 60", "wait_ms = 1000"));
    let writer = {
        let path = path.clone();
        std::thread::spawn(move || {
            for round in 0..30 {
                let file = fs::OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&path)
                    .unwrap();
                append(&path, lines(round * 20..round * 20 + 10));
                fs::rename(&path, numbered(&path, &format!(".{round}"))).unwrap();
                // The writer still holds the renamed file for a moment.
                std::io::Write::write_all(
                    &mut &file,
                    lines(round * 20 + 10..round * 20 + 20).as_bytes(),
                )
                .unwrap();
                std::thread::sleep(Duration::from_millis(12));
            }
        })
    };
    writer.join().unwrap();
    let events = source.events(600);
    let texts: HashSet<_> = crate::support::messages(&events).into_iter().collect();
    assert_eq!(texts.len(), 600);
    assert_eq!(source.stop().0.len(), 0);
}

#[test]
fn what_was_rotated_while_nobody_looked_is_read_to_its_end() {
    let (_directory, path) = directory();
    append(&path, lines(0..5));
    append(&numbered(&path, ".9"), "history nobody asked for\n");
    let kept = codecs(Keep);
    let mut source = start_with(&following(&path), &kept, 100);
    assert_eq!(source.messages(5).len(), 5);
    source.stop();
    append(&path, lines(5..8));
    fs::rename(&path, numbered(&path, ".1")).unwrap();
    append(&path, lines(8..10));
    let mut source = start_with(&following(&path), &kept, 100);
    assert_eq!(
        source.messages(5),
        ["line 5", "line 6", "line 7", "line 8", "line 9"]
    );
    assert_eq!(source.stop().0.len(), 0);
}

#[test]
fn a_rotated_files_last_line_without_its_end_is_not_lost() {
    let (_directory, path) = directory();
    append(&path, "line 0\nline 1");
    let mut source = start(&following(&path));
    source.until(|counts| counts.received == 1);
    fs::rename(&path, numbered(&path, ".1")).unwrap();
    assert_complete(&mut source, 2);
}

/// As logrotate does with `copytruncate`: the copies made before move on.
pub(crate) fn copy_and_truncate(path: &Path) {
    let copy = |number: usize| numbered(path, &format!(".{number}"));
    for number in (1..5).rev().filter(|number| copy(*number).exists()) {
        fs::rename(copy(number), copy(number + 1)).unwrap();
    }
    fs::copy(path, copy(1)).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(0).unwrap();
}

#[test]
fn a_file_cut_several_times_between_two_looks_is_read_from_all_its_copies() {
    for begun in [true, false] {
        let (_directory, path) = directory();
        let first = if begun { 10 } else { 0 };
        append(&path, lines(0..first));
        let mut source = start(&following(&path).replace("= 5\n", "= 300\n"));
        source.until(|counts| counts.received == first as u64);
        std::thread::sleep(Duration::from_millis(400));
        // All of this happens between two looks.
        for round in 0..3 {
            append(&path, lines(first + round * 10..first + round * 10 + 10));
            copy_and_truncate(&path);
            // Which copy is older is told by its time.
            std::thread::sleep(Duration::from_millis(20));
        }
        if begun {
            append(&path, lines(first + 30..first + 32));
        } else {
            // It is seen empty before anything else comes.
            std::thread::sleep(Duration::from_millis(700));
            append(&path, lines(first + 30..first + 32));
        }
        assert_complete(&mut source, first + 32);
        let (rest, counts) = source.stop();
        assert_eq!((rest.len(), counts.lost_bytes), (0, 0));
    }
}

#[test]
fn copy_and_truncate_loses_nothing_while_the_copy_is_there() {
    let (_directory, path) = directory();
    append(&path, lines(0..10));
    let mut source = start(&following(&path).replace("= 5\n", "= 300\n"));
    source.until(|counts| counts.received == 10);
    // All of this happens between two looks.
    append(&path, lines(10..20));
    fs::copy(&path, numbered(&path, ".1")).unwrap();
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    append(&path, lines(20..22));
    assert_complete(&mut source, 22);
    assert_eq!(source.stop().1.lost_bytes, 0);
}

#[test]
fn a_file_cut_and_written_anew_is_read_from_its_beginning() {
    for later in [
        "s 0\n",
        "a line that is longer than everything there was before\n",
    ] {
        let (_directory, path) = directory();
        append(&path, "first\nsecond\nand a half");
        let mut source = start(&following(&path).replace("= 5\n", "= 200\n"));
        assert_eq!(source.messages(2), ["first", "second"]);
        fs::write(&path, later).unwrap();
        assert_eq!(source.messages(1), [later.trim_end()]);
        let (rest, counts) = source.stop();
        assert!(rest.is_empty(), "old bytes were read again");
        assert_eq!(counts.lost_bytes, "and a half".len() as u64);
    }
}

#[test]
fn deleting_and_creating_again_goes_on_in_the_new_file() {
    let (_directory, path) = directory();
    append(&path, lines(0..3));
    let mut source = start(&following(&path));
    source.until(|counts| counts.received == 3);
    fs::remove_file(&path).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    append(&path, lines(3..5));
    assert_complete(&mut source, 5);
}

#[test]
fn a_symbolic_link_is_followed_to_its_new_target() {
    let (directory, path) = directory();
    let (old, new) = (directory.path().join("old"), directory.path().join("new"));
    append(&old, lines(0..3));
    append(&new, lines(3..6));
    std::os::unix::fs::symlink(&old, &path).unwrap();
    let mut source = start(&following(&path));
    source.until(|counts| counts.received == 3);
    let next = directory.path().join("next");
    std::os::unix::fs::symlink(&new, &next).unwrap();
    fs::rename(&next, &path).unwrap();
    assert_complete(&mut source, 6);
}

#[test]
fn renaming_and_packing_at_once_is_survived() {
    let (_directory, path) = directory();
    append(&path, lines(0..5));
    let mut source = start(&following(&path));
    source.until(|counts| counts.received == 5);
    append(&path, lines(5..8));
    fs::rename(&path, numbered(&path, ".1")).unwrap();
    append(&path, lines(8..9));
    source.until(|counts| counts.received == 9);
    fs::remove_file(numbered(&path, ".1")).unwrap();
    fs::write(numbered(&path, ".1.gz"), b"packed").unwrap();
    append(&path, lines(9..10));
    assert_complete(&mut source, 10);
}
