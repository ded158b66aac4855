//! One line of JSON with nested ECS objects.
//!
//! Every text is escaped so that the line holds no line end, control or
//! bidirectional character of any kind; escapes are lossless.

mod read;

use sidewatch_event::{Activity, Delivery, Event, Field, Finding, NetworkKind};

pub use read::decode;

use crate::document::{Entries, Value, write_nested};

/// Appends one JSON object on one line, without a line end.
pub fn encode(delivery: &Delivery, out: &mut Vec<u8>) {
    let mut entries = Entries::with_capacity(64);
    match delivery {
        Delivery::Event(event) => {
            let kind = event.get(Field::EventKind).unwrap_or("event");
            entries.push(("event.kind", Value::Text(kind)));
            entries.push(("event.id", Value::Id(event.id)));
            entries.push((
                "@timestamp",
                Value::Time(if event.time == 0 {
                    event.received
                } else {
                    event.time
                }),
            ));
            add_fields(event, &mut entries, |field| field != Field::EventKind);
            if event.suppressed {
                entries.push(("sidewatch.suppressed", Value::True));
            }
            if event.severity.is_some() || delivery.severity() > 0 {
                entries.push((
                    "event.severity",
                    Value::Unsigned(delivery.severity().into()),
                ));
            }
            add_numbers(event, &mut entries);
        }
        Delivery::Finding(finding) => add_finding(finding, &mut entries),
    }
    entries.sort_unstable_by_key(|(name, _)| *name);
    let mut text = String::with_capacity(1024);
    write_nested(&entries, &mut text);
    out.extend_from_slice(text.as_bytes());
}

fn add_fields<'a>(event: &'a Event, entries: &mut Entries<'a>, wanted: impl Fn(Field) -> bool) {
    for (field, text) in event.fields() {
        if wanted(field) && !text.is_empty() {
            let value = if field.is_list() {
                Value::List(text)
            } else {
                Value::Text(text)
            };
            entries.push((field.name(), value));
        }
    }
}

pub(crate) fn add_numbers<'a>(event: &'a Event, entries: &mut Entries<'a>) {
    let numbers = [
        ("http.response.status_code", u64::from(event.status)),
        ("source.port", event.source_port.into()),
        ("server.port", event.server_port.into()),
        ("source.as.number", event.as_number.into()),
    ];
    entries.extend(
        numbers
            .into_iter()
            .filter(|(_, number)| *number > 0)
            .map(|(name, n)| (name, Value::Unsigned(n))),
    );
    if let Some(bytes) = event.response_bytes {
        entries.push(("http.response.body.bytes", Value::Unsigned(bytes)));
    }
    if event.received != 0 {
        entries.push(("event.ingested", Value::Time(event.received)));
    }
    if let Some(address) = event.source_ip {
        entries.push(("source.ip", Value::Address(address)));
    }
    if let Some(address) = event.peer_ip {
        entries.push(("sidewatch.peer_ip", Value::Address(address)));
    }
    if let Some(place) = event.location {
        entries.push((
            "source.geo.location",
            Value::Point(place.latitude, place.longitude),
        ));
        entries.push((
            "sidewatch.accuracy_km",
            Value::Real(place.accuracy_km.into()),
        ));
    }
    if event.network_kind != NetworkKind::Unknown {
        entries.push((
            "sidewatch.network_kind",
            Value::Text(event.network_kind.as_str()),
        ));
    }
    if event.activity != Activity::Other {
        entries.push((
            "sidewatch.activity",
            Value::Text(activity_name(event.activity)),
        ));
    }
    if let Some(source) = &event.source {
        entries.push(("sidewatch.source", Value::Text(source)));
    }
    if event.mirrored {
        entries.push(("sidewatch.mirrored", Value::True));
    }
    if event.truncated {
        entries.push(("sidewatch.truncated", Value::True));
    }
    if event.lossy {
        entries.push(("sidewatch.lossy", Value::True));
    }
    if event.labels().next().is_some() {
        entries.push(("labels", Value::Labels(event)));
    }
}

/// The finding itself, and who and where from its event.
fn add_finding<'a>(finding: &'a Finding, entries: &mut Entries<'a>) {
    add_finding_only(finding, entries);
    let own = [Field::EventKind, Field::Message, Field::EventOriginal];
    add_fields(&finding.event, entries, |field| !own.contains(&field));
    add_numbers(&finding.event, entries);
}

/// The finding itself.
pub(crate) fn add_finding_only<'a>(finding: &'a Finding, entries: &mut Entries<'a>) {
    entries.extend([
        ("@timestamp", Value::Time(finding.time)),
        ("event.id", Value::Id(finding.id)),
        ("event.kind", Value::Text("alert")),
        ("event.severity", Value::Unsigned(finding.severity.into())),
        ("message", Value::Text(&finding.title)),
        ("rule.id", Value::Text(&finding.rule)),
        ("rule.name", Value::Text(&finding.kind)),
        ("rule.version", Value::Text(&finding.rule_version)),
        ("sidewatch.finding.event_id", Value::Id(finding.event.id)),
        (
            "sidewatch.finding.evidence",
            Value::Evidence(&finding.evidence),
        ),
        ("sidewatch.finding.id", Value::Id(finding.id)),
        (
            "sidewatch.finding.incident",
            Value::Incident(finding.incident),
        ),
        (
            "sidewatch.finding.occurrence",
            Value::Unsigned(finding.occurrence.into()),
        ),
        ("sidewatch.finding.score", Value::Real(finding.score.into())),
    ]);
    if !finding.technique.is_empty() {
        entries.push(("threat.technique.id", Value::Text(&finding.technique)));
    }
}

fn activity_name(activity: Activity) -> &'static str {
    match activity {
        Activity::Other => "other",
        Activity::LoginSuccess => "login-success",
        Activity::LoginFailure => "login-failure",
        Activity::MfaPrompt => "mfa-prompt",
        Activity::MfaFailure => "mfa-failure",
        Activity::Logout => "logout",
        Activity::PasswordChange => "password-change",
        Activity::TokenCreation => "token-creation",
        Activity::MfaRemoval => "mfa-removal",
        Activity::PermissionDenied => "permission-denied",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use sidewatch_event::{Evidence, EvidenceValue};

    use super::*;
    use crate::testing::{event, finding};
    use crate::text::is_unsafe;

    fn encoded(delivery: &Delivery) -> serde_json::Value {
        let mut out = Vec::new();
        encode(delivery, &mut out);
        assert!(
            !String::from_utf8(out.clone())
                .unwrap()
                .chars()
                .any(is_unsafe)
        );
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn events_are_nested_ecs() {
        let value = encoded(&Delivery::Event(event().into()));
        assert_eq!(
            value,
            json!({
                "@timestamp": "2026-11-21T01:02:03.045Z",
                "event": {
                    "action": "login", "category": ["authentication", "session"], "dataset": "nginx.access",
                    "id": "000000000000000000000000000000ff", "ingested": "2026-11-21T01:02:04.000Z",
                    "kind": "event", "outcome": "success", "severity": 3
                },
                "http": {
                    "request": {"id": "0af7", "method": "POST", "referrer": "https://h/"},
                    "response": {"body": {"bytes": 15}, "status_code": 200}
                },
                "labels": {"choice": "approve"},
                "session": {"id": "5e55"},
                "sidewatch": {
                    "accuracy_km": 20.0, "activity": "login-success", "name": "Login", "network_kind": "mobile"
                },
                "source": {
                    "as": {"number": 64500},
                    "geo": {"country_iso_code": "CZ", "location": {"lat": 49.2, "lon": 16.6}},
                    "ip": "203.0.113.7", "port": 4711
                },
                "url": {"domain": "chat.example.org", "original": "/login?x=1", "path": "/login"},
                "user": {"id": "u1", "name": "zoë"},
                "user_agent": {"original": "Mozilla/5.0"}
            })
        );
    }

    #[test]
    fn findings_carry_evidence_and_who_and_where() {
        let value = encoded(&Delivery::Finding(finding().into()));
        assert_eq!(value["event"]["kind"], "alert");
        assert_eq!(value["event"]["severity"], 8);
        assert_eq!(value["message"], "zoë cannot have travelled so fast");
        assert_eq!(
            value["rule"],
            json!({"id": "impossible-travel", "name": "impossible-travel", "version": "1.0.0"})
        );
        assert_eq!(value["threat"]["technique"]["id"], "T1078");
        let own = &value["sidewatch"]["finding"];
        assert_eq!(
            (&own["incident"], &own["occurrence"]),
            (&json!("00000000000000aa"), &json!(2))
        );
        assert_eq!(
            own["evidence"],
            json!({
                "previous_address": "198.51.100.4", "distance_km": 1800.5, "previous_time": "2026-11-21T00:02:03.045Z",
                "previous_place": {"lat": 48.9, "lon": 2.3}, "note": "a=b|c", "note_2": 7
            })
        );
        assert_eq!(
            (&value["user"]["name"], &value["source"]["ip"]),
            (&json!("zoë"), &json!("203.0.113.7"))
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_text_is_one_line_and_comes_back(text in any::<String>(), label in ".{0,12}", real in any::<f64>()) {
            let mut event = Event::new();
            event.set(Field::UserName, &text);
            event.set_label(&label, &text);
            let mut finding = finding();
            finding.title.clone_from(&text);
            finding.evidence = vec![
                Evidence { name: text.clone(), value: EvidenceValue::Text(text.clone()) },
                Evidence { name: "real".into(), value: EvidenceValue::Real(real) },
            ];
            let value = encoded(&Delivery::Event(event.into()));
            prop_assert_eq!(value["labels"][&label].as_str(), Some(text.as_str()));
            prop_assert_eq!(value["user"]["name"].as_str().unwrap_or_default(), &text);
            let value = encoded(&Delivery::Finding(finding.into()));
            prop_assert_eq!(value["message"].as_str(), Some(text.as_str()));
            prop_assert_eq!(value["sidewatch"]["finding"]["evidence"][&text].as_str().is_some(), text != "real");
        }
    }
}
