//! Files as an operator finds them: appended, rotated, emptied, torn.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;
use crate::sample;

fn settings(path: &Path) -> FileSettings {
    toml::from_str(&format!("path = '{}'", path.display())).unwrap()
}

async fn write(sink: &mut FileSink, ids: std::ops::RangeInclusive<u128>) {
    let batch: Vec<_> = ids.map(sample::event).collect();
    let outcome = sink.deliver(&batch).await;
    assert_eq!((outcome.finished, outcome.retry), (batch.len(), None));
}

fn lines(path: &Path) -> usize {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.ends_with('\n'));
    text.lines().count()
}

#[tokio::test]
async fn records_are_appended_one_per_line_readable_for_the_group_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.json");
    let mut sink = settings(&path).build().unwrap();
    write(&mut sink, 1..=2).await;
    write(&mut sink, 3..=3).await;
    sink.close().await;
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().count(), 3);
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o137, 0);
}

#[tokio::test]
async fn a_rotated_or_removed_file_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let (path, old) = (directory.path().join("log"), directory.path().join("log.1"));
    let mut sink = settings(&path).build().unwrap();
    write(&mut sink, 1..=1).await;
    fs::rename(&path, &old).unwrap();
    write(&mut sink, 2..=3).await;
    assert_eq!((lines(&old), lines(&path)), (1, 2));
    fs::remove_file(&path).unwrap();
    write(&mut sink, 4..=4).await;
    assert_eq!(lines(&path), 1);
}

#[tokio::test]
async fn a_file_emptied_in_place_is_written_on_from_its_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let mut sink = settings(&path).build().unwrap();
    write(&mut sink, 1..=9).await;
    fs::File::create(&path).unwrap();
    write(&mut sink, 10..=10).await;
    assert_eq!(lines(&path), 1);
    assert!(!fs::read(&path).unwrap().contains(&0));
}

#[tokio::test]
async fn a_torn_last_line_is_ended_first() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    fs::write(&path, "{\"torn").unwrap();
    let mut sink = settings(&path).build().unwrap();
    write(&mut sink, 1..=1).await;
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().next(), Some("{\"torn"));
    assert_eq!(text.lines().count(), 2);
}

#[tokio::test]
async fn a_directory_that_vanished_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let below = directory.path().join("below");
    fs::create_dir(&below).unwrap();
    let mut sink = settings(&below.join("log")).build().unwrap();
    fs::remove_dir(&below).unwrap();
    let outcome = sink.deliver(&[sample::event(1)]).await;
    assert_eq!(outcome.finished, 0);
    assert!(outcome.retry.is_some());
    fs::create_dir(&below).unwrap();
    write(&mut sink, 1..=1).await;
    assert_eq!(lines(&below.join("log")), 1);
}

#[test]
fn paths_that_cannot_work_are_refused_with_a_hint() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |path: &Path| settings(path).build().err().unwrap().to_string();
    assert!(refused(Path::new("log")).contains("not absolute"));
    assert!(refused(&directory.path().join("missing/log")).contains("create it first"));
    assert!(refused(directory.path()).contains("no regular file"));
}

#[tokio::test]
async fn a_full_file_is_put_aside_packed_and_only_the_newest_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.json");
    let text = format!(
        "path = '{}'\nrotate = {{ max_bytes = 1, keep = 3 }}",
        path.display()
    );
    let mut sink = toml::from_str::<FileSettings>(&text)
        .unwrap()
        .build()
        .unwrap();
    for number in 1..=6 {
        write(&mut sink, number..=number).await;
        // Names differ by the millisecond.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(lines(&path), 1);
    let mut aside: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|other| *other != path)
        .collect();
    aside.sort();
    let numbers: Vec<String> = aside
        .iter()
        .map(|file| {
            assert_eq!(file.extension().unwrap(), "gz", "{}", file.display());
            let mut text = String::new();
            let packed = fs::File::open(file).unwrap();
            std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed), &mut text)
                .unwrap();
            let record: serde_json::Value = serde_json::from_str(&text).unwrap();
            record["event"]["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let expected: Vec<String> = (3..=5_u128).map(|id| format!("{id:032x}")).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn what_a_crash_left_unpacked_is_packed_later() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.json");
    let left = directory.path().join("events.json.20260101T000000.000");
    fs::write(&left, "left\n").unwrap();
    fs::write(directory.path().join("events.json.notes"), "not ours").unwrap();
    let text = format!("path = '{}'\nrotate = {{ max_bytes = 1 }}", path.display());
    let mut sink = toml::from_str::<FileSettings>(&text)
        .unwrap()
        .build()
        .unwrap();
    write(&mut sink, 1..=1).await;
    write(&mut sink, 2..=2).await;
    assert!(!left.exists());
    assert!(
        directory
            .path()
            .join("events.json.20260101T000000.000.gz")
            .exists()
    );
    assert!(directory.path().join("events.json.notes").exists());
}
