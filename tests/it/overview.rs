//! `sidewatch overview`: who did what, from where, when.

use std::process::Command;

use integration_tests::{command, sidewatch};
use serde_json::Value;

const AIP: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";
const HOSTILE: &str = "<script>alert(1)</script>";

fn line(address: &str, hour: u32, request: &str, status: u16, user: &str) -> String {
    format!(
        "{address} - - [21/Nov/2026:{hour:02}:02:03 +0000] \"{request} HTTP/1.1\" {status} 5 \
         \"http://am.example/\" \"Mozilla/5.0\" \"-\" user={user}\n"
    )
}

fn log() -> String {
    let download = format!("GET /archival-storage/download/aip/{AIP}/");
    let login = "POST /administration/accounts/login/";
    line("192.0.2.1", 9, login, 302, "alice")
        + &line("192.0.2.1", 9, &download, 200, "alice")
        + &line("2001:db8::1", 10, &download, 206, "bob")
        + &line("192.0.2.66", 23, login, 200, "-")
        + &line("192.0.2.66", 23, login, 200, HOSTILE)
        + &line("192.0.2.1", 9, "GET /media/x.css", 200, "alice")
        + "no log line\n"
}

fn overview(arguments: &[&str], log: &str) -> integration_tests::Output {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [&["overview", "--pack", "archivematica"], arguments].concat();
    sidewatch(directory.path(), &arguments, log.as_bytes())
}

#[test]
fn a_person_sees_who_did_what() {
    let shown = overview(&["-"], &log());
    assert_eq!(shown.code, 3, "a line was unreadable: {}", shown.err);
    assert!(shown.err.contains("-:7: "), "{}", shown.err);
    let table = |start: &str| {
        let mut lines = shown.out.lines();
        lines
            .find(|line| line.trim_start().starts_with(start))
            .unwrap_or_else(|| panic!("{start}: {}", shown.out))
            .split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert!(
        shown.out.contains(
            "7 lines: 5 events (2 failures, 0 unspecified), 1 discarded, 0 suppressed, 1 unreadable"
        ),
        "{}",
        shown.out
    );
    assert_eq!(table("16")[6], "2", "downloads: {}", shown.out);
    assert_eq!(table("alice")[..4], ["alice", "2", "·", "1"]);
    assert_eq!(table("192.0.2.66")[..4], ["192.0.2.66", "2", "2", "2"]);
    assert!(
        shown
            .out
            .contains("2026-11-21T09:02:03Z to 2026-11-21T23:02:03Z")
    );
    assert!(shown.out.contains("activity by hour"), "{}", shown.out);
}

#[test]
fn a_program_gets_the_numbers() {
    let shown = overview(&["--format", "json", "-"], &log());
    let report: Value = serde_json::from_str(&shown.out).unwrap();
    assert_eq!(report["lines"]["events"], 5);
    assert_eq!(report["lines"]["unreadable"], 1);
    assert_eq!(report["names_users"], true);
    assert_eq!(report["hours"][9]["events"], 2);
    assert_eq!(
        report["days"],
        serde_json::json!([{"day": "2026-11-21", "events": 5, "failures": 2}])
    );
    let events = report["events"].as_array().unwrap();
    let download = events.iter().find(|event| event["code"] == "16").unwrap();
    assert_eq!(
        download["users"],
        serde_json::json!([{"user": "alice", "count": 1}, {"user": "bob", "count": 1}])
    );
    let users = report["users"].as_array().unwrap();
    let nobody = users.iter().find(|user| user["user"].is_null()).unwrap();
    assert_eq!(
        (&nobody["events"], &nobody["failures"]),
        (&1.into(), &1.into())
    );
}

#[test]
fn the_page_is_complete_in_itself_and_safe() {
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.html");
    let shown = overview(&["--html", page.to_str().unwrap(), "-"], &log());
    assert_eq!((shown.code, shown.out.as_str()), (3, ""), "{}", shown.err);
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("AIP downloaded from Archival Storage"));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for forbidden in ["<script", "http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(forbidden), "{forbidden} in the page");
    }
    let balanced = ["table", "tr", "svg", "g", "td", "div"].map(|tag| {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        (tag, opened, page.matches(&format!("</{tag}>")).count())
    });
    assert!(
        balanced.iter().all(|(_, open, close)| open == close),
        "{balanced:?}"
    );
}

#[test]
fn a_log_that_names_nobody_is_met_with_advice() {
    let line = line("192.0.2.1", 9, "GET /transfer/", 200, "-");
    let shown = overview(&["-"], &line);
    assert_eq!(shown.code, 0, "{}", shown.err);
    assert!(
        shown.out.contains("$upstream_http_x_username"),
        "{}",
        shown.out
    );
}

#[test]
fn the_base_url_tells_the_storage_service() {
    let line = line("192.0.2.1", 9, "GET /no-such-page/", 404, "alice");
    for (url, product) in [
        ("http://am.example", "Archivematica Storage Service"),
        ("http://am.example.evil", "Archivematica"),
    ] {
        let shown = overview(&["--format", "json", "--ss-base-url", url, "-"], &line);
        let report: Value = serde_json::from_str(&shown.out).unwrap();
        assert_eq!(report["events"][0]["product"], product, "{url}");
    }
    let directory = tempfile::tempdir().unwrap();
    let mut wrong: Command = command::command(directory.path());
    let wrong = command::run(
        wrong.args([
            "overview",
            "--pack",
            "nginx",
            "--ss-base-url",
            "http://x",
            "-",
        ]),
        b"",
    );
    assert_eq!(wrong.code, 78);
    assert!(wrong.err.contains("storage_service_url"), "{}", wrong.err);
}
