//! What is built, and what the running edge says and does.

use integration_tests::spin::KeyValues;
use integration_tests::{Receiver, sidewatch};
use serde_json::Value;

use super::harness::{Built, TOKEN, edge, load, post, send};
use integration_tests::command::rules;

const RULES: &str = "/.well-known/sidewatch/rules";

fn holds(whole: &[u8], part: &[u8]) -> bool {
    whole.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rules_are_the_sidecars_byte_for_byte_and_the_edge_lists_their_digests() {
    let built = Built::new(&["--pack", "mattermost", "--to", "nowhere"]);
    let spin = load(&built.path(), &KeyValues::default());
    let listed = send(&spin, "GET", RULES, &[], "").await;
    assert_eq!(listed.status, 200, "{}", listed.body);
    let listed: Vec<Value> = serde_json::from_str(&listed.body).unwrap();
    assert_eq!(
        listed.len(),
        10,
        "the mapping and the pack's nine detections"
    );
    for rule in &listed {
        let id = rule["id"].as_str().unwrap();
        let original = std::fs::read(rules().join(format!("{id}.wasm"))).unwrap();
        assert_eq!(built.file(&format!("rules/{id}.wasm")), original, "{id}");
        assert_eq!(
            rule["sha256"],
            sidewatch_edge::listing::digest(&original),
            "{id}"
        );
        assert!(
            built.out.contains(rule["sha256"].as_str().unwrap()),
            "{}",
            built.out
        );
        assert!(
            holds(&spin.composed, &original),
            "{id} is not in the composition as it is"
        );
    }
    let refused = spin
        .send("GET", RULES, &[("x-sidewatch-token", "guess")], "")
        .await
        .unwrap();
    assert_eq!(refused.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirrored_request_becomes_an_event_and_is_answered_without_a_body() {
    let receiver = Receiver::start(204).await;
    let url = receiver.url("/events");
    let built = Built::new(&[
        "--pack",
        "mattermost",
        "--url",
        &url,
        "--status-header",
        "x-original-status",
        "--geo-header",
        "country=x-geo-country",
        "--geo-header",
        "latitude=x-geo-lat",
        "--geo-header",
        "longitude=x-geo-lon",
    ]);
    let store = KeyValues::default();
    let spin = load(&built.path(), &store);
    let headers = [
        (
            "x-original-uri",
            "/api/v4/posts?access_token=canary-query-token",
        ),
        ("x-original-method", "GET"),
        ("x-original-status", "200"),
        ("x-real-ip", "203.0.113.7"),
        ("x-geo-country", "CZ"),
        ("x-geo-lat", "50.08"),
        ("x-geo-lon", "14.42"),
        ("cookie", "MMUSERID=u7x1; MMAUTHTOKEN=canary-session"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        ),
    ];
    let answer = send(&spin, "POST", "/mirror", &headers, "").await;
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    let mut received = Vec::new();
    for _ in 0..200 {
        received.extend(receiver.take());
        if !received.is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    let [request] = received.as_slice() else {
        panic!("one request: {received:#?}");
    };
    assert_eq!(request.path, "/events");
    let event: Value = serde_json::from_str(request.body.trim()).unwrap();
    assert_eq!(event["http"]["response"]["status_code"], 200);
    assert_eq!(event["source"]["ip"], "203.0.113.7");
    assert_eq!(event["source"]["geo"]["location"]["lat"], 50.08);
    assert_eq!(event["source"]["geo"]["country_iso_code"], "CZ");
    assert_eq!(event["user_agent"]["name"], "Firefox");
    assert_eq!(event["url"]["path"], "/api/v4/posts");
    assert_eq!(event["sidewatch"]["source"], "edge");
    assert_eq!(
        event["user"]["id"].as_str().map(str::len),
        Some(32),
        "a hash: {event:#}"
    );
    assert!(!request.body.contains("canary"), "{}", request.body);
    let values = store.values();
    assert!(
        values.keys().any(|key| key.starts_with("user/")),
        "{values:?}"
    );
    assert!(!holds(format!("{values:?}").as_bytes(), b"canary"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_read_and_written_once_however_many_rules_share_it() {
    let built = Built::new(&["--pack", "mattermost", "--to", "nowhere"]);
    let store = KeyValues::default();
    let spin = load(&built.path(), &store);
    let event = r#"{"user.name":"zoe","session.id":"s","source.ip":"203.0.113.7","event.category":["authentication"],
        "event.type":["start"],"event.outcome":"failure","@timestamp":"2026-03-02T08:00:00Z","http.response.status_code":401}"#;
    assert_eq!(post(&spin, event).await.status, 204);
    let (_counts, _keys) = (store.counts(), store.keys_read());
    let later = event.replace("08:00:00", "08:00:20");
    assert_eq!(post(&spin, &later).await.status, 204);
    let (reads, writes, conflicts) = store.counts();
    if integration_tests::spin::is_real() {
        return; // It does not tell.
    }
    let mut keys = store.keys_read();
    assert_eq!(keys.len(), reads);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), reads, "{keys:?}");
    assert!(
        writes <= reads && writes > 0 && conflicts == 0,
        "{writes} writes"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tirreno_gets_its_form_and_a_web_service_its_token() {
    let event = r#"{"user.name":"zoe","source.ip":"203.0.113.7","url.original":"/a","http.request.method":"GET"}"#;
    for (to, path, credential) in [
        ("tirreno", "/sensor/", "receiver-token-01234"),
        ("webhook", "/hook", "Bearer receiver-token-01234"),
        ("sidewatch", "/events", "receiver-token-01234"),
    ] {
        let receiver = Receiver::start(204).await;
        let built = Built::new(&[
            "--to",
            to,
            "--url",
            &receiver.url(path),
            "--only",
            "failed-logins",
        ]);
        let mut surroundings = super::harness::surroundings(&KeyValues::default());
        surroundings.variables.insert(
            "forward_token".to_owned(),
            "receiver-token-01234".to_owned(),
        );
        let spin = integration_tests::Spin::load(&built.path(), &surroundings).unwrap();
        assert_eq!(post(&spin, event).await.status, 204, "{to}");
        let received = receiver.take();
        assert_eq!(received.len(), 1, "{to}: {received:#?}");
        assert_eq!(
            (received[0].path.as_str(), received[0].credential.as_str()),
            (path, credential)
        );
        let wanted = if to == "tirreno" {
            "userName=zoe"
        } else {
            r#""user":{"name":"zoe"}"#
        };
        assert!(received[0].body.contains(wanted), "{}", received[0].body);
    }
}

#[test]
fn the_manifest_asks_for_one_store_and_one_host() {
    let built = Built::new(&["--url", "https://sidewatch.example.org/events"]);
    let text = String::from_utf8(built.file("spin.toml")).unwrap();
    let manifest =
        integration_tests::spin::Manifest::read(&built.path().join("spin.toml")).unwrap();
    assert_eq!(
        manifest.allowed_outbound_hosts,
        ["https://sidewatch.example.org:443"]
    );
    assert_eq!(manifest.key_value_stores, ["default"]);
    for secret in ["token", "pseudonym_key", "hash_key"] {
        assert!(
            text.contains(&format!("{secret} = {{ required = true, secret = true }}")),
            "{text}"
        );
    }
    for never in [
        "inherit_configuration",
        "files",
        "sqlite",
        "ai_models",
        TOKEN,
    ] {
        assert!(!text.contains(never), "{never}: {text}");
    }
}

#[test]
fn an_application_that_was_changed_is_noticed() {
    let built = Built::new(&["--to", "nowhere", "--only", "failed-logins"]);
    let path = built.path();
    let verify = || {
        sidewatch(
            built.directory.path(),
            &["edge", "verify", path.to_str().unwrap()],
            b"",
        )
    };
    assert_eq!(verify().code, 0);
    let manifest = std::fs::read_to_string(path.join("spin.toml")).unwrap();
    let wider = manifest.replace(
        "allowed_outbound_hosts = []",
        "allowed_outbound_hosts = [\"*://*:*\"]",
    );
    assert_ne!(wider, manifest);
    std::fs::write(path.join("spin.toml"), wider).unwrap();
    let ended = verify();
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("spin.toml"), "{}", ended.err);
    std::fs::write(path.join("spin.toml"), manifest).unwrap();
    let rule = path.join("rules/failed-logins.wasm");
    let other = std::fs::read(rules().join("password-spray.wasm")).unwrap();
    std::fs::write(&rule, other).unwrap();
    let ended = verify();
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("failed-logins.wasm"), "{}", ended.err);
}

#[test]
fn rules_of_an_earlier_application_do_not_stay() {
    let built = Built::new(&["--to", "nowhere", "--only", "failed-logins"]);
    let path = built.path();
    let rules = path.join("rules");
    assert!(rules.join("failed-logins.wasm").is_file());
    std::fs::write(rules.join("mine.txt"), "kept").unwrap();
    let edge = super::harness::edge();
    let again = [
        "edge",
        "build",
        "--edge",
        edge.to_str().unwrap(),
        "--to",
        "nowhere",
        "--only",
        "password-spray",
        "--output",
        path.to_str().unwrap(),
    ];
    let ended = sidewatch(built.directory.path(), &again, b"");
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(!rules.join("failed-logins.wasm").exists());
    assert!(rules.join("password-spray.wasm").is_file() && rules.join("mine.txt").is_file());
    let nowhere = [
        "edge",
        "build",
        "--url",
        "",
        "--output",
        path.to_str().unwrap(),
    ];
    let ended = sidewatch(built.directory.path(), &nowhere, b"");
    assert_eq!(
        ended.code, 2,
        "an unset variable is no receiver: {}",
        ended.out
    );
    assert!(ended.err.contains("--url"), "{}", ended.err);
}

#[test]
fn what_spin_would_refuse_is_refused_when_built() {
    let directory = tempfile::tempdir().unwrap();
    let copies = directory.path().join("rules");
    std::fs::create_dir(&copies).unwrap();
    for id in ["event-mapping", "failed-logins"] {
        let name = format!("{id}.wasm");
        std::fs::copy(rules().join(&name), copies.join(&name)).unwrap();
    }
    let edge = edge();
    let build = |arguments: &[&str]| {
        let mut all = vec![
            "edge",
            "build",
            "--edge",
            edge.to_str().unwrap(),
            "--rules",
            copies.to_str().unwrap(),
            "--output",
            "application",
        ];
        all.extend(arguments);
        let ended = sidewatch(directory.path(), &all, b"");
        assert_ne!(ended.code, 0, "{arguments:?}: {}", ended.out);
        ended.err
    };
    let mapping = build(&["--only", "event-mapping", "--to", "nowhere"]);
    assert!(mapping.contains("event-mapping"), "{mapping}");
    let unknown = build(&["--only", "no-such-rule", "--to", "nowhere"]);
    assert!(unknown.contains("no-such-rule"), "{unknown}");
    let url = build(&[
        "--only",
        "failed-logins",
        "--to",
        "webhook",
        "--url",
        "ftp://host/",
    ]);
    assert!(url.contains("ftp://host/"), "{url}");
    assert!(!directory.path().join("application/spin.toml").exists());
    let component = std::fs::read(edge).unwrap();
    let error = sidewatch_edge::trim(&component, 31)
        .unwrap_err()
        .to_string();
    assert!(error.contains("32 linear memories"), "{error}");
}
