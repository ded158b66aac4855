//! What happens to a log between two looks at it, and between two runs.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use crate::file::{append, directory, following};
use crate::file_rotation::{assert_complete, copy_and_truncate, lines, numbered};
use crate::support::{Keep, codecs, start, start_with};

#[test]
fn a_file_cut_to_the_length_it_had_is_seen_by_its_beginning() {
    let (_directory, path) = directory();
    // Lines of one length that end alike, as those of a health check.
    let line = |number: usize| format!("{number:05} {}\n", "x".repeat(200));
    let some = |range: std::ops::Range<usize>| range.map(line).collect::<String>();
    append(&path, some(0..4));
    let mut source = start(&following(&path).replace("= 5\n", "= 200\n"));
    source.until(|counts| counts.received == 4);
    for round in 0..3 {
        let first = 4 + round * 24;
        append(&path, some(first..first + 20));
        copy_and_truncate(&path);
        append(&path, some(first + 20..first + 24));
        std::thread::sleep(Duration::from_millis(500));
    }
    let texts: Vec<_> = source.messages(76);
    let wanted: Vec<_> = (0..76)
        .map(|number| line(number).trim_end().to_owned())
        .collect();
    assert_eq!(texts, wanted);
    assert_eq!(source.stop().0.len(), 0);
}

#[test]
fn a_log_followed_while_there_was_nothing_in_it_has_no_history() {
    for (empty, cut) in [(true, true), (true, false), (false, true), (false, false)] {
        let (_directory, path) = directory();
        if empty {
            append(&path, "");
        }
        let kept = codecs(Keep);
        let source = start_with(&following(&path), &kept, 100);
        let waiting = usize::from(!empty);
        crate::file_trouble::report(&source, |report| {
            report.followed == 1 && report.waiting == waiting
        });
        source.stop();
        append(&path, lines(0..5));
        if cut {
            copy_and_truncate(&path);
        } else {
            fs::rename(&path, numbered(&path, ".1")).unwrap();
        }
        append(&path, lines(5..8));
        let mut source = start_with(&following(&path), &kept, 100);
        assert_complete(&mut source, 8);
        assert_eq!(source.stop().0.len(), 0);
    }
}

#[test]
fn a_link_to_another_directory_is_followed_through_all_it_was_linked_to() {
    for stopped in [true, false] {
        let (holder, path) = directory();
        let versions = holder.path().join("versions");
        fs::create_dir(&versions).unwrap();
        let target = |number: usize| versions.join(format!("log-{number:03}"));
        let link = |number: usize| {
            if path.is_symlink() {
                fs::remove_file(&path).unwrap();
            }
            std::os::unix::fs::symlink(target(number), &path).unwrap();
        };
        append(&target(0), lines(0..5));
        link(0);
        let kept = codecs(Keep);
        let settings = following(&path).replace("= 5\n", "= 300\n");
        let mut source = start_with(&settings, &kept, 100);
        assert_eq!(source.messages(5).len(), 5);
        let running = if stopped {
            source.stop();
            None
        } else {
            Some(source)
        };
        append(&target(0), lines(5..8));
        for number in 1..4 {
            append(&target(number), lines(5 + number * 3..8 + number * 3));
            link(number);
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut source = running.unwrap_or_else(|| start_with(&settings, &kept, 100));
        let wanted: Vec<_> = (5..17).map(|number| format!("line {number}")).collect();
        assert_eq!(source.messages(12), wanted);
        assert_eq!(source.stop().0.len(), 0);
    }
}

#[test]
fn packing_right_after_the_rotation_doubles_nothing() {
    let (_directory, path) = directory();
    let kept = codecs(Keep);
    append(&path, lines(0..5));
    let mut source = start_with(&following(&path).replace("= 5\n", "= 50\n"), &kept, 10_000);
    let mut written = 5;
    for round in 0..25 {
        append(&path, lines(written..written + 3));
        written += 3;
        for old in (1..round + 1).rev() {
            for packed in ["", ".gz"] {
                let name = numbered(&path, &format!(".{old}{packed}"));
                if name.exists() {
                    let moved = numbered(&path, &format!(".{}{packed}", old + 1));
                    fs::rename(name, &moved).unwrap();
                    if packed.is_empty() {
                        let packing = std::process::Command::new("gzip").arg(&moved).status();
                        assert!(packing.unwrap().success());
                    }
                }
            }
        }
        fs::rename(&path, numbered(&path, ".1")).unwrap();
        append(&path, "");
        std::thread::sleep(Duration::from_millis([0, 30, 60, 200][round % 4]));
    }
    let mut texts = source.messages(written);
    texts.sort_by_key(|text| text.len());
    let texts: HashSet<_> = texts.into_iter().collect();
    assert_eq!(texts.len(), written);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(source.stop().0.len(), 0);
}

#[test]
fn a_copy_of_a_log_that_began_empty_is_known_by_another_run() {
    let (_directory, path) = directory();
    append(&path, "");
    let kept = codecs(Keep);
    for round in 0..4 {
        let mut source = start_with(&following(&path), &kept, 100);
        crate::file_trouble::report(&source, |report| report.followed == 1);
        for cut in 0..2 {
            let first = round * 10 + cut * 5;
            append(&path, lines(first..first + 5));
            assert_eq!(source.messages(5).len(), 5, "round {round}");
            copy_and_truncate(&path);
            std::thread::sleep(Duration::from_millis(30));
        }
        assert_eq!(source.stop().0.len(), 0, "round {round}");
    }
}
