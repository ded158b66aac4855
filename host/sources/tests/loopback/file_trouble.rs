//! Paths that cannot be read, names that look like one another, and many
//! files at once.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sidewatch_sources::file::FileReport;

use crate::file::{append, directory, following};
use crate::file_rotation::lines;
use crate::support::{Keep, PATIENCE, Running, codecs, settings, start, start_with};

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn following_all(paths: &[&Path]) -> String {
    format!("type = \"file\"\npaths = {paths:?}\npoll_interval_ms = 5\nrotate_wait_ms = 60\n")
}

/// Waits for a report on the source's files.
pub(crate) fn report(source: &Running, wanted: impl Fn(&FileReport) -> bool) -> FileReport {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let report = source.counters.files.report();
        if wanted(&report) {
            return report;
        }
        assert!(std::time::Instant::now() < deadline, "{report:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_is_no_regular_file_is_refused_with_a_hint() {
    let (directory, path) = directory();
    make_pipe(&path);
    let socket = directory.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for (path, kind, hint) in [
        (path.as_path(), "a named pipe", "stdin"),
        (directory.path(), "a directory", "*.log"),
        (&socket, "a socket", "syslog"),
        (Path::new("/dev/zero"), "a device", "stdin"),
    ] {
        let error = settings(&following(path)).bind("test", &codecs(Keep));
        let error = error.err().unwrap().to_string();
        let named = error.starts_with(path.to_str().unwrap());
        assert!(
            named && error.contains(kind) && error.contains(hint),
            "{error}"
        );
    }
}

#[test]
fn a_pipe_that_comes_later_holds_up_nothing_and_is_reported() {
    let (directory, path) = directory();
    let other = directory.path().join("other.log");
    let mut source = start(&following_all(&[&path, &other]));
    let waiting = report(&source, |report| report.waiting == 2);
    assert_eq!((waiting.followed, waiting.unreadable), (2, 0));
    make_pipe(&path);
    append(&other, "goes on\n");
    assert_eq!(source.messages(1), ["goes on"]);
    let unreadable = report(&source, |report| report.unreadable == 1);
    assert_eq!(unreadable.waiting, 0);
    assert_eq!(unreadable.reasons[0].path, path);
    assert!(unreadable.reasons[0].reason.contains("named pipe"));
    fs::remove_file(&path).unwrap();
    append(&path, "a file after all\n");
    assert_eq!(source.messages(1), ["a file after all"]);
    report(&source, |report| report.unreadable == 0);
    source.stop();
}

#[test]
fn a_file_followed_under_its_own_name_is_nobodys_older_file() {
    let (directory, path) = directory();
    let names = ["access.log.internal", "access-1.log", "access.log"];
    let paths = names.map(|name| directory.path().join(name));
    let together = following_all(&[&paths[0], &paths[1], &path]);
    let kept = codecs(Keep);
    for round in 0..3 {
        paths
            .iter()
            .for_each(|path| append(path, format!("{round}\n")));
        // A directory is listed when a name is new or gone.
        let mut source = start_with(&together, &kept, 100);
        source.events(3);
        fs::rename(&path, directory.path().join(format!("access.log.{round}"))).unwrap();
        append(&path, "new\n");
        paths[..2].iter().for_each(|path| append(path, "more\n"));
        source.events(3);
        std::thread::sleep(Duration::from_millis(100));
        assert!(source.stop().0.is_empty());
    }
}

#[test]
fn a_file_another_source_follows_is_nobodys_older_file() {
    let (directory, path) = directory();
    let internal = directory.path().join("access.log.internal");
    let kept = codecs(Keep);
    for _ in 0..2 {
        append(&path, "a\n");
        append(&internal, "b\n");
        let mut one = start_with(&following(&internal), &kept, 100);
        let mut other = start_with(&following(&path), &kept, 100);
        assert_eq!(one.messages(1), ["b"]);
        assert_eq!(other.messages(1), ["a"]);
        append(&internal, "more\n");
        assert_eq!(one.messages(1), ["more"]);
        std::thread::sleep(Duration::from_millis(50));
        assert!(other.stop().0.is_empty());
        assert!(one.stop().0.is_empty());
    }
}

#[test]
fn shutdown_does_not_wait_for_the_end_of_what_is_there() {
    let (_directory, path) = directory();
    append(&path, lines(0..100_000));
    let mut source = start_with(&following(&path), &codecs(Keep), 2);
    source.events(10);
    let (rest, counts) = source.stop();
    assert!(rest.len() < 1000, "{} more lines", rest.len());
    assert!(counts.is_conserved());
}

/// Set where the test runs with few descriptors.
const FEW: &str = "SIDEWATCH_TEST_FEW_DESCRIPTORS";

#[test]
fn when_descriptors_run_out_the_other_files_go_on() {
    if std::env::var_os(FEW).is_some() {
        return with_few_descriptors();
    }
    // In a process of its own, whose limit nobody else feels.
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 60; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "file_trouble::when_descriptors_run_out_the_other_files_go_on",
        ])
        .env(FEW, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

fn with_few_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let paths: Vec<_> = (0..100)
        .map(|file| directory.path().join(format!("{file}.log")))
        .collect();
    let names: Vec<_> = paths.iter().map(|path| path.as_path()).collect();
    paths.iter().for_each(|path| append(path, "one\n"));
    let mut source = start(&following_all(&names));
    source.events(20);
    let unreadable = report(&source, |report| report.unreadable > 0);
    assert!(unreadable.reasons[0].reason.contains("ulimit -n"));
    assert!(unreadable.unreadable < 80, "{unreadable:?}");
    source.stop();
}
