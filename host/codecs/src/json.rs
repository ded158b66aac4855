//! One line of JSON with nested ECS objects.
//!
//! Every text is escaped so that the line holds no line end, control or
//! bidirectional character of any kind; escapes are lossless.

mod read;

use std::sync::LazyLock;

use sidewatch_event::{Activity, Delivery, Event, Field, Finding, NetworkKind};

pub use read::decode;

use crate::document::{Layout, Value};

/// Where a value comes from.
#[derive(Clone, Copy)]
enum Source {
    Text(Field),
    Other(Other),
}

/// What an event or finding has beside its texts.
#[derive(Clone, Copy)]
enum Other {
    Timestamp,
    Id,
    Ingested,
    Kind,
    Severity,
    ResponseBytes,
    StatusCode,
    Labels,
    RuleId,
    RuleName,
    RuleVersion,
    ServerPort,
    AccuracyKm,
    Activity,
    EventId,
    Evidence,
    FindingId,
    Incident,
    Occurrence,
    Score,
    Lossy,
    Mirrored,
    NetworkKind,
    PeerIp,
    SourceId,
    Suppressed,
    Truncated,
    AsNumber,
    GeoLocation,
    SourceIp,
    SourcePort,
    Technique,
    Title,
}

const OTHERS: [(&str, Other); 33] = [
    ("@timestamp", Other::Timestamp),
    ("event.id", Other::Id),
    ("event.ingested", Other::Ingested),
    ("event.kind", Other::Kind),
    ("event.severity", Other::Severity),
    ("http.response.body.bytes", Other::ResponseBytes),
    ("http.response.status_code", Other::StatusCode),
    ("labels", Other::Labels),
    ("message", Other::Title),
    ("rule.id", Other::RuleId),
    ("rule.name", Other::RuleName),
    ("rule.version", Other::RuleVersion),
    ("server.port", Other::ServerPort),
    ("sidewatch.accuracy_km", Other::AccuracyKm),
    ("sidewatch.activity", Other::Activity),
    ("sidewatch.finding.event_id", Other::EventId),
    ("sidewatch.finding.evidence", Other::Evidence),
    ("sidewatch.finding.id", Other::FindingId),
    ("sidewatch.finding.incident", Other::Incident),
    ("sidewatch.finding.occurrence", Other::Occurrence),
    ("sidewatch.finding.score", Other::Score),
    ("sidewatch.lossy", Other::Lossy),
    ("sidewatch.mirrored", Other::Mirrored),
    ("sidewatch.network_kind", Other::NetworkKind),
    ("sidewatch.peer_ip", Other::PeerIp),
    ("sidewatch.source", Other::SourceId),
    ("sidewatch.suppressed", Other::Suppressed),
    ("sidewatch.truncated", Other::Truncated),
    ("source.as.number", Other::AsNumber),
    ("source.geo.location", Other::GeoLocation),
    ("source.ip", Other::SourceIp),
    ("source.port", Other::SourcePort),
    ("threat.technique.id", Other::Technique),
];

static LAYOUT: LazyLock<Layout<Source>> = LazyLock::new(|| {
    let texts = Field::ALL
        .into_iter()
        .map(|(field, name)| (name, Source::Text(field)));
    let others = OTHERS.map(|(name, other)| (name, Source::Other(other)));
    Layout::new(texts.chain(others).collect())
});

/// Appends one JSON object on one line, without a line end.
pub fn encode(delivery: &Delivery, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(2048);
    let value = |source| match source {
        Source::Text(field) => text_of(field, delivery),
        Source::Other(other) => other.value(delivery),
    };
    LAYOUT.write(value, &mut text);
    out.extend_from_slice(text.as_bytes());
}

/// Who and where, beside its texts, of an event or a finding's event.
pub(crate) fn numbers<'a>(event: &'a Event) -> impl Iterator<Item = (&'a str, Value<'a>)> {
    let all = OTHERS.into_iter();
    all.filter_map(|(name, other)| Some((name, other.of_both(event)?)))
}

/// The finding itself, without its event.
pub(crate) fn finding_only<'a>(finding: &'a Finding) -> impl Iterator<Item = (&'a str, Value<'a>)> {
    let all = OTHERS.into_iter();
    all.filter_map(|(name, other)| Some((name, other.of_finding_only(finding)?)))
}

fn text_of(field: Field, delivery: &Delivery) -> Option<Value<'_>> {
    let event = match (field, delivery) {
        // Said by [`Other::Kind`] and [`Other::Title`], or not the finding's.
        (Field::EventKind, _) | (Field::Message | Field::EventOriginal, Delivery::Finding(_)) => {
            return None;
        }
        _ => delivery.event(),
    };
    let text = event.get(field).filter(|text| !text.is_empty())?;
    Some(if field.is_list() {
        Value::List(text)
    } else {
        Value::Text(text)
    })
}

impl Other {
    fn value(self, delivery: &Delivery) -> Option<Value<'_>> {
        match delivery {
            Delivery::Event(event) => self.of_event_only(event, delivery.severity()),
            Delivery::Finding(finding) => self.of_finding_only(finding),
        }
        .or_else(|| self.of_both(delivery.event()))
    }

    /// What events say in their own way.
    fn of_event_only(self, event: &Event, severity: u8) -> Option<Value<'_>> {
        Some(match self {
            Self::Timestamp if event.time == 0 => Value::Time(event.received),
            Self::Timestamp => Value::Time(event.time),
            Self::Id => Value::Id(event.id),
            Self::Kind => Value::Text(event.get(Field::EventKind).unwrap_or("event")),
            Self::Severity if event.severity.is_some() || severity > 0 => {
                Value::Unsigned(severity.into())
            }
            Self::Suppressed if event.suppressed => Value::True,
            _ => return None,
        })
    }

    /// The finding itself.
    fn of_finding_only(self, finding: &Finding) -> Option<Value<'_>> {
        Some(match self {
            Self::Timestamp => Value::Time(finding.time),
            Self::Id | Self::FindingId => Value::Id(finding.id),
            Self::Kind => Value::Text("alert"),
            Self::Severity => Value::Unsigned(finding.severity.into()),
            Self::Title => Value::Text(&finding.title),
            Self::RuleId => Value::Text(&finding.rule),
            Self::RuleName => Value::Text(&finding.kind),
            Self::RuleVersion => Value::Text(&finding.rule_version),
            Self::EventId => Value::Id(finding.event.id),
            Self::Evidence => Value::Evidence(&finding.evidence),
            Self::Incident => Value::Incident(finding.incident),
            Self::Occurrence => Value::Unsigned(finding.occurrence.into()),
            Self::Score => Value::Real(finding.score.into()),
            Self::Technique if !finding.technique.is_empty() => Value::Text(&finding.technique),
            _ => return None,
        })
    }

    /// Who and where, of an event or a finding's event.
    fn of_both(self, event: &Event) -> Option<Value<'_>> {
        let number = |number: u64| (number > 0).then_some(Value::Unsigned(number));
        let flag = |flag: bool| flag.then_some(Value::True);
        match self {
            Self::StatusCode => number(event.status.into()),
            Self::SourcePort => number(event.source_port.into()),
            Self::ServerPort => number(event.server_port.into()),
            Self::AsNumber => number(event.as_number.into()),
            Self::ResponseBytes => event.response_bytes.map(Value::Unsigned),
            Self::Ingested => (event.received != 0).then_some(Value::Time(event.received)),
            Self::SourceIp => event.source_ip.map(Value::Address),
            Self::PeerIp => event.peer_ip.map(Value::Address),
            Self::GeoLocation => event
                .location
                .map(|place| Value::Point(place.latitude, place.longitude)),
            Self::AccuracyKm => event
                .location
                .map(|place| Value::Real(place.accuracy_km.into())),
            Self::NetworkKind => (event.network_kind != NetworkKind::Unknown)
                .then(|| Value::Text(event.network_kind.as_str())),
            Self::Activity => (event.activity != Activity::Other)
                .then(|| Value::Text(activity_name(event.activity))),
            Self::SourceId => event.source.as_deref().map(Value::Text),
            Self::Mirrored => flag(event.mirrored),
            Self::Truncated => flag(event.truncated),
            Self::Lossy => flag(event.lossy),
            Self::Labels => event
                .labels()
                .next()
                .is_some()
                .then_some(Value::Labels(event)),
            _ => None,
        }
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
