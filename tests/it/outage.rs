//! Sinks that are down, hung or slow, and what a restart in between changes:
//! nothing.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;

use integration_tests::Sidecar;
use integration_tests::command::fixture;
use integration_tests::sidecar::Builder;
use serde_json::Value;

fn line(user: &str, path: &str) -> String {
    format!(
        "192.0.2.7 - {user} [20/Nov/2026:10:00:00 +0000] \"GET {path} HTTP/1.1\" 200 5 \"-\" \"test\"\n"
    )
}

/// A sidecar that follows `access.log`; the path `/report` is a finding.
fn following(directory: &Path) -> Builder {
    let log = directory.join("access.log");
    let rule = fixture("misbehaving");
    Sidecar::in_directory(directory)
        .section("[store]\nsegment_bytes = 65536")
        .section(&format!(
            "[[rules]]\nid = \"misbehaving\"\nfile = {rule:?}\nparameters = {{ mode = \"panic\" }}"
        ))
        .source(
            "log",
            &format!(
                "type = \"file\"\npaths = [{log:?}]\nformat = \"combined\"\npoll_interval_ms = 5"
            ),
        )
}

fn append(directory: &Path, text: &str) {
    let mut log = std::fs::File::options()
        .append(true)
        .create(true)
        .open(directory.join("access.log"))
        .unwrap();
    log.write_all(text.as_bytes()).unwrap();
}

/// Takes `count` records from whoever connects.
fn received(listener: &TcpListener, count: usize) -> Vec<Value> {
    let mut records = Vec::new();
    while records.len() < count {
        let (stream, _) = listener.accept().unwrap();
        let lines = BufReader::new(stream).lines();
        for line in lines.take(count - records.len()) {
            let Ok(line) = line else { break };
            records.push(serde_json::from_str(&line).unwrap());
        }
    }
    records
}

const VIEWS: usize = 3_000;

#[test]
fn a_sink_that_was_down_gets_findings_first_and_everything_and_others_do_not_wait() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let configured = following(directory)
        .sink("down", &format!("type = \"tcp\"\naddress = \"{address}\""))
        .json_file("up");
    let sidecar = configured.start();
    for number in 0..VIEWS {
        append(directory, &line("somebody", &format!("/view/{number}")));
    }
    append(directory, &line("somebody", "/report"));
    sidecar.until("the other sink's records", |metrics| {
        metrics.sink("up", "delivered") == VIEWS as u64 + 2
    });
    assert_eq!(sidecar.metrics().sink("down", "delivered"), 0);
    // A restart in between changes nothing.
    assert!(sidecar.stop().success());
    let sidecar = configured.start();
    let listener = TcpListener::bind(address).unwrap();
    let records = received(&listener, VIEWS + 2);
    let place = |wanted: &dyn Fn(&Value) -> bool| records.iter().position(wanted).unwrap();
    let finding = place(&|record| record["event"]["kind"] == "alert");
    assert_eq!(finding, 0, "findings come before page views");
    let mut paths: Vec<&str> = records
        .iter()
        .filter(|record| record["event"]["kind"] != "alert")
        .map(|record| record["url"]["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths.pop(), Some("/report"));
    assert!(
        paths
            .iter()
            .enumerate()
            .all(|(at, path)| *path == format!("/view/{at}")),
        "in their order"
    );
    let metrics = sidecar.settled();
    assert_eq!(metrics.sink("down", "recovered"), VIEWS as u64 + 2);
    assert!(sidecar.stop().success());
}

#[test]
fn a_hung_sink_with_block_does_not_prevent_an_orderly_end_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    // Accepts connections into its queue and never reads.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let configured = following(directory).sink(
        "hung",
        &format!(
            "type = \"tcp\"\naddress = \"{address}\"\nbuffer = {{ max_bytes = 262144, when_full = \"block\" }}"
        ),
    );
    let sidecar = configured.start();
    let count = 150_000;
    let text: String = (0..count).map(|at| line("x", &format!("/{at}"))).collect();
    append(directory, &text);
    sidecar.until("the sink holds everything up", |metrics| {
        metrics.get("store_blocked", &[]) == 1
    });
    assert!(sidecar.stop().success());
    let sidecar = configured.start();
    let mut seen = vec![false; count];
    let mut missing = count;
    while missing > 0 {
        let (stream, _) = listener.accept().unwrap();
        for line in BufReader::new(stream).lines() {
            // What a dead connection held is sent again.
            let Some(record) = line
                .ok()
                .and_then(|it| serde_json::from_str::<Value>(&it).ok())
            else {
                break;
            };
            let path = record["url"]["path"].as_str().unwrap();
            let at: usize = path.trim_start_matches('/').parse().unwrap();
            missing -= usize::from(!std::mem::replace(&mut seen[at], true));
            if missing == 0 {
                break;
            }
        }
    }
    assert!(sidecar.stop().success());
}
