//! A rule that loops, panics, hoards, floods or swells: its events are
//! delivered, its faults counted, its neighbours untouched.

use std::path::Path;

use integration_tests::command::fixture;
use integration_tests::http::Client;
use integration_tests::{Metrics, Sidecar};
use serde_json::Value;

const HONEST: u64 = 200;
const MARKED: u64 = 4;

/// Wall-clock time a frame may take: a busy machine must not fail honest rules.
const AMPLE: &str = "limits = { frame_milliseconds = 250 }";

fn sidecar(directory: &Path, mode: &str) -> Sidecar {
    let file = fixture("misbehaving");
    let limits = if mode == "loop" { "" } else { AMPLE };
    let neighbours = ["impossible-travel", "account-sharing"]
        .map(|id| format!("[[rules]]\nid = \"{id}\"\n{AMPLE}\n"));
    Sidecar::in_directory(directory)
        .section(&neighbours.concat())
        .section(&format!("[[rules]]\nid = \"misbehaving\"\nfile = {file:?}\nparameters = {{ mode = \"{mode}\" }}\n{limits}"))
        .source("mirror", "type = \"mirror\"\nlisten = \"127.0.0.1:0\"")
        .json_file("all")
        .start()
}

fn send(client: &mut Client, path: &str) {
    let path = format!("X-Original-URI: {path}");
    let answer = client.send(
        "GET /mirror",
        &[
            &path,
            "X-Original-Method: GET",
            "X-Username: alice",
            "X-Real-IP: 192.0.2.9",
        ],
        "",
    );
    assert_eq!(answer.status, 204);
}

/// Sends honest and marked events, and checks what must hold whatever the
/// rule does.
fn borne(mode: &str, reason: &str) -> (Metrics, Vec<Value>) {
    let directory = tempfile::tempdir().unwrap();
    let sidecar = sidecar(directory.path(), mode);
    let mut client = Client::connect(sidecar.address("mirror"));
    send(&mut client, "/first");
    sidecar.until("the first event", |metrics| {
        metrics.sink("all", "delivered") == 1
    });
    let before = sidecar.resident_bytes();
    for number in 1..HONEST {
        send(&mut client, "/page");
        if number % (HONEST / MARKED) == 0 {
            send(&mut client, "/marked");
        }
    }
    send(&mut client, "/marked");
    let all = HONEST + MARKED;
    sidecar.until("every event", |metrics| metrics.events("forwarded") == all);
    // A rule that was suspended works again after a second.
    let findings = integration_tests::until("the rule at work again", || {
        send(&mut client, "/report");
        std::thread::sleep(std::time::Duration::from_millis(100));
        let records: Vec<Value> = sidecar
            .lines("all")
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let findings: Vec<Value> = records
            .into_iter()
            .filter(|record| record["rule"]["id"] == "misbehaving")
            .collect();
        (!findings.is_empty()).then_some(findings)
    });
    let metrics = sidecar.settled();
    let marked = sidecar
        .lines("all")
        .iter()
        .filter(|line| line.contains("/marked"))
        .count() as u64;
    assert_eq!(
        marked, MARKED,
        "{mode}: every marked event is delivered, once"
    );
    assert!(
        metrics.faults("misbehaving", reason) > 0,
        "{mode}: {}",
        sidecar.log()
    );
    for other in ["trapped", "timed_out", "out_of_memory", "rejected"]
        .iter()
        .filter(|other| **other != reason)
    {
        assert_eq!(metrics.faults("misbehaving", other), 0, "{mode}: {other}");
    }
    neighbours_saw_everything(mode, &metrics);
    let rule = |name| metrics.get(name, &[("rule", "misbehaving")]);
    let missed = rule("rule_quarantined_events_total") + rule("rule_skipped_events_total");
    assert!(
        missed >= MARKED,
        "{mode}: marked events cannot be evaluated, but {missed} were missed"
    );
    let grown = sidecar.resident_bytes().saturating_sub(before);
    assert!(grown < 96 << 20, "{mode}: memory grew by {grown} bytes");
    assert!(
        sidecar.log().contains("rule cannot evaluate an event"),
        "{mode}: {}",
        sidecar.log()
    );
    assert!(sidecar.stop().success(), "{mode}");
    (metrics, findings)
}

fn neighbours_saw_everything(mode: &str, metrics: &Metrics) {
    let rule = |name, rule| metrics.get(name, &[("rule", rule)]);
    let forwarded = metrics.events("forwarded");
    for neighbour in ["impossible-travel", "account-sharing"] {
        assert_eq!(
            rule("rule_events_total", neighbour),
            forwarded,
            "{mode}: {neighbour} sees every event"
        );
        assert_eq!(
            rule("rule_quarantined_events_total", neighbour)
                + rule("rule_skipped_events_total", neighbour),
            0,
            "{mode}"
        );
    }
}

/// The honest events the rule says it has seen.
fn honest(findings: &[Value]) -> u64 {
    let text = findings[0].to_string();
    let (_, rest) = text.split_once("honest_events").expect("the evidence");
    let digits: String = rest
        .chars()
        .skip_while(|one| !one.is_ascii_digit())
        .take_while(char::is_ascii_digit)
        .collect();
    digits.parse().unwrap()
}

/// Cheap faults: nothing but the marked events is missed.
fn borne_without_loss(mode: &str, reason: &str) {
    let (metrics, findings) = borne(mode, reason);
    let rule = [("rule", "misbehaving")];
    if metrics.get("rule_skipped_events_total", &rule) == 0 {
        assert_eq!(
            metrics.get("rule_quarantined_events_total", &rule),
            MARKED,
            "{mode}"
        );
        assert_eq!(
            honest(&findings),
            HONEST + 1,
            "{mode}: state survives the faults"
        );
    }
}

#[test]
fn a_loop_is_stopped() {
    borne("loop", "timed_out");
}

#[test]
fn a_panic_is_contained() {
    borne_without_loss("panic", "trapped");
}

#[test]
fn a_hoarder_is_stopped() {
    borne_without_loss("memory", "out_of_memory");
}

#[test]
fn a_flood_of_output_is_refused() {
    borne_without_loss("output", "rejected");
}

#[test]
fn a_swelling_state_is_refused() {
    borne_without_loss("state", "rejected");
}

#[test]
fn a_mode_there_is_not_is_refused_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = fixture("misbehaving");
    let arguments = [
        "rule",
        "inspect",
        file.to_str().unwrap(),
        "--parameters",
        "{\"mode\": \"sulk\"}",
    ];
    let output = integration_tests::sidewatch(directory.path(), &arguments, b"");
    assert_eq!(output.code, 1);
    assert!(
        output.err.contains("parameter `mode`") && output.err.contains("sulk"),
        "{}",
        output.err
    );
}
