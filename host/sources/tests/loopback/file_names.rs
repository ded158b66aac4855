//! Files that change their names, or have several: each line is read once.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use crate::file::{append, directory, following};
use crate::file_late::remembered;
use crate::file_rotation::numbered;
use crate::support::{Keep, Running, codecs, messages, start, start_with};

/// Longer than a rotated file may be quiet before it is finished.
fn rest() {
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn a_name_that_means_an_earlier_file_again_has_it_read_once() {
    for wait in [30, 300] {
        let (_directory, path) = directory();
        append(&path, "one\n");
        let mut source = start(&following(&path));
        assert_eq!(source.messages(1), ["one"]);
        fs::rename(&path, numbered(&path, ".away")).unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        fs::rename(numbered(&path, ".away"), &path).unwrap();
        rest();
        append(&path, "two\n");
        assert_eq!(source.messages(1), ["two"]);
        // A rotation, undone.
        fs::rename(&path, numbered(&path, ".1")).unwrap();
        append(&path, "new\n");
        assert_eq!(source.messages(1), ["new"]);
        std::thread::sleep(Duration::from_millis(wait));
        fs::rename(numbered(&path, ".1"), &path).unwrap();
        rest();
        append(&path, "three\n");
        assert_eq!(source.messages(1), ["three"]);
        rest();
        assert!(source.stop().0.is_empty());
    }
}

#[test]
fn a_link_switched_back_goes_on_in_its_first_target() {
    let (directory, path) = directory();
    let targets = ["blue", "green"].map(|name| directory.path().join(name));
    let point_to = |target: &Path| {
        let link = numbered(&path, ".link");
        symlink(target, &link).unwrap();
        fs::rename(&link, &path).unwrap();
    };
    append(&targets[0], "blue\n");
    append(&targets[1], "green\n");
    point_to(&targets[0]);
    let mut source = start(&following(&path));
    assert_eq!(source.messages(1), ["blue"]);
    point_to(&targets[1]);
    assert_eq!(source.messages(1), ["green"]);
    rest();
    point_to(&targets[0]);
    rest();
    append(&targets[0], "blue again\n");
    assert_eq!(source.messages(1), ["blue again"]);
    rest();
    assert!(source.stop().0.is_empty());
}

#[test]
fn a_file_cut_while_stopped_that_begins_as_before_has_its_copy_read_to_the_end() {
    let (_directory, path) = directory();
    append(&path, "header\na1\n");
    let mut source = start_with(&following(&path), &codecs(Keep), 100);
    let mut events = source.events(2);
    events.extend(source.stop().0);
    append(&path, "a2\na3\n");
    fs::copy(&path, numbered(&path, ".1")).unwrap();
    fs::write(&path, "header\nb1\n").unwrap();
    let mut source = start_with(&following(&path), &remembered(&events), 100);
    let second = source.events(4);
    assert_eq!(messages(&second), ["a2", "a3", "header", "b1"]);
    rest();
    assert!(source.stop().0.is_empty());
    // What was read then is known the next time.
    events.extend(second);
    append(&path, "b2\n");
    let mut source = start_with(&following(&path), &remembered(&events), 100);
    assert_eq!(source.messages(1), ["b2"]);
    rest();
    assert!(source.stop().0.is_empty());
}

/// All messages until none has come for a while, in no order.
fn all(source: &mut Running) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let more = source.try_events(Duration::from_secs(3));
        if more.is_empty() {
            all.sort();
            return all;
        }
        all.extend(messages(&more));
    }
}

#[test]
fn a_log_that_comes_under_a_pattern_and_rotates_at_once_is_read() {
    let (_directory, path) = directory();
    let history = numbered(&path, ".9");
    append(&history, "history\n");
    std::thread::sleep(Duration::from_millis(1500));
    let mut source = start(&following(&path.with_file_name("*.log")));
    std::thread::sleep(Duration::from_millis(200));
    append(&path, "a1\na2\n");
    std::thread::sleep(Duration::from_millis(200));
    fs::rename(&path, numbered(&path, ".1")).unwrap();
    append(&path, "b1\n");
    assert_eq!(all(&mut source), ["a1", "a2", "b1"]);
    assert!(source.stop().0.is_empty());
}

fn paths(paths: &[&Path]) -> String {
    let text = "type = \"file\"\npoll_interval_ms = 5\nrotate_wait_ms = 60\n";
    format!("{text}paths = {paths:?}\n")
}

#[test]
fn a_file_that_moves_from_one_name_of_a_pattern_to_another_is_read_once() {
    let (directory, path) = directory();
    let other = directory.path().join("other.log");
    append(&path, "one\n");
    let mut source = start(&following(&path.with_file_name("*.log")));
    assert_eq!(source.messages(1), ["one"]);
    fs::rename(&path, &other).unwrap();
    append(&other, "two\n");
    std::thread::sleep(Duration::from_millis(2500));
    append(&other, "three\n");
    append(&path, "new\n");
    assert_eq!(all(&mut source), ["new", "three", "two"]);
    append(&other, "four\n");
    append(&path, "five\n");
    assert_eq!(all(&mut source), ["five", "four"]);
    assert!(source.stop().0.is_empty());
}

#[test]
fn a_file_of_several_names_is_read_once_and_goes_on_under_the_last() {
    let (directory, path) = directory();
    let outside = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    append(&path, "hard 1\n");
    fs::hard_link(&path, at("hard.log")).unwrap();
    let target = outside.path().join("target");
    append(&target, "soft 1\n");
    symlink(&target, at("soft-a.log")).unwrap();
    symlink(&target, at("soft-b.log")).unwrap();
    let mut source = start(&following(&at("*.log")));
    assert_eq!(all(&mut source), ["hard 1", "soft 1"]);
    append(&path, "hard 2\n");
    append(&target, "soft 2\n");
    assert_eq!(all(&mut source), ["hard 2", "soft 2"]);
    fs::remove_file(&path).unwrap();
    append(&at("hard.log"), "hard 3\n");
    assert_eq!(all(&mut source), ["hard 3"]);
    append(&at("hard.log"), "hard 4\n");
    assert_eq!(all(&mut source), ["hard 4"]);
    assert!(source.stop().0.is_empty());
}

#[test]
fn two_sources_that_overlap_read_a_file_once_and_the_second_goes_on_without_the_first() {
    let (_directory, path) = directory();
    let kept = codecs(Keep);
    append(&path, "one\n");
    let mut first = start_with(&paths(&[&path]), &kept, 100);
    assert_eq!(first.messages(1), ["one"]);
    let pattern = path.with_file_name("*.log");
    let mut second = start_with(&paths(&[&pattern]), &kept, 100);
    // Time for it to see the file, too.
    rest();
    append(&path, "two\n");
    assert_eq!(first.messages(1), ["two"]);
    assert!(second.try_events(Duration::from_millis(300)).is_empty());
    assert!(first.stop().0.is_empty());
    append(&path, "three\n");
    assert_eq!(second.messages(1), ["three"]);
    assert!(second.stop().0.is_empty());
}

#[test]
fn an_address_or_a_large_number_in_a_name_makes_it_no_older_file() {
    let (directory, _) = directory();
    let mut names = vec![
        "host.log",
        "host-192.168.100.200.log",
        "worker.log",
        "worker-1048576.log",
    ];
    for name in &names {
        append(&directory.path().join(name), format!("{name}\n"));
    }
    append(&directory.path().join("host-20261120.log"), "history\n");
    let mut source = start(&following(&directory.path().join("*.log")));
    names.sort_unstable();
    assert_eq!(all(&mut source), names);
    assert!(source.stop().0.is_empty());
}
