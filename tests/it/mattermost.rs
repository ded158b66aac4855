//! Mattermost from both sides: a real nginx with our snippet before a stub of
//! its API, and its audit log being written, rotated and packed.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use integration_tests::{Nginx, Rsyslog, Sidecar, Tirreno, until};
use serde_json::{Value, json};
use sidewatch_codecs::cef;

/// What must not be found anywhere.
const CANARIES: [&str; 8] = [
    "canary-session-cookie-1a",
    "canary-user-cookie-2b",
    "canary-password-3c",
    "canary-reset-token-4d",
    "canary-bearer-5e",
    "canary-what-somebody-wrote-6f",
    "canary-other-cookie-7a",
    "canary-plugin-secret-8b",
];

const BROWSER: &str =
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

/// Mattermost's side of the log: one file, rotated as it does it.
struct AuditLog(PathBuf);

impl AuditLog {
    fn write(&self, record: &Value) {
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.0)
            .unwrap();
        file.write_all(format!("{record}\n").as_bytes()).unwrap();
    }

    /// Renamed first, packed and deleted a moment later.
    fn rotate(&self) {
        let rotated = self.0.with_file_name("audit-2026-11-21T01-02-03.000.log");
        std::fs::rename(&self.0, &rotated).unwrap();
        let packed = std::fs::File::create(rotated.with_extension("log.gz")).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        encoder
            .write_all(&std::fs::read(&rotated).unwrap())
            .unwrap();
        encoder.finish().unwrap();
        std::fs::remove_file(rotated).unwrap();
    }
}

fn record(name: &str, actor: &str, parameters: &Value, state: &Value) -> Value {
    let time = chrono::Utc::now()
        .format("%Y-%m-%d %H:%M:%S%.3f Z")
        .to_string();
    json!({
        "timestamp": time, "event_name": name, "status": "success",
        "actor": {"user_id": actor, "session_id": "sess1onfgh8jkmcpqxot1uwisz", "client": "mmctl/10.5.0 (linux)", "ip_address": "203.0.113.7", "x_forwarded_for": ""},
        "event": {"parameters": parameters, "prior_state": {}, "resulting_state": state, "object_type": ""},
        "meta": {"api_path": "/api/v4/users/x", "cluster_id": "c1"}, "error": {},
    })
}

fn sidecar(directory: &Path, log: &Path, tirreno: &Tirreno, rsyslog: &Rsyslog) -> Sidecar {
    let sink = tirreno.sink();
    let socket = directory.join("mirror.sock");
    let (documents, plain) = (directory.join("ecs.json"), directory.join("plain.log"));
    let tcp = rsyslog.tcp;
    // A receiver that refuses everything fills the dead letters.
    let (before, _) = sink.split_once("api_key = ").unwrap();
    let refused =
        format!("{before}api_key = \"00000000000000000000000000000000\"\npage_views = \"all\"");
    Sidecar::in_directory(directory)
        .source("mirror", &format!("type = \"mirror\"\npack = \"mattermost\"\nsocket = {socket:?}"))
        .source("access", "type = \"syslog\"\npack = \"mattermost\"\nformat = \"json\"\nudp = \"127.0.0.1:0\"")
        .source("audit", &format!("type = \"file\"\npack = \"mattermost\"\nformat = \"mattermost-audit\"\nkeep_original = true\npaths = [{log:?}]"))
        // A busy machine must not make an honest rule miss its deadline.
        .section("[[rules]]\nid = \"sensitive-actions\"\nlimits = { frame_milliseconds = 250 }")
        .sink("tirreno", &sink)
        .sink("refused", &refused)
        .sink("ecs", &format!("type = \"file\"\npath = {documents:?}\nformat = \"ecs\""))
        .sink("plain", &format!("type = \"file\"\npath = {plain:?}\nformat = \"plain\"\nfilter = {{ levels = [\"audit-permissions\"], fields = {{ \"event.dataset\" = [\"mattermost.audit\"] }} }}"))
        .sink("siem", &format!("type = \"syslog\"\ntransport = \"tcp\"\naddress = \"{tcp}\"\nfilter = {{ findings_only = true }}"))
        .start()
}

/// The first document for which `wanted` holds.
fn document(directory: &Path, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    until(what, || {
        let text = std::fs::read_to_string(directory.join("ecs.json")).unwrap_or_default();
        let whole = text
            .rfind('\n')
            .and_then(|end| text.get(..end))
            .unwrap_or_default();
        whole
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .find(&wanted)
    })
}

fn action(name: &str) -> impl Fn(&Value) -> bool {
    move |document| document["event"]["kind"] == "event" && document["event"]["action"] == name
}

/// What a browser sends that is signed in as alice, and one that is refused.
fn browse(directory: &Path, nginx: &Nginx) {
    let cookies = format!(
        "Cookie: MMUSERID={}; MMAUTHTOKEN={}; other={}",
        CANARIES[1], CANARIES[0], CANARIES[6]
    );
    let bearer = format!("Authorization: Bearer {}", CANARIES[4]);
    let answer = nginx
        .client()
        .send("GET /api/v4/users/me", &[&cookies, &bearer, BROWSER], "");
    assert_eq!(answer.status, 200);
    let request = document(directory, "the request", action("api-read"));
    assert_eq!(request["user"]["name"], "alice", "{request:#}");
    let answer = nginx
        .client()
        .send("GET /api/v4/websocket", &[&cookies, BROWSER], "");
    assert_eq!(answer.status, 200);
    document(directory, "presence", action("presence"));
    let body = format!(r#"{{"login_id":"alice","password":"{}"}}"#, CANARIES[2]);
    let refused = nginx.client().send(
        "POST /api/v4/users/login",
        &[
            "Content-Type: application/json",
            BROWSER,
            "X-Outcome: refused",
        ],
        &body,
    );
    assert_eq!(refused.status, 401);
    document(directory, "the refused login", |document| {
        document["event"]["code"] == "login-failed"
            && document["event"]["dataset"] == "mattermost.access"
    });
}

/// What the server writes meanwhile.
fn administer(directory: &Path, log: &AuditLog) {
    // Written, rotated and packed while it is read.
    let post = json!({"post": {"channel_id": "c", "message": CANARIES[5]}});
    log.write(&record("createPost", "rootid", &post, &json!({})));
    log.rotate();
    let bob = json!({"id": "bobid", "username": "bob", "roles": "system_user system_admin"});
    log.write(&record(
        "updateUserRoles",
        "rootid",
        &json!({"roles": "system_user system_admin", "user_id": "bobid"}),
        &bob,
    ));
    log.write(&json!({
        "timestamp": "2021-06-01 08:00:04.001 Z", "event": "resetPassword", "status": "success", "user_id": "", "session_id": "",
        "ip_address": "203.0.113.7", "api_path": "/api/v4/users/password/reset", "token": CANARIES[3], "cluster_id": "c1", "client": "x",
    }));
    log.write(&record(
        "plugin_x",
        "rootid",
        &json!({"api_secret": CANARIES[7]}),
        &json!({}),
    ));
    let mut denied = record("deletePost", "rootid", &json!({}), &json!({}));
    denied["status"] = json!("fail");
    denied["error"] = json!({"description": "Permissions: You may not., userId=rootid, permission=delete_others_posts", "status_code": 403});
    log.write(&denied);
    for name in [
        "createPost",
        "updateUserRoles",
        "resetPassword",
        "plugin_x",
        "deletePost",
    ] {
        document(directory, name, action(name));
    }
}

#[test]
fn both_sides_of_mattermost_meet_and_no_secret_stays() {
    let (directory, server) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = AuditLog(server.path().join("audit.log"));
    let (tirreno, rsyslog) = (Tirreno::start(), Rsyslog::start(directory.path()));
    let alice = json!({"id": CANARIES[1], "username": "alice", "email": "alice@example.org", "roles": "system_user"});
    log.write(&record(
        "login",
        CANARIES[1],
        &json!({"login_id": "alice"}),
        &alice,
    ));
    let sidecar = sidecar(directory.path(), &log.0, &tirreno, &rsyslog);
    let nginx = Nginx::in_directory(directory.path())
        .syslog_to(sidecar.address("access"))
        .start();

    // The audit log tells who she is, so the mirrored request has her name.
    let login = document(directory.path(), "the login", action("login"));
    assert_eq!(login["user"]["name"], "alice");
    browse(directory.path(), &nginx);
    administer(directory.path(), &log);
    arrives(&tirreno, &rsyslog, directory.path());
    let metrics = sidecar.settled();
    assert_eq!(metrics.source("audit", "rejected"), 0);
    assert_eq!(metrics.source("audit", "received"), 6);
    assert!(metrics.sink("plain", "filtered") > 0);
    let page = sidecar.get("/metrics").body
        + &sidecar.get("/readyz").body
        + &dead_letters(directory.path());
    let stored = format!("{:?}", tirreno.records());
    drop(nginx);
    assert!(sidecar.stop().success());
    // Her identifier is in the audit log in clear, and so in its documents;
    // that it comes from a cookie, too, makes it no secret there.
    for canary in CANARIES.iter().filter(|canary| **canary != CANARIES[1]) {
        assert!(
            !page.contains(canary),
            "{canary} in metrics or dead letters"
        );
        assert!(!stored.contains(canary), "{canary} in tirreno");
        assert_eq!(files_holding(directory.path(), canary), [""; 0], "{canary}");
    }
    let text = std::fs::read_to_string(directory.path().join("ecs.json")).unwrap();
    for line in text
        .lines()
        .filter(|line| line.contains("mattermost.access"))
    {
        assert!(!line.contains(CANARIES[1]), "a cookie in clear: {line}");
    }
}

/// Every dead letter as its verb shows it.
fn dead_letters(directory: &Path) -> String {
    let config = directory.join("sidewatch.toml");
    let config = config.to_str().unwrap();
    let run = |arguments: &[&str]| integration_tests::sidewatch(directory, arguments, b"").out;
    let listed = run(&["dlq", "ls", config]);
    let letters = listed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let shown: Vec<String> = letters
        .map(|letter| run(&["dlq", "show", config, letter]))
        .collect();
    assert!(shown.len() > 4, "{listed}");
    let shown = shown.concat();
    assert!(shown.contains("/api/v4/users/login"), "{shown}");
    shown
}

/// The finding is everywhere it should be, with its evidence.
fn arrives(tirreno: &Tirreno, rsyslog: &Rsyslog, directory: &Path) {
    let alert = document(directory, "the finding as a document", |document| {
        document["rule"]["name"] == "admin-granted"
    });
    assert_eq!(alert["event"]["kind"], "alert");
    assert_eq!(alert["sidewatch"]["finding"]["evidence"]["target"], "bobid");
    let messages = until("the finding at rsyslog", || {
        let messages = rsyslog.messages("imtcp");
        messages
            .iter()
            .any(|message| message.text.contains("admin-granted"))
            .then_some(messages)
    });
    let message = messages
        .iter()
        .find(|message| message.text.contains("admin-granted"))
        .unwrap();
    let record = cef::decode(&message.text).unwrap();
    assert!(record.severity.parse::<u8>().unwrap() >= 8, "{record:#?}");
    until("the finding at tirreno", || {
        tirreno
            .records()
            .iter()
            .any(|record| record.panel().join("\n").contains("admin-granted"))
            .then_some(())
    });
    let plain = until("the refused permission", || {
        let text = std::fs::read_to_string(directory.join("plain.log")).unwrap_or_default();
        text.contains('\n').then_some(text)
    });
    let events: Vec<&str> = plain
        .lines()
        .filter(|line| !line.contains(" finding="))
        .collect();
    assert_eq!(events.len(), 1, "{plain}");
    assert!(events[0].contains(" event.action=deletePost "), "{plain}");
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
                let holds = content
                    .windows(text.len())
                    .any(|part| part == text.as_bytes());
                if holds {
                    found.push(path.display().to_string());
                }
            }
        }
    }
    found
}
