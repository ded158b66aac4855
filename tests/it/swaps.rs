//! Rules are swapped again and again while a real nginx mirrors requests and
//! writes its access log: every event is evaluated exactly once by exactly one
//! version, and nobody waits for it.
//!
//! `SIDEWATCH_SWAPS` sets how often (thirty times when unset); `make swaps` does
//! it a thousand times, with the release build. The numbers are printed: periods
//! with swaps alternate with periods without, so that both see the same machine,
//! and the traffic leaves room, so that what is measured is the time an event
//! takes and not how long a queue is.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use chrono::DateTime;
use integration_tests::command::{fixture, run_within};
use integration_tests::versions::with_version;
use integration_tests::{Nginx, Sidecar};
use serde_json::Value;

/// Every version is compiled once; then there are these.
const VERSIONS: [u32; 4] = [2_000, 3_000, 4_000, 5_000];
/// From one request to the next.
const PACE: Duration = Duration::from_millis(4);
/// From a swap to the next one's request.
const BETWEEN: Duration = Duration::from_millis(100);
/// How many periods with swaps there are.
const PERIODS: usize = 10;

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

/// How long something took that began then.
struct Taken {
    at: SystemTime,
    took: Duration,
}

/// Sends requests of seven users, evenly, until told to stop: how long each
/// answer took.
fn traffic(nginx: &Nginx, stop: &AtomicBool) -> Vec<Taken> {
    let mut client = nginx.client();
    let mut sent = Vec::new();
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let user = sent.len() % 7;
        let cookies = format!("Cookie: MMUSERID=u{user}; MMAUTHTOKEN=t{user}");
        let at = SystemTime::now();
        let answer = client.send("GET /api/v4/posts", &[&cookies], "");
        assert_eq!(answer.status, 200);
        let took = answer.elapsed;
        sent.push(Taken { at, took });
        let next = PACE * u32::try_from(sent.len()).unwrap();
        std::thread::sleep(next.saturating_sub(begun.elapsed()));
    }
    sent
}

/// Periods with swaps and, each as long as the one before it, without; returns
/// the former's beginnings and ends.
fn alternate(directory: &Path, swaps: usize) -> Vec<(SystemTime, SystemTime)> {
    let mut periods = Vec::new();
    let each = swaps.div_ceil(PERIODS);
    std::thread::sleep(Duration::from_secs(1));
    let mut done = 0;
    while done < swaps {
        let (from, begun) = (SystemTime::now(), Instant::now());
        for _ in 0..each.min(swaps - done) {
            let version = VERSIONS[done % VERSIONS.len()];
            swap(directory, &format!("{version}.wasm"));
            done += 1;
            std::thread::sleep(BETWEEN);
        }
        periods.push((from, SystemTime::now()));
        std::thread::sleep(begun.elapsed());
    }
    periods
}

/// Reads the file of a sink as it grows until told to stop: how long after its
/// receipt each event was there to be read.
fn follow(path: &Path, stop: &AtomicBool) -> Vec<Taken> {
    let mut delivered = Vec::new();
    let mut file = None;
    let mut rest = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if file.is_none() {
            file = File::open(path).ok();
        }
        if let Some(file) = &mut file {
            // Bounded, or reading might never catch up with writing.
            file.take(1 << 20).read_to_end(&mut rest).unwrap();
        }
        let now = SystemTime::now();
        let whole = rest.iter().rposition(|byte| *byte == b'\n');
        let lines: Vec<u8> = rest.drain(..whole.map_or(0, |end| end + 1)).collect();
        for line in lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let record: Value = serde_json::from_slice(line).unwrap();
            let is_request = record["rule"].is_null() && record["url"]["path"].is_string();
            let Some(time) = record["event"]["ingested"].as_str().filter(|_| is_request) else {
                continue;
            };
            let at = SystemTime::from(DateTime::parse_from_rfc3339(time).unwrap());
            let took = now.duration_since(at).unwrap_or_default();
            delivered.push(Taken { at, took });
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    delivered
}

/// Tells threads to end, also when the test fails: they would be waited for
/// without end.
struct End<'a>([&'a AtomicBool; 2]);

impl Drop for End<'_> {
    fn drop(&mut self) {
        for flag in self.0 {
            flag.store(true, Ordering::Relaxed);
        }
    }
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

/// Of values in order.
fn percentile(values: &[Duration], part: f64) -> Duration {
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
    let (stop, read) = (AtomicBool::new(false), AtomicBool::new(false));
    let path = directory.join("all.json");
    let (sent, periods, delivered, metrics) = std::thread::scope(|scope| {
        let _end = End([&stop, &read]);
        let following = scope.spawn(|| follow(&path, &read));
        let running = scope.spawn(|| traffic(&nginx, &stop));
        let periods = alternate(directory, swaps);
        stop.store(true, Ordering::Relaxed);
        let sent = running.join().unwrap();
        let metrics = sidecar.settled();
        sidecar.drained("all");
        std::thread::sleep(Duration::from_millis(200));
        read.store(true, Ordering::Relaxed);
        (sent, periods, following.join().unwrap(), metrics)
    });
    let requests = sent.len() as u64;
    let records: Vec<Value> = sidecar
        .lines("all")
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let is_request =
        |record: &&Value| record["rule"].is_null() && record["url"]["path"] == "/api/v4/posts";
    let mut by_version: HashMap<&str, u32> = HashMap::new();
    let mut evaluated: HashMap<&str, u32> = HashMap::new();
    for finding in records.iter().filter(|one| one["rule"]["id"] == "witness") {
        let event = finding["sidewatch"]["finding"]["event_id"].as_str();
        *evaluated.entry(event.expect("the event")).or_default() += 1;
        let version = finding["rule"]["version"].as_str().expect("the version");
        *by_version.entry(version).or_default() += 1;
    }
    // Where nginx gave the mirror up for a while, the log alone tells of a
    // request, and not who it was: such an event has no key of the rule.
    let (mut events, mut nameless) = (0, 0);
    for event in records.iter().filter(is_request) {
        let times = evaluated.remove(event["event"]["id"].as_str().expect("an id"));
        let named = event["user"]["id"].is_string();
        assert_eq!(times, named.then_some(1), "times evaluated: {event}");
        events += 1;
        nameless += u64::from(!named);
    }
    assert!(evaluated.is_empty(), "of no event: {evaluated:?}");
    assert_eq!(events, requests, "{}", nginx.errors());
    assert_eq!(
        metrics.get("rule_swaps_total", &[("result", "swapped")]),
        swaps as u64
    );
    assert!(by_version.len() > 1, "{by_version:?}");
    eprintln!(
        "{swaps} swaps under {requests} requests ({nameless} told by the log alone): 0 lost, 0 twice; by version {by_version:?}"
    );
    report("a request's answer", &periods, &sent);
    let seen = delivered.len();
    report(
        &format!("an event from receipt to the sink's file ({seen} seen)"),
        &periods,
        &delivered,
    );
    assert!(sidecar.stop().success());
}

/// Prints how long something took while rules were swapped and while not.
fn report(what: &str, periods: &[(SystemTime, SystemTime)], times: &[Taken]) {
    let first = periods.first().expect("a period").0;
    let within = |at| periods.iter().any(|(from, to)| (*from..*to).contains(&at));
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for one in times.iter().filter(|one| one.at >= first) {
        if within(one.at) {
            &mut with
        } else {
            &mut without
        }
        .push(one.took);
    }
    let [with, without] = [&mut with, &mut without].map(|times| {
        times.sort_unstable();
        [0.5, 0.99].map(|part| percentile(times, part))
    });
    eprintln!(
        "{what}: p50 {:?}, p99 {:?} with swaps; p50 {:?}, p99 {:?} without; p99 {:.2} times as long",
        with[0],
        with[1],
        without[0],
        without[1],
        with[1].as_secs_f64() / without[1].as_secs_f64().max(1e-6),
    );
}
