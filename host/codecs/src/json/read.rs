//! Events as JSON objects with ECS names, nested (`{"user":{"name":…}}`) or
//! dotted (`{"user.name":…}`): what [`super::encode`] writes, what a CDN's log
//! push or an application of one's own can write.
//!
//! A finding that another Sidewatch reported (`event.kind` is `alert`) becomes
//! an event that says so: its kind is the action, its title the name, its
//! evidence labels. It is no second event for rules: what was done, and where
//! to, is not part of it.
//!
//! Invariants: names that are no field of an event are ignored; URLs are
//! redacted and sessions and devices hashed here as everywhere else; depth and
//! number of values are bounded.

use std::net::IpAddr;

use serde_json::Value;
use sidewatch_event::{Activity, Event, Field, Location, NetworkKind};

use super::activity_name;
use crate::pseudonym::{PSEUDONYM_LENGTH, PseudonymKey};
use crate::{DecodeError, redact, target, time};

/// Most values read of one object.
const MOST_VALUES: usize = 512;
/// Labels of evidence begin so.
const EVIDENCE: &str = "sidewatch.finding.evidence.";
/// Objects within objects that are looked into.
const DEEPEST: usize = 8;

/// Reads one object into `event`, which arrives cleared apart from `received`
/// and `source`. What a session or device identifier stands for is hashed
/// under `key`, unless it is such a hash already (32 hexadecimal digits).
///
/// # Errors
/// It is no object, or a field that has to be of some kind is not.
pub fn decode(object: &Value, key: &PseudonymKey, event: &mut Event) -> Result<(), DecodeError> {
    let Value::Object(members) = object else {
        return Err(DecodeError::Json {
            column: 1,
            expected: "an object",
        });
    };
    event.time = event.received;
    let mut reading = Reading {
        key,
        event,
        name: String::with_capacity(64),
        left: MOST_VALUES,
        place: (None, None),
        accuracy_km: 0.0,
        method: None,
        original: None,
        alert: object
            .pointer("/event/kind")
            .or_else(|| object.get("event.kind"))
            == Some(&Value::from("alert")),
    };
    for (name, value) in members {
        reading.member(name, value, 0)?;
    }
    reading.finish();
    Ok(())
}

struct Reading<'a> {
    key: &'a PseudonymKey,
    event: &'a mut Event,
    /// The dotted name of where the reading is.
    name: String,
    left: usize,
    place: (Option<f64>, Option<f64>),
    accuracy_km: f32,
    method: Option<&'a str>,
    original: Option<&'a str>,
    /// It is a finding of another Sidewatch.
    alert: bool,
}

impl<'a> Reading<'a> {
    fn member(&mut self, name: &str, value: &'a Value, depth: usize) -> Result<(), DecodeError> {
        let before = self.name.len();
        if before > 0 {
            self.name.push('.');
        }
        self.name.push_str(name);
        let read = match value {
            Value::Object(labels) if self.name == "labels" => {
                for (label, value) in labels.iter().take(sidewatch_event::event::MAX_LABELS) {
                    self.label(label, value);
                }
                Ok(())
            }
            Value::Object(members) if depth < DEEPEST => members
                .iter()
                .try_for_each(|(name, value)| self.member(name, value, depth + 1)),
            Value::Object(_) | Value::Null => Ok(()),
            value => match self.left.checked_sub(1) {
                Some(left) => {
                    self.left = left;
                    self.value(value)
                }
                None => Ok(()),
            },
        };
        self.name.truncate(before);
        read
    }

    fn label(&mut self, label: &str, value: &Value) {
        match value {
            Value::String(text) => self.event.set_label(label, text),
            Value::Bool(_) | Value::Number(_) => self.event.set_label(label, &value.to_string()),
            _ => {}
        }
    }

    fn value(&mut self, value: &'a Value) -> Result<(), DecodeError> {
        let name = std::mem::take(&mut self.name);
        let read = self.named(&name, value);
        self.name = name;
        read
    }

    fn named(&mut self, name: &str, value: &'a Value) -> Result<(), DecodeError> {
        if let Some(label) = name.strip_prefix("labels.") {
            self.label(label, value);
            return Ok(());
        }
        if self.alert && self.finding(name, value) {
            return Ok(());
        }
        match name {
            "@timestamp" => self.event.time = instant(name, value)?,
            "event.id" => self.event.id = identifier(value).unwrap_or(self.event.id),
            "event.severity" => {
                self.event.severity = u8::try_from(number::<u32>(name, value)?.min(10)).ok();
            }
            "http.response.status_code" => self.event.status = number(name, value)?,
            "http.response.body.bytes" => {
                self.event.response_bytes = Some(number(name, value)?);
            }
            "source.ip" | "client.ip" => self.event.source_ip = Some(address(name, value)?),
            "sidewatch.peer_ip" => self.event.peer_ip = Some(address(name, value)?),
            "source.port" => self.event.source_port = number(name, value)?,
            "server.port" => self.event.server_port = number(name, value)?,
            "source.as.number" => self.event.as_number = number(name, value)?,
            "source.geo.location.lat" => self.place.0 = value.as_f64(),
            "source.geo.location.lon" => self.place.1 = value.as_f64(),
            "sidewatch.accuracy_km" => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a radius of some kilometres"
                )]
                let radius = value.as_f64().unwrap_or_default() as f32;
                self.accuracy_km = radius;
            }
            "sidewatch.network_kind" => {
                let kind = value.as_str().unwrap_or_default();
                self.event.network_kind = NetworkKind::ALL
                    .into_iter()
                    .find(|known| known.as_str() == kind)
                    .unwrap_or_default();
            }
            "sidewatch.activity" => {
                let activity = value.as_str().unwrap_or_default();
                self.event.activity = Activity::ALL
                    .into_iter()
                    .find(|known| activity_name(*known) == activity)
                    .unwrap_or_default();
            }
            "sidewatch.mirrored" => self.event.mirrored = value == &Value::Bool(true),
            "sidewatch.suppressed" => self.event.suppressed = value == &Value::Bool(true),
            "sidewatch.truncated" => self.event.truncated = value == &Value::Bool(true),
            "sidewatch.lossy" => self.event.lossy = value == &Value::Bool(true),
            _ => {
                if let Some(field) = Field::from_name(name) {
                    self.field(field, value);
                }
            }
        }
        Ok(())
    }

    /// Takes what only a finding has or an event of it must not have.
    fn finding(&mut self, name: &str, value: &Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        match name {
            "rule.name" => self.event.set(Field::EventAction, text),
            "rule.id" | "rule.version" => self.event.set_label(name, text),
            "message" => {
                self.event.set(Field::Message, text);
                self.event.set(Field::SidewatchName, text);
            }
            "sidewatch.activity"
            | "sidewatch.name"
            | "event.action"
            | "http.request.method"
            | "url.path"
            | "url.query" => {}
            "url.original" => self.event.set_label(name, text),
            _ => match name.strip_prefix(EVIDENCE) {
                Some(evidence) => self.label(&format!("evidence.{evidence}"), value),
                None => return false,
            },
        }
        true
    }

    fn field(&mut self, field: Field, value: &'a Value) {
        let event = &mut *self.event;
        match value {
            Value::Array(items) => {
                let words = items.iter().filter_map(Value::as_str);
                event.set_with(field, |out| {
                    for (at, word) in words.enumerate() {
                        out.extend((at > 0).then_some(','));
                        out.push_str(word);
                    }
                });
            }
            Value::String(text) => match field {
                Field::SessionId => set_pseudonym(self.key, event, field, "session", text),
                Field::DeviceId => set_pseudonym(self.key, event, field, "device", text),
                Field::HttpRequestReferrer => {
                    event.set_with(field, |out| redact::url(text, out));
                }
                Field::UrlQuery => event.set_with(field, |out| redact::query(text, out)),
                Field::UrlOriginal => self.original = Some(text),
                Field::HttpRequestMethod => {
                    self.method = Some(text);
                    event.set(field, text);
                }
                _ => event.set(field, text),
            },
            Value::Number(_) | Value::Bool(_) => event.set(field, &value.to_string()),
            Value::Null | Value::Object(_) => {}
        }
    }

    fn finish(self) {
        let event = self.event;
        if let (Some(latitude), Some(longitude)) = self.place {
            event.location =
                (latitude.abs() <= 90.0 && longitude.abs() <= 180.0).then_some(Location {
                    latitude,
                    longitude,
                    accuracy_km: self.accuracy_km.max(0.0),
                });
        }
        if let Some(original) = self.original {
            let path = event.own(Field::UrlPath).map(str::to_owned);
            let origin = target::set_target(event, self.method.unwrap_or_default(), original);
            if event.own(Field::UrlScheme).is_none() && !origin.scheme.is_empty() {
                event.set(Field::UrlScheme, origin.scheme);
            }
            if event.own(Field::UrlDomain).is_none() {
                target::set_domain(event, origin.authority);
            }
            if let Some(path) = path {
                event.set(Field::UrlPath, &path);
            }
        }
        if event.activity == Activity::Other && !self.alert {
            let text = |field| event.own(field).unwrap_or_default();
            event.activity = Activity::from_ecs(
                text(Field::EventCategory),
                text(Field::EventType),
                text(Field::EventOutcome),
                text(Field::EventAction),
            );
        }
    }
}

fn set_pseudonym(key: &PseudonymKey, event: &mut Event, field: Field, domain: &str, text: &str) {
    let is_one = text.len() == PSEUDONYM_LENGTH
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if is_one || text.is_empty() {
        event.set(field, text);
    } else {
        event.set_with(field, |out| key.write(domain, text.as_bytes(), out));
    }
}

fn wrong(name: &str, expected: &'static str) -> DecodeError {
    DecodeError::Field {
        column: 1,
        field: name.into(),
        expected,
    }
}

/// A number, also where it is written as a text.
fn number<T: TryFrom<u64>>(name: &str, value: &Value) -> Result<T, DecodeError> {
    let found = match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64(),
    };
    found
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| wrong(name, "a number in range"))
}

fn address(name: &str, value: &Value) -> Result<IpAddr, DecodeError> {
    value
        .as_str()
        .and_then(|text| text.trim().parse::<IpAddr>().ok())
        .map(|address| address.to_canonical())
        .ok_or_else(|| wrong(name, "an IP address without port"))
}

/// RFC 3339, or milliseconds since the Unix epoch.
fn instant(name: &str, value: &Value) -> Result<i64, DecodeError> {
    match value {
        Value::String(text) => time::parse_iso(text),
        value => value.as_i64(),
    }
    .filter(|time| *time >= 0)
    .ok_or_else(|| wrong(name, "a time such as 2026-11-21T01:02:03.045Z"))
}

fn identifier(value: &Value) -> Option<u128> {
    let text = value.as_str()?;
    let digits: String = text.chars().filter(|one| *one != '-').take(33).collect();
    (digits.len() == 32)
        .then(|| u128::from_str_radix(&digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use sidewatch_event::Delivery;

    use super::*;
    use crate::testing;

    fn key() -> PseudonymKey {
        PseudonymKey::new([7; 32])
    }

    fn read(value: &Value) -> Event {
        read_at(5, value)
    }

    fn read_at(received: i64, value: &Value) -> Event {
        let mut event = Event::new();
        event.received = received;
        decode(value, &key(), &mut event).unwrap();
        event
    }

    fn written(event: Event) -> Vec<u8> {
        let mut out = Vec::new();
        super::super::encode(&Delivery::Event(event.into()), &mut out);
        out
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut event = testing::event();
        event.set(Field::SessionId, "0123456789abcdef0123456789abcdef");
        event.set(Field::UrlQuery, "x=1");
        let received = event.received;
        let first = written(event);
        let again = read_at(received, &serde_json::from_slice(&first).unwrap());
        assert_eq!(
            serde_json::from_slice::<Value>(&written(again)).unwrap(),
            serde_json::from_slice::<Value>(&first).unwrap()
        );
    }

    #[test]
    fn dotted_names_are_as_good_as_nested_ones() {
        let event = read(&json!({
            "@timestamp": 1_000, "user.name": "zoe", "source": {"ip": "::ffff:192.0.2.7"},
            "http.response.status_code": "401", "event": {"category": ["authentication", "session"],
            "type": ["start"], "outcome": "failure", "action": "login"}, "labels.choice": 3,
        }));
        assert_eq!((event.time, event.status), (1_000, 401));
        assert_eq!(event.source_ip, Some("192.0.2.7".parse().unwrap()));
        assert_eq!(event.activity, Activity::LoginFailure);
        assert_eq!(event.get(Field::UserName), Some("zoe"));
        assert_eq!(event.label("choice"), Some("3"));
    }

    #[test]
    fn secrets_do_not_enter() {
        let event = read(&json!({
            "session.id": "s3cret", "device.id": "s3cret",
            "url.original": "https://u:s3cret@h/a?token=s3cret", "http.request.referrer": "https://h/?token=s3cret",
        }));
        let text = String::from_utf8(written(event)).unwrap();
        assert!(!text.contains("s3cret"), "{text}");
        assert!(text.contains("\"session\""), "{text}");
    }

    #[test]
    fn a_finding_of_another_sidewatch_says_what_was_found() {
        let mut line = Vec::new();
        super::super::encode(&Delivery::Finding(testing::finding().into()), &mut line);
        let event = read(&serde_json::from_slice(&line).unwrap());
        assert_eq!(event.get(Field::EventKind), Some("alert"));
        assert_eq!(event.get(Field::EventAction), Some("impossible-travel"));
        assert_eq!(event.get(Field::Message), event.get(Field::SidewatchName));
        assert_eq!(event.severity, Some(8));
        assert_eq!(event.label("evidence.distance_km"), Some("1800.5"));
        assert_eq!(event.label("rule.version"), Some("1.0.0"));
        assert_eq!(event.get(Field::UserName), Some("zoë"));
        // Rules must not take it for another login.
        assert_eq!(event.activity, Activity::Other);
        assert_eq!(event.get(Field::UrlPath), None);
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (name, value) in [
            ("source.ip", json!("192.0.2.7:80")),
            ("http.response.status_code", json!(70_000)),
            ("@timestamp", json!("yesterday")),
        ] {
            let mut event = Event::new();
            let error = decode(&json!({ name: value }), &key(), &mut event).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        assert!(decode(&json!([]), &key(), &mut Event::new()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_text_in_any_field_is_harmless(at in 0..Field::COUNT, text in any::<String>()) {
            let (_, name) = Field::ALL[at];
            let event = read(&json!({ name: text }));
            let _ = written(event);
        }
    }
}
