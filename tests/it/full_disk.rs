//! The disk of the store is full while a sink is down: what may be lost goes
//! and is counted, the rest waits, and when there is room everything goes on.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use integration_tests::http::Client;
use integration_tests::sidecar::Builder;
use integration_tests::{SmallDisk, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::storage_faults::{self, send};

const LINES: u64 = 40_000;
/// Far below what the lines would take.
const MOST_MEMORY: u64 = 256 << 20;

/// As for other faults of the store, with a log to begin with.
fn configured(directory: &Path) -> Builder {
    let lines: String = (0..LINES)
        .map(|at| {
            let user = at % 200;
            format!("192.0.2.7 - user-{user} [20/Nov/2026:10:00:00 +0000] \"GET /line/{at} HTTP/1.1\" 200 5 \"-\" \"test\"\n")
        })
        .collect();
    fs::write(directory.join("access.log"), lines).unwrap();
    storage_faults::configured(directory)
}

/// The same with a sink that is down and may lose nothing.
fn blocked(directory: &Path, address: SocketAddr) -> Builder {
    let settings =
        format!("type = \"tcp\"\naddress = \"{address}\"\nbuffer = {{ when_full = \"block\" }}");
    configured(directory).sink("down", &settings)
}

/// An address nobody listens at yet.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Takes what comes at an address, until a record is the last one wanted.
fn received(address: SocketAddr, mut is_last: impl FnMut(&Value) -> bool) -> Vec<Value> {
    let listener = TcpListener::bind(address).unwrap();
    let (stream, _) = listener.accept().unwrap();
    let mut records = Vec::new();
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let record = serde_json::from_str(&line).unwrap();
        let last = is_last(&record);
        records.push(record);
        if last {
            break;
        }
    }
    records
}

#[test]
fn a_full_disk_sheds_what_a_dead_sink_was_kept_and_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let Some(_disk) = SmallDisk::mount(&directory.join("data/store"), "8m") else {
        return;
    };
    let address = nobody();
    let sidecar = configured(directory)
        .sink("down", &format!("type = \"tcp\"\naddress = \"{address}\""))
        .start_on_small_disk();
    let metrics = sidecar.until("everything taken", |metrics| {
        metrics.source("log", "received") == LINES
            && metrics.sink("down", "received") >= LINES
            && metrics.sink("down", "dropped_disk_full") > 0
    });
    assert_eq!(metrics.sink("down", "dropped_queue_full"), 0);
    assert_eq!(metrics.get("store_disk_full", &[]), 1);
    assert_eq!(metrics.get("store_unwritable", &[]), 0);
    assert_eq!(
        sidecar.get("/readyz").status,
        200,
        "it takes and keeps all the same"
    );
    assert!(sidecar.resident_bytes() < MOST_MEMORY);
    assert!(send(&sidecar, "/still-acknowledged"));
    let (mut newest, mut reported) = (false, false);
    let records = received(address, |record| {
        newest |= record["url"]["path"] == "/still-acknowledged";
        reported |= record["event"]["action"] == "records-dropped"
            && record["event"]["reason"] == "disk-full";
        newest && reported
    });
    assert!(newest && reported, "of {} records", records.len());
    let metrics = sidecar.settled();
    let lost = metrics.sink("down", "dropped_disk_full");
    assert!(lost < LINES, "the newest are kept");
    let log = sidecar.log();
    let said = log.matches("the disk is full").count();
    assert!((1..=4).contains(&said), "said {said} times:\n{log}");
    assert!(sidecar.stop().success());
}

#[test]
fn on_a_full_disk_with_nothing_to_shed_nothing_is_acknowledged_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let store = directory.join("data/store");
    let Some(disk) = SmallDisk::mount(&store, "8m") else {
        return;
    };
    let address = nobody();
    let sidecar = blocked(directory, address).start_on_small_disk();
    sidecar.until("the trouble to show", |metrics| {
        metrics.get("store_unwritable", &[]) == 1 && metrics.get("store_disk_full", &[]) == 1
    });
    let ready = sidecar.get("/readyz");
    assert_eq!(
        ready.status, 503,
        "nobody is to be sent here: {}",
        ready.body
    );
    let place = store.to_str().unwrap();
    assert!(
        ready.body.contains(place) && ready.body.contains("No space left"),
        "{}",
        ready.body
    );
    // nginx is answered as ever: nobody's page waits for our disk. What the
    // table calls noise reaches no sink, so the records below stay the same.
    let mut mirror = Client::connect(sidecar.address("forms"));
    for _ in 0..20 {
        let headers = ["X-Original-URI: /favicon.ico", "X-Original-Method: GET"];
        assert_eq!(mirror.send("GET /mirror", &headers, "").status, 204);
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| send(&sidecar, "/waits"));
        // Longer than several attempts.
        std::thread::sleep(Duration::from_millis(2500));
        assert!(!waiting.is_finished(), "acknowledged without room");
        assert_eq!(sidecar.metrics().sink("down", "dropped_disk_full"), 0);
        assert!(sidecar.resident_bytes() < MOST_MEMORY);
        disk.grow("128m");
        assert!(waiting.join().unwrap(), "acknowledged when there is room");
    });
    let mut left = LINES + 1;
    let records = received(address, |_| {
        left -= 1;
        left == 0
    });
    let mut seen: HashMap<&str, u64> = HashMap::new();
    for record in &records {
        *seen
            .entry(record["url"]["path"].as_str().unwrap())
            .or_default() += 1;
    }
    assert_eq!(seen.get("/waits"), Some(&1));
    for at in 0..LINES {
        let path = format!("/line/{at}");
        assert_eq!(seen.get(path.as_str()), Some(&1), "{path}");
    }
    let metrics = sidecar.settled();
    assert_eq!(metrics.get("store_unwritable", &[]), 0);
    until("readiness", || {
        (sidecar.get("/readyz").status == 200).then_some(())
    });
    let log = sidecar.log();
    let said = log.matches("the journal cannot be written").count();
    assert_eq!(said, 1, "{log}");
    assert!(sidecar.stop().success());
}

#[test]
fn killed_on_a_full_disk_it_starts_there_and_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let store = directory.join("data/store");
    let Some(disk) = SmallDisk::mount(&store, "8m") else {
        return;
    };
    let address = nobody();
    let blocked = blocked(directory, address);
    let sidecar = blocked.start_on_small_disk();
    sidecar.until("the disk to be full", |metrics| {
        metrics.get("store_unwritable", &[]) == 1
    });
    sidecar.signal(Signal::SIGKILL);
    drop(sidecar);
    // Not a byte is left, not even what the program keeps for itself.
    let filler = store.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);

    let sidecar = blocked.launch();
    sidecar.until("the trouble to show", |metrics| {
        metrics.get("store_unwritable", &[]) == 1
    });
    assert_eq!(sidecar.get("/readyz").status, 503);
    disk.grow("128m");
    let (mut ids, mut left) = (HashMap::new(), LINES);
    received(address, |record| {
        let path = record["url"]["path"].as_str().unwrap().to_owned();
        let id = record["event"]["id"].as_str().unwrap().to_owned();
        match ids.insert(path, id.clone()) {
            None => left -= 1,
            Some(before) => assert_eq!(before, id, "the same event again"),
        }
        left == 0
    });
    sidecar.until("the store to be written", |metrics| {
        metrics.get("store_unwritable", &[]) == 0
    });
    sidecar.settled();
    assert!(sidecar.stop().success());
}
