//! Rules are swapped again and again while a real nginx mirrors requests and
//! writes its access log: every event is evaluated exactly once by exactly one
//! version, and nobody waits for it.
//!
//! `SIDEWATCH_SWAPS` sets how often (thirty times when unset); `make swaps` does
//! it a thousand times. The numbers are printed.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use integration_tests::command::{fixture, run_within};
use integration_tests::versions::with_version;
use integration_tests::{Nginx, Sidecar};
use serde_json::Value;

/// Every version is compiled once; then there are these.
const VERSIONS: [u32; 4] = [2_000, 3_000, 4_000, 5_000];

fn swaps_wanted() -> usize {
    let wanted = std::env::var("SIDEWATCH_SWAPS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(30)
}

fn start(directory: &Path) -> Sidecar {
    let socket = directory.join("mirror.sock");
    let witness = fixture("witness");
    Sidecar::in_directory(directory)
        .source("mirror", &format!("type = \"mirror\"\npack = \"mattermost\"\nsocket = {socket:?}"))
        .source("access", "type = \"syslog\"\npack = \"mattermost\"\nformat = \"json\"\nudp = \"127.0.0.1:0\"")
        .section(&format!(
            "[[rules]]\nid = \"witness\"\nfile = {witness:?}\nlimits = {{ frame_milliseconds = 1000, event_microseconds = 1000000 }}"
        ))
        .section("[join]\nwindow_ms = 20000\nline_window_ms = 20000")
        .json_file("all")
        .start()
}

/// Sends requests of seven users until told to stop; how many there were, and
/// how long each took.
fn traffic(nginx: &Nginx, stop: &AtomicBool) -> Vec<Duration> {
    let mut client = nginx.client();
    let mut took = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let cookies = format!(
            "Cookie: MMUSERID=u{}; MMAUTHTOKEN=t{}",
            took.len() % 7,
            took.len() % 7
        );
        let begun = Instant::now();
        let answer = client.send("GET /api/v4/posts", &[&cookies], "");
        assert_eq!(answer.status, 200);
        took.push(begun.elapsed());
        std::thread::sleep(Duration::from_micros(500));
    }
    took
}

fn swap(directory: &Path, file: &str) {
    let mut command = integration_tests::command::command(directory);
    command.args([
        "rules",
        "swap",
        "witness",
        file,
        "--config",
        "sidewatch.toml",
    ]);
    let done = run_within(&mut command, b"", Duration::from_secs(120));
    assert_eq!(done.code, 0, "{}", done.err);
}

fn percentile(values: &mut [Duration], part: f64) -> Duration {
    values.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let at = (values.len() as f64 * part) as usize;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

#[test]
fn swaps_under_traffic_lose_nothing_and_take_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    let nginx = Nginx::in_directory(directory)
        .syslog_to(sidecar.address("access"))
        .start();
    let component = std::fs::read(fixture("witness")).unwrap();
    for version in VERSIONS {
        let file = directory.join(format!("{version}.wasm"));
        std::fs::write(file, with_version(&component, version)).unwrap();
    }
    let swaps = swaps_wanted();
    let stop = AtomicBool::new(false);
    let (mut quiet, mut busy) = std::thread::scope(|scope| {
        let running = scope.spawn(|| traffic(&nginx, &stop));
        std::thread::sleep(Duration::from_secs(2));
        stop.store(true, Ordering::Relaxed);
        let quiet = running.join().unwrap();
        stop.store(false, Ordering::Relaxed);
        let running = scope.spawn(|| traffic(&nginx, &stop));
        for number in 0..swaps {
            swap(
                directory,
                &format!("{}.wasm", VERSIONS[number % VERSIONS.len()]),
            );
        }
        stop.store(true, Ordering::Relaxed);
        (quiet, running.join().unwrap())
    });
    let requests = (quiet.len() + busy.len()) as u64;
    let metrics = sidecar.settled();
    let records: Vec<Value> = sidecar
        .lines("all")
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let of_rule = |record: &&Value| record["rule"]["id"] == "witness";
    let mut evaluated: HashMap<&str, u32> = HashMap::new();
    let mut by_version: HashMap<&str, u32> = HashMap::new();
    for finding in records.iter().filter(of_rule) {
        let event = finding["event"]["id"].as_str().expect("the event");
        *evaluated.entry(event).or_default() += 1;
        let version = finding["rule"]["version"].as_str().expect("the version");
        *by_version.entry(version).or_default() += 1;
    }
    let twice = evaluated.values().filter(|count| **count > 1).count();
    assert_eq!(twice, 0, "events evaluated twice");
    assert_eq!(evaluated.len() as u64, requests, "events evaluated");
    assert_eq!(
        metrics.get("rule_swaps_total", &[("result", "swapped")]),
        swaps as u64
    );
    assert!(by_version.len() > 1, "{by_version:?}");
    println!(
        "{swaps} swaps under {} requests: 0 lost, 0 twice; by version {by_version:?}; a request took p50 {:?} p99 {:?} ({:?} {:?} without swaps)",
        busy.len(),
        percentile(&mut busy, 0.5),
        percentile(&mut busy, 0.99),
        percentile(&mut quiet, 0.5),
        percentile(&mut quiet, 0.99),
    );
    assert!(sidecar.stop().success());
}
