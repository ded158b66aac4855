//! Edge, sidecar, sinks: what the edge sends on comes out at the other end.

use integration_tests::spin::KeyValues;
use integration_tests::{Receiver, Sidecar, Spin, until};
use serde_json::Value;

use super::harness::{Built, TOKEN, post, surroundings};

/// Eleven wrong passwords of one user within a minute.
fn guesses() -> String {
    let guess = |second: usize| {
        format!(
            r#"{{"@timestamp":"2026-03-02T08:00:{second:02}Z","user.name":"zoe","source.ip":"203.0.113.7",
            "event.category":["authentication"],"event.type":["start"],"event.outcome":"failure","event.action":"login",
            "http.response.status_code":401}}"#
        )
    };
    format!("[{}]", (0..40).map(guess).collect::<Vec<_>>().join(","))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_the_receiver_did_not_take_is_offered_until_it_does() {
    for to in ["sidewatch", "tirreno"] {
        let receiver = Receiver::start(500).await;
        let url = receiver.url("/events");
        let built = Built::new(&["--to", to, "--url", &url, "--only", "failed-logins"]);
        let mut around = surroundings(&KeyValues::default());
        around
            .variables
            .insert("forward_token".to_owned(), TOKEN.to_owned());
        let spin = Spin::load(&built.path(), &around).unwrap();
        assert_eq!(post(&spin, &guesses()).await.status, 502, "{to}");
        // The same events again give no finding: it has been made.
        assert_eq!(post(&spin, &guesses()).await.status, 502, "{to}");
        receiver.answer_with(204);
        let _refused = receiver.take();
        let event = r#"{"user.name":"adam","url.original":"/a"}"#;
        let mut findings = Vec::new();
        for _ in 0..2 {
            assert_eq!(post(&spin, event).await.status, 204, "{to}");
            let mut received = receiver.take();
            received.retain(|one| one.body.contains("failed-login"));
            findings.push(received.len());
        }
        assert!(findings[0] > 0, "{to}: it came with the next batch");
        assert_eq!(findings[1], 0, "{to}: and not once more");
    }
}

#[test]
fn findings_of_the_edge_reach_the_sidecars_sinks() {
    let directory = tempfile::tempdir().unwrap();
    let source = format!(
        "type = \"mirror\"\npack = \"nginx\"\nlisten = \"127.0.0.1:0\"\ntokens = [\"{TOKEN}\"]"
    );
    let sidecar = Sidecar::in_directory(directory.path())
        .source("edge", &source)
        .json_file("events")
        .start();
    let url = format!(
        "http://{}/.well-known/sidewatch/events",
        sidecar.address("edge")
    );
    let built = Built::new(&["--url", &url, "--only", "failed-logins"]);
    let mut around = surroundings(&KeyValues::default());
    around
        .variables
        .insert("forward_token".to_owned(), TOKEN.to_owned());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let spin = Spin::load(&built.path(), &around).unwrap();
        let answer = post(&spin, &guesses()).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
    });
    let alert = until("a finding of the edge in the sidecar's file", || {
        let lines = sidecar.lines("events");
        let mut records = lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.find(|record| {
            record["event"]["kind"] == "alert" && record["labels"]["rule.id"] == "failed-logins"
        })
    });
    assert_eq!(alert["user"]["name"], "zoe", "{alert:#}");
    assert!(alert["event"]["severity"].as_u64() > Some(0), "{alert:#}");
    assert!(
        alert["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    let metrics = sidecar.settled();
    assert_eq!(
        (
            metrics.source("edge", "rejected"),
            metrics.source("edge", "unauthenticated")
        ),
        (0, 0)
    );
    // A stranger hands nothing in.
    let refused = runtime.block_on(async {
        around
            .variables
            .insert("forward_token".to_owned(), "a guess of sixteen".to_owned());
        let spin = Spin::load(&built.path(), &around).unwrap();
        post(&spin, "{}").await
    });
    assert_eq!(refused.status, 204, "the sidecar tells strangers nothing");
    assert_eq!(sidecar.settled().source("edge", "unauthenticated"), 1);
}
