//! `sidewatch replay --resume`: nothing twice, nothing missed, whatever the
//! log is called by then.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use flate2::{Compression, write::GzEncoder};
use integration_tests::{Output, command, sidewatch, until};

fn line(number: usize) -> String {
    format!(
        "192.0.2.7 - - [21/Nov/2026:01:02:03 +0000] \"GET /transfer/{number} HTTP/1.1\" 200 5 \
         \"http://am.example/\" \"curl/8\" \"-\" user=alice\n"
    )
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(line).collect()
}

/// A log, a state and an output in one directory.
struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// As logrotate does: the time of the last change is kept.
    fn pack(&self, name: &str) {
        let path = self.path(name);
        let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
        let packed = std::fs::File::create(self.path(&format!("{name}.gz"))).unwrap();
        let mut encoder = GzEncoder::new(packed, Compression::fast());
        encoder.write_all(&std::fs::read(&path).unwrap()).unwrap();
        let packed = encoder.finish().unwrap();
        packed.set_modified(modified).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    fn arguments<'a>(&self, files: &[&'a str]) -> Vec<&'a str> {
        let fixed = [
            "replay",
            "--pack",
            "archivematica",
            "--format",
            "cef",
            "--resume",
            "state",
            "-o",
            "out",
        ];
        [&fixed, files].concat()
    }

    fn replay(&self, files: &[&str]) -> Output {
        sidewatch(self.0.path(), &self.arguments(files), b"")
    }

    /// Numbers of the requests in the output, in order.
    fn written(&self) -> Vec<usize> {
        written(&self.path("out"))
    }
}

fn written(out: &Path) -> Vec<usize> {
    let text = std::fs::read_to_string(out).unwrap();
    text.lines()
        .map(|record| {
            let rest = record.split("request=/transfer/").nth(1).unwrap();
            rest.split(' ').next().unwrap().parse().unwrap()
        })
        .collect()
}

fn numbers(numbers: std::ops::Range<usize>) -> Vec<usize> {
    numbers.collect()
}

#[test]
fn a_log_that_grows_is_read_on() {
    let site = Site::new();
    site.append("access.log", &lines(0..3));
    assert_eq!(site.replay(&["access.log"]).code, 0);
    let fourth = line(3);
    let (begun, rest) = fourth.split_at(40);
    site.append("access.log", begun);
    let run = site.replay(&["access.log"]);
    assert_eq!(site.written(), numbers(0..3), "half a line waits");
    assert!(run.err.contains("without an end yet"), "{}", run.err);
    site.append("access.log", rest);
    site.append("access.log", "garbage\n");
    let run = site.replay(&["access.log"]);
    assert_eq!(run.code, 3);
    assert!(
        run.err.contains("access.log:5: "),
        "counted on: {}",
        run.err
    );
    assert_eq!(site.written(), numbers(0..4));
    assert_eq!(site.replay(&["access.log"]).code, 0);
    assert_eq!(site.written(), numbers(0..4));
}

#[test]
fn rotated_and_packed_logs_are_followed() {
    let site = Site::new();
    site.append("access.log.1", &lines(900..905));
    site.append("access.log", &lines(0..3));
    assert_eq!(site.replay(&["access.log"]).code, 0);
    assert_eq!(site.written(), numbers(0..3), "older history is not wanted");
    site.append("access.log", &lines(3..5));
    site.rename("access.log", "access.log.2");
    site.pack("access.log.2");
    site.append("access.log.1.new", &lines(5..7));
    site.rename("access.log.1.new", "access.log.1");
    site.append("access.log", &lines(7..9));
    assert_eq!(site.replay(&["access.log"]).code, 0);
    assert_eq!(site.written(), numbers(0..9));
    // All of them by name change nothing.
    site.append("access.log", &lines(9..10));
    let all = ["access.log.2.gz", "access.log.1", "access.log"];
    assert_eq!(site.replay(&all).code, 0);
    assert_eq!(site.written(), numbers(0..10));
}

#[test]
fn copy_and_truncate_loses_nothing_that_was_copied() {
    let site = Site::new();
    site.append("access.log", &lines(0..4));
    site.replay(&["access.log"]);
    site.append("access.log", &lines(4..6));
    std::fs::copy(site.path("access.log"), site.path("access.log.1")).unwrap();
    std::fs::write(site.path("access.log"), lines(6..7)).unwrap();
    assert_eq!(site.replay(&["access.log"]).code, 0);
    assert_eq!(site.written(), numbers(0..7));
}

#[test]
fn a_killed_run_doubles_nothing() {
    let site = Site::new();
    site.append("access.log", &lines(0..1000));
    site.replay(&["access.log"]);
    let settled = site.written().len();
    site.append("access.log", &lines(1000..300_000));
    let mut child = command::command(site.0.path())
        .args(site.arguments(&["access.log"]))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("output of the run to be killed", || {
        let length = std::fs::metadata(site.path("out")).unwrap().len();
        (length > 1_000_000).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(settled == 1000 && std::fs::metadata(site.path("out")).unwrap().len() > 1_000_000);
    assert_eq!(site.replay(&["access.log"]).code, 0);
    assert_eq!(site.written(), numbers(0..300_000));
}

#[test]
fn what_cannot_be_resumed_is_refused() {
    let site = Site::new();
    site.append("access.log", &line(0));
    let run = site.replay(&["-"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("standard input"), "{}", run.err);
    site.append("state", "somebody's notes");
    let run = site.replay(&["access.log"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("state"), "{}", run.err);
    assert_eq!(
        std::fs::read_to_string(site.path("state")).unwrap(),
        "somebody's notes"
    );
}
