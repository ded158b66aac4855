//! What is malformed, too large or not granted has a clear answer, and the
//! next request is served.

use std::path::Path;

use integration_tests::spin::KeyValues;
use integration_tests::{Receiver, Spin};

use super::harness::{Built, EVENTS, load, post, send, surroundings};

const EVENT: &str = r#"{"user.name":"zoe","source.ip":"203.0.113.7","event.category":["authentication"],
    "event.type":["start"],"event.outcome":"failure"}"#;

fn edit(directory: &Path, from: &str, to: &str) {
    let path = directory.join("spin.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} in {text}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_told_what_is_wrong() {
    let built = Built::new(&["--to", "nowhere", "--only", "failed-logins"]);
    let spin = load(&built.path(), &KeyValues::default());
    let large = format!("[{}]", " ".repeat(2 << 20));
    let many = format!("[{}]", vec!["{}"; 501].join(","));
    for (body, status, told) in [
        ("{", 400, "event 1 is no JSON"),
        ("[{},{\"source.ip\":\"zoe\"}]", 400, "event 2: "),
        ("7", 400, "event 1: "),
        (large.as_str(), 413, "smaller batches"),
        (many.as_str(), 400, "more than 500 events"),
    ] {
        let answer = post(&spin, body).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(answer.body.contains(told), "{}", answer.body);
    }
    assert_eq!(send(&spin, "GET", EVENTS, &[], "").await.status, 405);
    let stranger = spin.send("POST", EVENTS, &[], EVENT).await.unwrap();
    assert_eq!(stranger.status, 403);
    // Of a mirrored request the beginning is enough.
    let body = "x".repeat(1 << 20);
    assert_eq!(send(&spin, "POST", "/mirror", &[], &body).await.status, 204);
    let odd = [("x-original-uri", "/%zz?&&=;"), ("cookie", ";;==;")];
    assert_eq!(send(&spin, "POST", "/mirror", &odd, "\0").await.status, 204);
    assert_eq!(post(&spin, EVENT).await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_allowed_is_not_spoken_to() {
    let receiver = Receiver::start(204).await;
    let built = Built::new(&["--url", &receiver.url("/"), "--only", "failed-logins"]);
    let host = format!("allowed_outbound_hosts = [\"http://{}\"]", receiver.address);
    edit(&built.path(), &host, "allowed_outbound_hosts = []");
    let store = KeyValues::default();
    let spin = load(&built.path(), &store);
    let answer = post(&spin, EVENT).await;
    assert_eq!(answer.status, 502, "{}", answer.body);
    assert!(
        answer.body.contains("allowed_outbound_hosts"),
        "{}",
        answer.body
    );
    assert_eq!(receiver.take(), []);
    assert!(!store.values().is_empty(), "the state is kept all the same");
    // nginx is not to wait for a receiver.
    assert_eq!(send(&spin, "POST", "/mirror", &[], "").await.status, 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_refuses_is_an_error_for_who_sent_the_batch() {
    let receiver = Receiver::start(500).await;
    let built = Built::new(&["--url", &receiver.url("/"), "--only", "failed-logins"]);
    let spin = load(&built.path(), &KeyValues::default());
    let answer = post(&spin, EVENT).await;
    assert_eq!(answer.status, 502);
    assert!(answer.body.contains("500"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_absent_or_not_granted_is_said() {
    let built = Built::new(&["--to", "nowhere", "--only", "failed-logins"]);
    let mut without = surroundings(&KeyValues::default());
    if integration_tests::spin::is_real() {
        return; // It always has a default store.
    }
    without.stores.clear();
    let spin = Spin::load(&built.path(), &without).unwrap();
    for (path, body) in [(EVENTS, EVENT), ("/mirror", "")] {
        let answer = send(&spin, "POST", path, &[], body).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(
            answer.body.contains("there is no store `default`"),
            "{}",
            answer.body
        );
    }
    edit(
        &built.path(),
        "key_value_stores = [\"default\"]",
        "key_value_stores = []",
    );
    let spin = load(&built.path(), &KeyValues::default());
    let answer = post(&spin, EVENT).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("no access to store `default`"),
        "{}",
        answer.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_variables_are_named_without_their_values() {
    let built = Built::new(&["--to", "nowhere", "--only", "failed-logins"]);
    for (name, value) in [
        ("token", "short-canary"),
        ("hash_key", "canary"),
        ("pseudonym_key", "canary"),
        ("rule_failed_logins", "{\"canary\":1}"),
        ("settings", "{canary"),
    ] {
        let mut wrong = surroundings(&KeyValues::default());
        wrong.variables.insert(name.to_owned(), value.to_owned());
        let spin = Spin::load(&built.path(), &wrong).unwrap();
        let answer = send(&spin, "POST", "/mirror", &[], "").await;
        assert_eq!(answer.status, 500, "{name}");
        let named = name.replace("rule_failed_logins", "failed-logins");
        assert!(answer.body.contains(&named), "{name}: {}", answer.body);
    }
    let mut missing = surroundings(&KeyValues::default());
    missing.variables.remove("token");
    let error = Spin::load(&built.path(), &missing).unwrap_err();
    assert!(error.contains("required variable token"), "{error}");
}
