//! The clock of the system jumps while the program runs: nothing is lost, nothing
//! is counted twice, and nothing waits for a time that is far away.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use integration_tests::clock::FakeClock;
use integration_tests::http::Client;
use integration_tests::{Sidecar, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::durable::{evidence, path_of};
use crate::storage_faults::{configured, send};

const HOUR: i64 = 3_600;
/// Ahead of the true time, one after the other: a day ahead, back, a day
/// behind (as after a wrong battery-backed clock was set right), a year ahead
/// (as when it was wrong at first), and right again.
const JUMPS: [i64; 5] = [26 * HOUR, 0, -26 * HOUR, 400 * 24 * HOUR, 0];
const LINES: usize = 200;

fn line(path: &str) -> String {
    format!(
        "192.0.2.7 - user [20/Nov/2026:10:00:00 +0000] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"test\"\n"
    )
}

fn start(directory: &Path, clock: &FakeClock) -> Sidecar {
    configured(directory)
        .json_file("all")
        .wrapped_in(clock.wrapper())
        .start()
}

/// The records of a file sink whose file may have been rotated.
fn records(directory: &Path) -> Vec<Value> {
    let mut records = Vec::new();
    for file in fs::read_dir(directory).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("all.json") {
            let text = fs::read_to_string(file.path()).unwrap();
            records.extend(
                text.lines()
                    .filter_map(|line| serde_json::from_str(line).ok()),
            );
        }
    }
    records
}

/// Waits until the sink's file has a record of each path.
fn until_delivered(directory: &Path, wanted: &[String]) {
    until("everything to be delivered", || {
        let records = records(directory);
        let seen: HashSet<&str> = records.iter().map(path_of).collect();
        wanted
            .iter()
            .all(|path| seen.contains(path.as_str()))
            .then_some(())
    });
}

/// Lines, a form that is acknowledged and a mirrored request whose line never
/// comes.
fn traffic(sidecar: &Sidecar, log: &mut File, step: usize) -> Vec<String> {
    let mut wanted: Vec<String> = (0..LINES).map(|n| format!("/line/{step}/{n}")).collect();
    let text: String = wanted.iter().map(|path| line(path)).collect();
    log.write_all(text.as_bytes()).unwrap();
    let form = format!("/form/{step}");
    assert!(send(sidecar, &form), "{form} is acknowledged");
    let mirrored = format!("/mirrored/{step}");
    let mut client = Client::connect(sidecar.address("forms"));
    let request = format!("GET {mirrored}");
    assert_eq!(client.send(&request, &["X-Request-Id: 1"], "").status, 204);
    wanted.extend([form, mirrored]);
    wanted
}

#[test]
fn a_clock_that_jumps_loses_nothing_and_holds_nothing_up() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let clock = FakeClock::in_directory(directory);
    let mut log = File::create(directory.join("access.log")).unwrap();
    let mut sidecar = start(directory, &clock);
    let mut wanted = Vec::new();
    for (step, ahead) in JUMPS.into_iter().enumerate() {
        clock.set(ahead);
        wanted.extend(traffic(&sidecar, &mut log, step));
        until_delivered(directory, &wanted);
        if ahead < 0 {
            // And it starts with a store whose newest times lie ahead.
            sidecar.signal(Signal::SIGKILL);
            drop(sidecar);
            sidecar = start(directory, &clock);
        }
    }
    log.write_all(line("/report").as_bytes()).unwrap();
    wanted.push("/report".to_owned());
    until_delivered(directory, &wanted);
    sidecar.settled();
    assert!(sidecar.stop().success());

    let mut ids: HashMap<String, String> = HashMap::new();
    let mut told = None;
    for record in records(directory) {
        if record["event"]["kind"] == "alert" {
            told = Some(evidence(&record, "honest_events"));
            continue;
        }
        let id = record["event"]["id"].as_str().unwrap().to_owned();
        let before = ids.insert(path_of(&record).to_owned(), id.clone());
        assert!(before.is_none_or(|before| before == id), "{record}");
    }
    let distinct: HashSet<&String> = ids.values().collect();
    assert_eq!(distinct.len(), wanted.len(), "an id for each event");
    assert_eq!(told, Some((JUMPS.len() * LINES + 1) as u64), "lines folded");
}

#[test]
fn a_file_is_rotated_when_its_hours_are_over_and_not_when_the_clock_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let clock = FakeClock::in_directory(directory);
    let path = directory.join("all.json");
    let mut log = File::create(directory.join("access.log")).unwrap();
    let sidecar = configured(directory)
        .sink(
            "all",
            &format!("type = \"file\"\npath = {path:?}\nrotate = {{ max_age_hours = 1, compress = false }}"),
        )
        .wrapped_in(clock.wrapper())
        .start();
    let files = || {
        let all = fs::read_dir(directory).unwrap().flatten();
        all.filter(|file| file.file_name().to_string_lossy().starts_with("all.json"))
            .count()
    };
    let mut wanted = Vec::new();
    for (path, ahead, files_then) in [
        ("/first", 0, 1),
        ("/soon", HOUR / 2, 1),
        ("/later", 2 * HOUR, 2),
        ("/back", -5 * HOUR, 2),
        ("/again", 4 * HOUR, 3),
    ] {
        clock.set(ahead);
        log.write_all(line(path).as_bytes()).unwrap();
        wanted.push(path.to_owned());
        until_delivered(directory, &wanted);
        assert_eq!(files(), files_then, "{path}");
    }
    sidecar.settled();
    let mut seen: Vec<String> = records(directory)
        .iter()
        .map(|record| path_of(record).to_owned())
        .collect();
    seen.sort();
    wanted.sort();
    assert_eq!(seen, wanted, "each once");
    assert!(sidecar.stop().success());
}
