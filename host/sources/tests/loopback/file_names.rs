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
