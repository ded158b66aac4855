//! One line of JSON with nested ECS objects.
//!
//! Every text is escaped so that the line holds no line end, control or
//! bidirectional character of any kind; escapes are lossless.

use std::net::IpAddr;

use sidewatch_event::{
    Activity, Delivery, Event, Evidence, EvidenceValue, Field, Finding, NetworkKind,
};

use crate::text::is_unsafe;
use crate::time::write_rfc3339;

/// A value on its way into the object.
enum Value<'a> {
    Text(&'a str),
    /// Comma-separated, written as an array.
    List(&'a str),
    Unsigned(u64),
    Real(f64),
    Time(i64),
    Address(IpAddr),
    Point(f64, f64),
    True,
    /// 32 hexadecimal digits.
    Id(u128),
    /// 16 hexadecimal digits: too large for readers that know only floats.
    Incident(u64),
    Labels(&'a Event),
    Evidence(&'a [Evidence]),
}

/// Names and values, sorted before they are written.
type Entries<'a> = Vec<(&'static str, Value<'a>)>;

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

fn add_numbers<'a>(event: &'a Event, entries: &mut Entries<'a>) {
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
    let own = [Field::EventKind, Field::Message, Field::EventOriginal];
    add_fields(&finding.event, entries, |field| !own.contains(&field));
    add_numbers(&finding.event, entries);
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

/// Writes sorted dotted names as nested objects: those of one object stand
/// together, because a dot sorts before every letter.
fn write_nested(entries: &[(&'static str, Value<'_>)], out: &mut String) {
    let mut before = "";
    let mut depth = 0;
    out.push('{');
    let mut first = true;
    for (name, value) in entries {
        let (parents, leaf) = name.rsplit_once('.').unwrap_or(("", name));
        // Mostly the next name lies in the same object.
        if parents != before {
            let segments = |path: &'static str| path.split('.').filter(|part| !part.is_empty());
            let shared = segments(before)
                .zip(segments(parents))
                .take_while(|(have, want)| have == want)
                .count();
            if depth > shared {
                first = false;
            }
            for _ in shared..depth {
                out.push('}');
            }
            depth = shared;
            for parent in segments(parents).skip(shared) {
                write_key(parent, first, out);
                out.push('{');
                depth += 1;
                first = true;
            }
            before = parents;
        }
        write_key(leaf, first, out);
        first = false;
        write_value(value, out);
    }
    out.extend((0..depth).map(|_| '}'));
    out.push('}');
}

fn write_key(key: &str, first: bool, out: &mut String) {
    if !first {
        out.push(',');
    }
    write_text(key, out);
    out.push(':');
}

fn write_value(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Text(text) => write_text(text, out),
        Value::List(list) => {
            for (at, item) in list.split(',').filter(|item| !item.is_empty()).enumerate() {
                out.push(if at == 0 { '[' } else { ',' });
                write_text(item, out);
            }
            out.push_str(if list.split(',').all(str::is_empty) {
                "[]"
            } else {
                "]"
            });
        }
        Value::Unsigned(number) => out.push_str(itoa::Buffer::new().format(*number)),
        Value::Real(number) => write_real(*number, out),
        Value::Time(time) => {
            out.push('"');
            write_rfc3339(*time, out);
            out.push('"');
        }
        Value::Address(address) => write_text(&address.to_string(), out),
        Value::Point(latitude, longitude) => write_point(*latitude, *longitude, out),
        Value::True => out.push_str("true"),
        Value::Id(id) => write_text(&format!("{id:032x}"), out),
        Value::Incident(incident) => write_text(&format!("{incident:016x}"), out),
        Value::Labels(event) => {
            out.push('{');
            for (at, (name, text)) in event.labels().enumerate() {
                write_key(name, at == 0, out);
                write_text(text, out);
            }
            out.push('}');
        }
        Value::Evidence(evidence) => write_evidence(evidence, out),
    }
}

/// A name a rule uses twice gets a number, so that no reader drops one.
fn write_evidence(evidence: &[Evidence], out: &mut String) {
    out.push('{');
    for (at, item) in evidence.iter().enumerate() {
        let before = evidence
            .iter()
            .take(at)
            .filter(|other| other.name == item.name)
            .count();
        if before == 0 {
            write_key(&item.name, at == 0, out);
        } else {
            write_key(&format!("{}_{}", item.name, before + 1), false, out);
        }
        match &item.value {
            EvidenceValue::Text(text) => write_text(text, out),
            EvidenceValue::Integer(number) => out.push_str(itoa::Buffer::new().format(*number)),
            EvidenceValue::Real(number) => write_real(*number, out),
            EvidenceValue::Time(time) => write_value(&Value::Time(*time), out),
            EvidenceValue::Address(address) => write_value(&Value::Address(*address), out),
            EvidenceValue::Coordinates(latitude, longitude) => {
                write_point(*latitude, *longitude, out);
            }
        }
    }
    out.push('}');
}

fn write_point(latitude: f64, longitude: f64, out: &mut String) {
    out.push_str("{\"lat\":");
    write_real(latitude, out);
    out.push_str(",\"lon\":");
    write_real(longitude, out);
    out.push('}');
}

/// JSON has no infinities: they become null.
fn write_real(number: f64, out: &mut String) {
    match serde_json::Number::from_f64(number) {
        Some(number) => out.push_str(&number.to_string()),
        None => out.push_str("null"),
    }
}

/// Whether a byte stands for itself in any text. Those above ASCII may be part
/// of an unsafe character.
fn is_plain(byte: u8) -> bool {
    (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    // Without an early end the compiler looks at many bytes at once.
    if text
        .bytes()
        .fold(true, |plain, byte| plain & is_plain(byte))
    {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut rest = text;
    while let Some((at, character)) = rest
        .char_indices()
        .find(|(_, character)| matches!(character, '"' | '\\') || is_unsafe(*character))
    {
        let (before, after) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // All unsafe characters are below U+10000.
            _ => {
                let code = u32::from(character);
                out.push_str("\\u");
                out.extend(
                    [12, 8, 4, 0]
                        .map(|shift| char::from_digit(code >> shift & 15, 16).unwrap_or('0')),
                );
            }
        }
        rest = after.get(character.len_utf8()..).unwrap_or_default();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::testing::{event, finding};

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
