//! GELF 1.1: one JSON object; on TCP each ends in NUL, which no object holds.
//!
//! Additional fields are flat, with an underscore before their ECS names;
//! `level` is a syslog severity.

use sidewatch_event::{Delivery, Event, Field};

use crate::document::{write_key, write_real, write_text};
use crate::evidence;
use crate::syslog::severity_of;

/// Appends one object on one line, without a line end or NUL. `host` is the
/// name of the machine that sends.
pub fn encode(delivery: &Delivery, host: &str, out: &mut Vec<u8>) {
    let event = delivery.event();
    let mut text = String::with_capacity(1024);
    text.push_str("{\"version\":\"1.1\",\"host\":");
    write_text(if host.is_empty() { "sidewatch" } else { host }, &mut text);
    let (title, time) = match delivery {
        Delivery::Event(event) => (title(event), event.time),
        Delivery::Finding(finding) => (&*finding.title, finding.time),
    };
    pair("short_message", title, &mut text);
    write_key("timestamp", false, &mut text);
    let time = if time == 0 { event.received } else { time };
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds fit for 285,000 years"
    )]
    write_real(time as f64 / 1000.0, &mut text);
    write_key("level", false, &mut text);
    text.push(char::from(b'0' + severity_of(delivery.severity())));
    if let Delivery::Finding(finding) = delivery {
        pair("_event.kind", "alert", &mut text);
        pair("_rule.id", &finding.rule, &mut text);
        pair("_rule.name", &finding.kind, &mut text);
        pair(
            "_sidewatch.finding.incident",
            &format!("{:016x}", finding.incident),
            &mut text,
        );
        for item in &finding.evidence {
            let name = format!("_sidewatch.finding.evidence.{}", field_name(&item.name));
            pair(&name, &evidence::value(&item.value), &mut text);
        }
    }
    fields(event, delivery, &mut text);
    text.push('}');
    out.extend_from_slice(text.as_bytes());
}

fn title(event: &Event) -> &str {
    [
        Field::Message,
        Field::SidewatchName,
        Field::EventAction,
        Field::EventDataset,
    ]
    .into_iter()
    .find_map(|field| event.get(field).filter(|text| !text.is_empty()))
    .unwrap_or("event")
}

fn fields(event: &Event, delivery: &Delivery, text: &mut String) {
    let finding = matches!(delivery, Delivery::Finding(_));
    pair("_event.id", &format!("{:032x}", delivery.id()), text);
    for (field, value) in event.fields() {
        let hidden = finding
            && matches!(
                field,
                Field::EventKind | Field::Message | Field::EventOriginal
            );
        if !value.is_empty() && !hidden {
            pair(&format!("_{}", field.name()), value, text);
        }
    }
    if let Some(address) = event.source_ip {
        pair("_source.ip", &address.to_string(), text);
    }
    if event.status > 0 {
        write_key("_http.response.status_code", false, text);
        text.push_str(itoa::Buffer::new().format(event.status));
    }
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in event.labels() {
        let name = format!("_labels.{}", field_name(name));
        if !seen.contains(&name) {
            pair(&name, value, text);
            seen.push(name);
        }
    }
}

fn pair(key: &str, value: &str, text: &mut String) {
    write_key(key, false, text);
    write_text(value, text);
}

/// GELF admits letters, digits, `_`, `-` and `.` in names.
fn field_name(name: &str) -> String {
    name.chars()
        .map(|one| {
            if one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.') {
                one
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{event, finding};

    fn encoded(delivery: &Delivery) -> serde_json::Value {
        let mut out = Vec::new();
        encode(delivery, "vm", &mut out);
        assert!(!out.contains(&0) && !out.contains(&b'\n'));
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn events_and_findings_are_objects_of_the_standard() {
        let value = encoded(&Delivery::Event(event().into()));
        assert_eq!(value["version"], "1.1");
        assert_eq!(value["host"], "vm");
        assert_eq!(value["short_message"], "Login");
        assert_eq!(value["timestamp"], 1_795_222_923.045);
        assert_eq!(value["_user.name"], "zoë");
        assert_eq!(value["_labels.choice"], "approve");
        let value = encoded(&Delivery::Finding(finding().into()));
        assert_eq!(value["_rule.id"], "impossible-travel");
        assert_eq!(value["_sidewatch.finding.evidence.distance_km"], "1800.5");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn whatever_an_event_holds_is_one_object(name in any::<String>(), text in any::<String>()) {
            let mut hostile = event();
            hostile.set(Field::UserName, &text);
            hostile.set_label(&name, &text);
            let value = encoded(&Delivery::Event(hostile.into()));
            prop_assert_eq!(value["_user.name"].as_str().unwrap_or_default(), &text);
            let named = |key: &String| {
                !key.starts_with('_') || key.chars().all(|one| one.is_ascii_alphanumeric() || "_.-".contains(one))
            };
            prop_assert!(value.as_object().unwrap().keys().all(named));
        }
    }
}
