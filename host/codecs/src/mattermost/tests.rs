//! Audit records of every version and framing give the same event.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use sidewatch_event::{Activity, Delivery, Event, Field};

use super::*;
use crate::ecs;

static TABLE: LazyLock<Arc<AuditTable>> =
    LazyLock::new(|| Arc::new(AuditTable::built_in().unwrap()));

type Encode = fn(&Delivery, &mut Vec<u8>);
const ENCODERS: [(&str, Encode); 2] = [("ecs", ecs::encode), ("elastic", ecs::encode_elastic)];

fn codec() -> AuditCodec {
    AuditCodec::new(Arc::clone(&TABLE))
}

fn decode(record: &[u8]) -> Result<Event, DecodeError> {
    let mut event = Event::new();
    let plain = record.starts_with(b"audit-");
    codec().with_plain(plain).decode(record, &mut event)?;
    Ok(event)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mattermost")
}

fn log(name: &str) -> Vec<Event> {
    let bytes = std::fs::read(folder().join(name)).unwrap();
    bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| decode(line).unwrap_or_default())
        .filter(|event| event.own(Field::EventDataset).is_some())
        .collect()
}

fn documents(name: &str, encode: Encode) -> String {
    let mut out = Vec::new();
    for mut event in log(name) {
        event.source_ip = event.peer_ip;
        encode(&Delivery::Event(Arc::new(event)), &mut out);
        out.push(b'\n');
    }
    String::from_utf8(out).unwrap()
}

/// `UPDATE_GOLDEN=1 cargo test` writes them anew; read the difference then.
#[test]
fn every_version_gives_the_documents_written_down() {
    let mut wrong = Vec::new();
    for version in [
        "v5.37-flat",
        "v6.3-flat-no-timestamp",
        "v7.2-nested",
        "v10.5-nested",
        "v11.5-nested-level",
        "gelf",
        "syslog",
        "plain",
    ] {
        for (name, encode) in ENCODERS {
            let path = folder().join(format!("{version}.{name}.jsonl"));
            let found = documents(&format!("{version}.log"), encode);
            assert!(
                !found.contains("CANARY"),
                "{version}: a secret or private text came through"
            );
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&path, &found).unwrap();
            }
            let expected = std::fs::read_to_string(&path).unwrap_or_default();
            for (at, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
                if found != expected {
                    wrong.push(format!(
                        "{}:{}\n  found    {found}\n  expected {expected}",
                        path.display(),
                        at + 1
                    ));
                }
            }
            if found.lines().count() != expected.lines().count() {
                wrong.push(format!("{}: another number of records", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a record says, apart from where it came from.
fn essence(event: &Event) -> Vec<(String, String)> {
    let fields = event
        .fields()
        .filter(|(field, _)| !matches!(field, Field::ObserverHostname | Field::SidewatchTrust))
        .map(|(field, text)| (field.name().to_owned(), text.to_owned()));
    let labels = event
        .labels()
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
    let mut all: Vec<_> = fields.chain(labels).collect();
    all.push(("time".into(), event.time.to_string()));
    all.push(("status".into(), event.status.to_string()));
    all.push(("activity".into(), format!("{:?}", event.activity)));
    all.push(("peer".into(), format!("{:?}", event.peer_ip)));
    all.sort();
    all
}

#[test]
fn a_record_is_the_same_event_in_json_gelf_and_behind_syslog() {
    let json = log("v10.5-nested.log");
    assert_eq!(json.len(), 11);
    for transport in ["gelf.log", "syslog.log"] {
        let other = log(transport);
        assert_eq!(other.len(), json.len());
        for (one, two) in json.iter().zip(&other) {
            assert_eq!(essence(one), essence(two), "{transport}");
        }
    }
}

#[test]
fn plain_records_say_the_same_wherever_they_can_and_are_of_low_trust() {
    let json = log("v10.5-nested.log");
    let plain = log("plain.log");
    assert_eq!(plain.len(), json.len());
    for (json, plain) in json.iter().zip(&plain) {
        assert_eq!(plain.get(Field::SidewatchTrust), Some("low"));
        assert_eq!(plain.time, json.time);
        assert_eq!(plain.peer_ip, json.peer_ip);
        for field in [
            Field::EventAction,
            Field::UserId,
            Field::SessionId,
            Field::UserAgentOriginal,
            Field::UrlPath,
        ] {
            // The third is the record a line break tears apart.
            if !plain.truncated || field == Field::EventAction {
                assert_eq!(plain.get(field), json.get(field), "{field:?}");
            }
        }
        if !plain.truncated {
            assert_eq!(
                plain.get(Field::EventOutcome),
                json.get(Field::EventOutcome)
            );
            assert_eq!(plain.get(Field::EventReason), json.get(Field::EventReason));
        }
    }
    assert_eq!(plain.iter().filter(|event| event.truncated).count(), 1);
    assert!(decode(b"forged 401}").is_err());
    // The rest of a torn line can look like JSON.
    let mut forged = Event::new();
    let record = br#"{"event_name":"login","status":"success","actor":{"user_id":"x"}}"#;
    codec()
        .with_plain(true)
        .decode(record, &mut forged)
        .unwrap();
    assert_eq!(forged.get(Field::SidewatchTrust), Some("low"));
    assert!(codec().decode(b"audit-api | [2025-04-30 16:17:42.207 Z] |  | event_name=login status=success actor={", &mut Event::new()).is_err());
}

#[test]
fn kinds_of_login_failure_come_from_the_stable_texts() {
    let reason = |place: &str, status: u16| {
        let record = format!(
            r#"{{"timestamp":"2025-04-30 16:17:40.207 Z","event_name":"login","status":"fail","actor":{{"ip_address":"192.0.2.1"}},"event":{{"parameters":{{"login_id":"zoe"}}}},"error":{{"description":"{place}: Texte de serveur., user_id=a1iceffgh8jkmcpqxot1uwisza","status_code":{status}}}}}"#
        );
        let event = decode(record.as_bytes()).unwrap();
        (
            event.get(Field::EventReason).unwrap_or("-").to_owned(),
            event.activity,
        )
    };
    for (place, status, expected, activity) in [
        ("CheckUserMfa", 400, "mfa-required", Activity::MfaPrompt),
        ("checkUserMfa", 401, "wrong-mfa-code", Activity::MfaFailure),
        (
            "checkUserPassword",
            401,
            "wrong-password",
            Activity::LoginFailure,
        ),
        (
            "GetUserForLogin",
            400,
            "unknown-account",
            Activity::LoginFailure,
        ),
        (
            "AuthenticateUserForLogin",
            400,
            "blank-password",
            Activity::LoginFailure,
        ),
        (
            "checkUserLoginAttempts",
            401,
            "account-locked",
            Activity::LoginFailure,
        ),
        ("Login", 401, "account-deactivated", Activity::LoginFailure),
        ("login", 400, "wrong-auth-service", Activity::LoginFailure),
        (
            "Permissions",
            403,
            "permission-denied",
            Activity::LoginFailure,
        ),
        ("SomethingNew", 500, "-", Activity::LoginFailure),
    ] {
        assert_eq!(
            reason(place, status),
            (expected.to_owned(), activity),
            "{place}"
        );
    }
}

#[test]
fn a_second_factor_prompt_is_no_failure() {
    let event = &log("v10.5-nested.log")[0];
    assert_eq!(event.get(Field::EventOutcome), Some("unknown"));
    assert_eq!(event.activity, Activity::MfaPrompt);
    assert_eq!(event.get(Field::EventCode), Some("mfa-prompt"));
}

#[test]
fn a_target_written_over_the_actor_stays_a_target() {
    let old = log("v5.37-flat.log");
    let revoked = old
        .iter()
        .find(|event| event.get(Field::EventAction) == Some("revokeAllSessionsForUser"))
        .unwrap();
    assert_eq!(revoked.get(Field::UserId), None);
    assert_eq!(
        revoked.get(Field::UserTargetId),
        Some("bobbybffgh8jkmcpqxot1uwisz")
    );
    assert_eq!(revoked.time, 1_622_527_203_001);
    let twice = &log("v6.3-flat-no-timestamp.log")[0];
    assert_eq!(twice.get(Field::UserId), Some("rootyrffgh8jkmcpqxot1uwisz"));
    assert_eq!(
        twice.get(Field::UserTargetId),
        Some("bobbybffgh8jkmcpqxot1uwisz")
    );
    assert_eq!(twice.time, 0);
}

#[test]
fn what_sensitive_records_come_down_to() {
    let codes: Vec<_> = log("v11.5-nested-level.log")
        .iter()
        .map(|event| event.get(Field::EventCode).unwrap_or("-").to_owned())
        .collect();
    assert_eq!(
        codes,
        [
            "mfa-prompt",
            "login",
            "login-failed",
            "login-failed",
            "mfa-removed-by-another",
            "admin-granted",
            "token-created",
            "security-settings-changed",
            "permission-denied",
            "create-team",
            "logout",
            "-",
            "session-revoked",
        ]
    );
}

#[test]
fn unknown_events_are_kept_and_not_guessed() {
    let event = &log("v11.5-nested-level.log")[11];
    assert_eq!(
        event.get(Field::EventAction),
        Some("plugin_playbooks_runFinished")
    );
    assert_eq!(event.get(Field::EventCategory), None);
    assert_eq!(event.get(Field::EventType), Some("info"));
    assert_eq!(event.label("mattermost.audit.parameters.run"), Some("r1"));
    assert_eq!(event.label("mattermost.audit.level"), Some("audit-content"));
}

#[test]
fn levels_are_derived_when_absent() {
    let level = |name: &str, at: usize| {
        log(name)[at]
            .label("mattermost.audit.level")
            .unwrap()
            .to_owned()
    };
    assert_eq!(level("v10.5-nested.log", 8), "audit-permissions");
    assert_eq!(level("v7.2-nested.log", 10), "audit-content");
    assert_eq!(level("v5.37-flat.log", 8), "audit-cli");
    assert_eq!(level("v10.5-nested.log", 1), "audit-api");
}

#[test]
fn the_original_is_kept_on_request_and_without_secrets() {
    let line = std::fs::read_to_string(folder().join("v5.37-flat.log")).unwrap();
    let reset = line.lines().nth(4).unwrap();
    assert!(reset.contains("CANARY"));
    let mut event = Event::new();
    codec()
        .with_original(true)
        .decode(reset.as_bytes(), &mut event)
        .unwrap();
    let original = event.get(Field::EventOriginal).unwrap();
    assert_eq!(
        original,
        reset.replace("CANARYresettoken0123456789", "REDACTED")
    );
    let plain = line.lines().next().unwrap();
    codec()
        .with_original(true)
        .decode(plain.as_bytes(), &mut event)
        .unwrap();
    assert_eq!(event.get(Field::EventOriginal), Some(plain));
}

#[test]
fn access_lines_and_audit_records_are_told_apart() {
    let either = AuditOrAccess::new(
        codec(),
        LogFormat::preset("combined")
            .unwrap()
            .with_dataset("mattermost.access"),
    );
    let dataset = |line: &str| {
        let mut event = Event::new();
        either
            .decode(line.as_bytes(), &mut event)
            .map(|()| event.get(Field::EventDataset).unwrap().to_owned())
    };
    let access =
        r#"192.0.2.1 - - [21/Nov/2026:01:02:03 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8""#;
    assert_eq!(dataset(access).unwrap(), "mattermost.access");
    assert_eq!(
        dataset(r#"{"event_name":"login","status":"success"}"#).unwrap(),
        "mattermost.audit"
    );
    assert_eq!(dataset(r#"{"remote_addr":"192.0.2.1","request":"GET / HTTP/1.1","status":"200","time_iso8601":"2026-11-21T01:02:03+00:00"}"#).unwrap(), "mattermost.access");
    assert!(dataset(r#"{"event_name":"login""#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_record_panics_or_lets_a_secret_through(
        name in prop::sample::select(vec!["login", "resetPassword", "x", "createPost", "updateUserMfa"]),
        key in prop::sample::select(vec!["token", "password", "new_password", "invite_id", "message", "auth_token"]),
        place in prop::sample::select(vec!["", "event.parameters.", "meta.", "event.parameters.user.", "patch."]),
        text in "\\PC{0,20}",
    ) {
        let mut value = serde_json::json!({"event_name": name, "status": "success"});
        let mut slot = &mut value;
        let path = format!("{place}{key}");
        for part in path.split('.') {
            slot = &mut slot[part];
        }
        *slot = serde_json::json!(format!("CANARY{text}"));
        let mut event = Event::new();
        codec().with_original(true).decode(value.to_string().as_bytes(), &mut event).unwrap();
        let mut out = Vec::new();
        event.source_ip = event.peer_ip;
        ecs::encode(&Delivery::Event(Arc::new(event)), &mut out);
        prop_assert!(!String::from_utf8(out).unwrap().contains("CANARY"));
    }

    #[test]
    fn any_bytes_give_an_event_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200), head in prop::sample::select(vec!["", "{", "{\"event_name\":\"login\",", "audit-api [x] event_name=a status=b actor={", "<6> "])) {
        let mut record = head.as_bytes().to_vec();
        record.extend(bytes);
        if let Ok(event) = decode(&record) {
            for encode in [ecs::encode, ecs::encode_elastic] {
                let mut out = Vec::new();
                encode(&Delivery::Event(Arc::new(event.clone())), &mut out);
                let document: serde_json::Value = serde_json::from_slice(&out).unwrap();
                prop_assert!(document.is_object());
                prop_assert!(!out.contains(&b'\n'));
            }
        }
    }

    #[test]
    fn names_tried_at_a_login_come_back_as_they_were(login in "\\PC{1,40}") {
        let record = serde_json::json!({
            "event_name": "login", "status": "fail", "actor": {"ip_address": "192.0.2.1"},
            "event": {"parameters": {"login_id": login}}, "error": {"description": "checkUserPassword: no", "status_code": 401},
        });
        let event = decode(record.to_string().as_bytes()).unwrap();
        let field = if login.contains('@') { Field::UserEmail } else { Field::UserName };
        prop_assert_eq!(event.get(field), Some(&*login));
        prop_assert_eq!(event.activity, Activity::LoginFailure);
    }
}
