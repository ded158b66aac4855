//! Mirrored requests and access-log lines through a real nginx.

use std::path::Path;

use integration_tests::nginx::SENSOR_KEY;
use integration_tests::{Nginx, Sidecar, until};
use serde_json::Value;

/// What must not be found anywhere.
const CANARIES: [&str; 5] = [
    "canary-session-7f3a",
    "canary-other-cookie-91bc",
    "canary-bearer-5d20",
    "canary-query-token-aa17",
    "canary-password-0c4e",
];

const BROWSER: &str =
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// Mirror on a unix socket and access log by syslog, all events to a file.
fn sidecar(directory: &Path) -> Sidecar {
    let socket = directory.join("mirror.sock");
    Sidecar::in_directory(directory)
        .source("mirror", &format!("type = \"mirror\"\npack = \"mattermost\"\nsocket = {socket:?}\nsensor_keys = [\"{SENSOR_KEY}\"]"))
        .source("access", "type = \"syslog\"\npack = \"mattermost\"\nformat = \"json\"\nudp = \"127.0.0.1:0\"")
        .json_file("events")
        .start()
}

fn events(sidecar: &Sidecar, count: usize) -> Vec<Value> {
    let lines = until(&format!("{count} events in the file"), || {
        let lines = sidecar.lines("events");
        (lines.len() >= count).then_some(lines)
    });
    assert_eq!(lines.len(), count, "{lines:#?}");
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Every file below a directory that holds the text.
fn files_holding(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let (path, kind) = (entry.path(), entry.file_type().unwrap());
            if kind.is_dir() {
                directories.push(path);
            } else if kind.is_file() {
                let content = std::fs::read(&path).unwrap();
                if content
                    .windows(text.len())
                    .any(|part| part == text.as_bytes())
                {
                    found.push(path.display().to_string());
                }
            }
        }
    }
    found
}

#[test]
fn a_request_and_its_log_line_become_one_event_and_no_secret_stays() {
    let directory = tempfile::tempdir().unwrap();
    let sidecar = sidecar(directory.path());
    let nginx = Nginx::in_directory(directory.path())
        .syslog_to(sidecar.address("access"))
        .start();
    let cookies = format!(
        "Cookie: MMUSERID=u7x1; MMAUTHTOKEN={}; other={}",
        CANARIES[0], CANARIES[1]
    );
    let bearer = format!("Authorization: Bearer {}", CANARIES[2]);
    let target = format!(
        "GET /api/v4/posts?access_token={}&page=2&password={}",
        CANARIES[3], CANARIES[4]
    );
    let answer = nginx
        .client()
        .send(&target, &[&cookies, &bearer, BROWSER], "");
    assert_eq!((answer.status, answer.body.as_str()), (200, "fine"));
    let refused = nginx.client().send(
        "POST /api/v4/users/login",
        &[&cookies, BROWSER, "X-Outcome: refused"],
        "",
    );
    assert_eq!(refused.status, 401);

    let events = events(&sidecar, 2);
    let (view, login) = if events[0]["url"]["path"] == "/api/v4/posts" {
        (&events[0], &events[1])
    } else {
        (&events[1], &events[0])
    };
    let user = view["user"]["id"]
        .as_str()
        .expect("the cookie gives the user");
    assert!(
        user.len() == 32 && user.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "a hash: {user}"
    );
    let session = view["session"]["id"]
        .as_str()
        .expect("the cookie gives the session");
    assert!(
        session.len() == 32 && session.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "a hash: {session}"
    );
    assert_eq!(
        login["session"]["id"], *session,
        "the same cookie gives the same hash"
    );
    assert_eq!(
        view["http"]["response"]["status_code"], 200,
        "the log gives the status"
    );
    assert_eq!(login["http"]["response"]["status_code"], 401);
    assert_eq!(login["event"]["action"], "login");
    assert_eq!(login["event"]["outcome"], "failure");
    assert_eq!(
        view["client"]["ip"]
            .as_str()
            .or(view["source"]["ip"].as_str()),
        Some("127.0.0.1")
    );

    let metrics = sidecar.settled();
    assert_eq!(
        (metrics.events("joined"), metrics.events("forwarded")),
        (2, 2)
    );
    let page = sidecar.get("/metrics").body + &sidecar.get("/readyz").body;
    for canary in CANARIES {
        assert!(!page.contains(canary), "{canary} in the metrics");
    }
    drop(nginx);
    assert!(sidecar.stop().success());
    // nginx keeps nothing: its own log goes to us, its errors are none.
    for canary in CANARIES {
        assert_eq!(files_holding(directory.path(), canary), [""; 0], "{canary}");
    }
}

#[test]
fn the_published_tutorial_works_with_only_the_address_changed() {
    let directory = tempfile::tempdir().unwrap();
    let sidecar = sidecar(directory.path());
    let nginx = Nginx::in_directory(directory.path()).start();
    // Basic authentication is where the tutorial has its user from.
    let answer = nginx.client().send(
        "GET /tutorial/page?a=b",
        &[
            "Authorization: Basic YWxpY2U6c2VjcmV0",
            BROWSER,
            "Referer: http://app.example/",
        ],
        "",
    );
    assert_eq!(answer.status, 200);
    let event = events(&sidecar, 1).remove(0);
    assert_eq!(event["user"]["name"], "alice");
    assert_eq!(event["url"]["path"], "/tutorial/page");
    assert_eq!(event["http"]["request"]["method"], "GET");
    assert_eq!(event["source"]["ip"], "127.0.0.1");
    assert!(
        event["user_agent"]["original"]
            .as_str()
            .unwrap()
            .contains("Firefox")
    );
    let metrics = sidecar.settled();
    assert_eq!(
        (
            metrics.source("mirror", "rejected"),
            metrics.source("mirror", "unauthenticated")
        ),
        (0, 0)
    );
}

#[test]
fn our_snippet_cannot_be_made_to_store_an_event_of_somebody_else() {
    let directory = tempfile::tempdir().unwrap();
    let sidecar = sidecar(directory.path());
    let nginx = Nginx::in_directory(directory.path())
        .syslog_to(sidecar.address("access"))
        .start();
    let injection = "?x=1&userName=victim&eventType=account_login";
    let answer = nginx.client().send(
        &format!("GET /page{injection}"),
        &[
            "User-Agent: any&userName=victim&eventType=account_password_change",
            "X-Original-URI: /api/v4/users/login",
            "X-Original-Method: POST",
            "X-Real-IP: 203.0.113.9",
            "X-Request-Id: forged",
            "X-Sidewatch-Token: forged",
        ],
        "",
    );
    assert_eq!(answer.status, 200);
    let event = events(&sidecar, 1).remove(0);
    assert_eq!(event["user"], Value::Null, "{event:#}");
    assert_eq!(event["event"]["action"], "page-view", "{event:#}");
    assert_eq!(event["url"]["path"], "/page");
    assert_eq!(event["source"]["ip"], "127.0.0.1");
    assert_ne!(event["http"]["request"]["id"], "forged");
    assert_eq!(sidecar.settled().events("forwarded"), 1);
}
