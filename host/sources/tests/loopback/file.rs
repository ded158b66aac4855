//! The file source without rotation.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use sidewatch_event::Field;
use tempfile::TempDir;

use crate::support::{Keep, codecs, messages, start, start_with};

pub(crate) fn directory() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    (directory, path)
}

pub(crate) fn following(path: &Path) -> String {
    format!("type = \"file\"\npaths = [{path:?}]\npoll_interval_ms = 5\nrotate_wait_ms = 60\n")
}

pub(crate) fn append(path: &Path, text: impl AsRef<[u8]>) {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap();
    file.write_all(text.as_ref()).unwrap();
}

#[test]
fn a_file_is_read_from_its_beginning_and_followed() {
    let (_directory, path) = directory();
    append(&path, "one\r\ntwo\n\nhal");
    let mut source = start(&following(&path));
    assert_eq!(source.messages(2), ["one", "two"]);
    append(&path, "f\nthree\n");
    let events = source.events(2);
    assert_eq!(messages(&events), ["half", "three"]);
    assert_eq!(events[0].get(Field::LogFilePath), path.to_str());
    assert!(source.stop().1.is_conserved());
}

#[test]
fn half_a_line_waits_for_its_other_half() {
    let (_directory, path) = directory();
    append(&path, "one\nhalf a li");
    let mut source = start(&following(&path));
    source.events(1);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let (events, counts) = source.stop();
    assert!(events.is_empty());
    assert_eq!(counts.received, 1);
}

#[test]
fn reading_again_gives_the_same_identifiers_and_a_position_avoids_it() {
    let (_directory, path) = directory();
    append(&path, "one\ntwo\nthree\n");
    let identifiers = |codecs: &sidewatch_sources::Codecs, count| {
        let mut source = start_with(&following(&path), codecs, 100);
        let mut events = source.events(count);
        events.extend(source.stop().0);
        events.iter().map(|event| event.id).collect::<Vec<_>>()
    };
    let kept = codecs(Keep);
    let first = identifiers(&kept, 3);
    assert_eq!(identifiers(&codecs(Keep), 3), first);
    append(&path, "four\n");
    let fourth = identifiers(&kept, 1);
    assert_eq!(fourth.len(), 1);
    assert!(!first.contains(&fourth[0]));
}

#[test]
fn the_end_is_a_start_only_when_asked_for_and_only_for_what_was_there() {
    let (_directory, path) = directory();
    append(&path, "old\n");
    let mut source = start(&format!("{}start = \"end\"\n", following(&path)));
    std::thread::sleep(std::time::Duration::from_millis(50));
    append(&path, "new\n");
    assert_eq!(source.messages(1), ["new"]);

    let (_directory, path) = directory();
    let mut source = start(&format!("{}start = \"end\"\n", following(&path)));
    std::thread::sleep(std::time::Duration::from_millis(50));
    append(&path, "all of it\n");
    assert_eq!(source.messages(1), ["all of it"]);
}

#[test]
fn hostile_content_is_bounded_and_does_not_stop_reading() {
    let (_directory, path) = directory();
    append(&path, vec![0; 5000]);
    append(&path, b"after a hole\n\xff\xfe\x00x\n!unreadable\n");
    append(&path, vec![b'x'; 3_000_000]);
    append(&path, "\nlast\n");
    let mut source = start(&format!("{}max_line_bytes = 1000\n", following(&path)));
    let events = source.events(4);
    let texts = messages(&events);
    assert_eq!(texts[0], "after a hole");
    assert_eq!(texts[2].len(), 1000);
    assert!(events[2].truncated && !events[3].truncated);
    assert_eq!(texts[3], "last");
    let (_, counts) = source.stop();
    assert_eq!(
        (counts.received, counts.rejected, counts.truncated),
        (5, 1, 1)
    );
    assert!(counts.is_conserved());
}

#[test]
fn a_gzip_file_is_read_once_and_then_the_source_ends() {
    let (directory, _) = directory();
    let path = directory.path().join("access.log.2.gz");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(b"one\ntwo\nlast without its end")
        .unwrap();
    append(&path, encoder.finish().unwrap());
    let mut source = start(&following(&path));
    assert_eq!(
        messages(&source.ended()),
        ["one", "two", "last without its end"]
    );
}

#[test]
fn a_slow_pipeline_holds_reading_back_and_loses_nothing() {
    let (_directory, path) = directory();
    let content: String = (0..5000).map(|number| format!("line {number}\n")).collect();
    append(&path, content);
    let mut source = start_with(&following(&path), &codecs(Keep), 2);
    let texts = source.messages(5000);
    assert!(
        texts
            .iter()
            .enumerate()
            .all(|(at, text)| *text == format!("line {at}"))
    );
}

#[test]
fn an_unreadable_path_is_refused_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file/below/a/file");
    append(&directory.path().join("file"), "");
    let error = crate::support::settings(&following(&path)).bind("test", &codecs(Keep));
    let error = error.err().unwrap().to_string();
    assert!(error.contains("cannot be read"), "{error}");
}
