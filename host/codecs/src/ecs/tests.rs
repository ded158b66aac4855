//! ECS documents, our own and in the form of the integration they replace.

use std::sync::Arc;

use sidewatch_event::{Delivery, Event};

use super::*;
use crate::mattermost::{AuditCodec, AuditTable};
use crate::{Decoder as _, testing};

fn document(delivery: &Delivery) -> serde_json::Value {
    let mut out = Vec::new();
    encode(delivery, &mut out);
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn events_of_any_source_keep_to_the_schema() {
    let mut event = testing::event();
    event.set(Field::UserAgentOsName, "Windows");
    event.set(Field::UserAgentOsVersion, "10");
    let value = document(&Delivery::Event(event.into()));
    assert_eq!(value["ecs"]["version"], VERSION);
    assert_eq!(value["event"]["module"], "nginx");
    assert_eq!(
        value["event"]["category"],
        serde_json::json!(["authentication", "session"])
    );
    assert_eq!(value["related"]["user"], serde_json::json!(["zoë", "u1"]));
    assert_eq!(value["related"]["ip"], serde_json::json!(["203.0.113.7"]));
    assert_eq!(value["user_agent"]["os"]["full"], "Windows 10");
    assert_eq!(value["user_agent"]["device"]["name"], "Other");
    assert_eq!(value["labels"]["choice"], "approve");
    assert_eq!(value["source"]["address"], "203.0.113.7");
    assert_eq!(value["sidewatch"]["session"]["id"], "5e55");
    assert!(value.get("session").is_none());
}

#[test]
fn findings_are_alerts() {
    let value = document(&Delivery::Finding(testing::finding().into()));
    assert_eq!(value["event"]["kind"], "alert");
    assert_eq!(
        value["threat"]["technique"]["id"],
        serde_json::json!(["T1078"])
    );
    assert_eq!(value["rule"]["id"], "impossible-travel");
    assert_eq!(value["related"]["user"], serde_json::json!(["zoë", "u1"]));
}

#[test]
fn a_name_cannot_be_a_value_and_an_object() {
    let mut event = Event::new();
    event.set_label("mattermost.audit.meta.a", "1");
    event.set_label("mattermost.audit.meta.a.b", "2");
    let value = document(&Delivery::Event(event.into()));
    assert_eq!(value["mattermost"]["audit"]["meta"]["a"]["b"], "2");
}

#[test]
fn lists_of_errors_are_read_as_elastic_reads_them() {
    assert_eq!(
        errors("[first failed, second, failed too]"),
        ["first failed", "second", "failed too"]
    );
    assert_eq!(errors("[one,two, ]"), ["one,two"]);
}

/// Flat records of every shape the integration maps, and what its steps come
/// to when done by hand: worked out from the mapping table, not by this code.
#[test]
fn flat_records_become_what_the_integration_makes_of_them() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mattermost");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let codec = AuditCodec::new(Arc::new(AuditTable::built_in().unwrap()));
    let (records, expected) = (
        read("elastic-flat.log"),
        read("elastic-flat.expected.jsonl"),
    );
    assert_eq!(records.lines().count(), expected.lines().count());
    for (record, expected) in records.lines().zip(expected.lines()) {
        let mut event = Event::new();
        codec.decode(record.as_bytes(), &mut event).unwrap();
        event.source_ip = event.peer_ip;
        let mut out = Vec::new();
        encode_elastic(&Delivery::Event(Arc::new(event)), &mut out);
        let found: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
        assert_eq!(found, expected, "{record}");
    }
}

/// The example of Elastic's documentation, from its `event.original`: every
/// field but those of agent and host.
#[test]
fn the_example_of_elastics_documentation_is_reproduced() {
    let agent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0.4664.45 Safari/537.36";
    let original = format!(
        r#"{{"timestamp":"2021-12-04 23:19:32.051 Z","event":"updateConfig","status":"success","user_id":"ag99yu4i1if63jrui63tsmq57y","session_id":"pjh4n69j3p883k7hhzippskcba","ip_address":"172.19.0.1","api_path":"/api/v4/config","cluster_id":"jq3utry71f8a7q9qgebmjccf4r","client":"{agent}"}}"#
    );
    let table = Arc::new(AuditTable::built_in().unwrap());
    let mut event = Event::new();
    AuditCodec::new(table)
        .with_original(true)
        .decode(original.as_bytes(), &mut event)
        .unwrap();
    // What enrichment adds.
    event.source_ip = event.peer_ip;
    event.received = 1_638_977_273_000;
    for (field, text) in [
        (Field::UserAgentName, "Chrome"),
        (Field::UserAgentVersion, "96.0.4664.45"),
        (Field::UserAgentOsName, "Windows"),
        (Field::UserAgentOsVersion, "10"),
        (Field::LogFilePath, "/tmp/service_logs/audit.log"),
    ] {
        event.set(field, text);
    }
    let mut out = Vec::new();
    encode_elastic(&Delivery::Event(Arc::new(event)), &mut out);
    let found: serde_json::Value = serde_json::from_slice(&out).unwrap();
    let expected = serde_json::json!({
        "@timestamp": "2021-12-04T23:19:32.051Z",
        "ecs": {"version": "8.11.0"},
        "event": {
            "action": "updateConfig", "category": ["configuration"], "dataset": "mattermost.audit",
            "ingested": "2021-12-08T15:27:53.000Z", "kind": "event", "original": original,
            "outcome": "success", "type": ["change"],
        },
        "log": {"file": {"path": "/tmp/service_logs/audit.log"}},
        "mattermost": {"audit": {
            "api_path": "/api/v4/config",
            "cluster": {"id": "jq3utry71f8a7q9qgebmjccf4r"},
            "session": {"id": "pjh4n69j3p883k7hhzippskcba"},
        }},
        "related": {"ip": ["172.19.0.1"], "user": ["ag99yu4i1if63jrui63tsmq57y"]},
        "source": {"address": "172.19.0.1", "ip": "172.19.0.1"},
        "tags": ["mattermost-audit", "preserve_original_event"],
        "url": {"original": "/api/v4/config", "path": "/api/v4/config"},
        "user": {"id": "ag99yu4i1if63jrui63tsmq57y"},
        "user_agent": {
            "device": {"name": "Other"}, "name": "Chrome", "original": agent,
            "os": {"full": "Windows 10", "name": "Windows", "version": "10"}, "version": "96.0.4664.45",
        },
    });
    assert_eq!(found, expected);
}
