//! One line of text for people and simple tools: time, severity, name, then
//! `name=value` pairs with their ECS names.
//!
//! Every value is quoted unless it is one plain word, and quotes, backslashes
//! and everything that would end a line are escaped inside: no value can pass
//! for a pair or a record of its own.

use sidewatch_event::{Delivery, Event, Field};

use crate::document::write_text;
use crate::evidence;
use crate::time::write_rfc3339;

/// Appends one line, without its end.
pub fn encode(delivery: &Delivery, out: &mut Vec<u8>) {
    let event = delivery.event();
    let mut text = String::with_capacity(512);
    let time = match delivery {
        Delivery::Event(event) => event.time,
        Delivery::Finding(finding) => finding.time,
    };
    write_rfc3339(if time == 0 { event.received } else { time }, &mut text);
    text.push_str(" severity=");
    text.push_str(itoa::Buffer::new().format(delivery.severity()));
    if let Delivery::Finding(finding) = delivery {
        pair("finding", &finding.title, &mut text);
        pair("rule.id", &finding.rule, &mut text);
        pair("rule.name", &finding.kind, &mut text);
        pair("incident", &format!("{:016x}", finding.incident), &mut text);
        for item in &finding.evidence {
            pair(&item.name, &evidence::value(&item.value), &mut text);
        }
    }
    fields(event, &mut text);
    out.extend_from_slice(text.as_bytes());
}

fn fields(event: &Event, text: &mut String) {
    for (field, value) in event.fields() {
        if !value.is_empty() && field != Field::EventOriginal {
            pair(field.name(), value, text);
        }
    }
    if let Some(address) = event.source_ip {
        pair("source.ip", &address.to_string(), text);
    }
    if event.status > 0 {
        pair(
            "http.response.status_code",
            itoa::Buffer::new().format(event.status),
            text,
        );
    }
    for (name, value) in event.labels() {
        pair(name, value, text);
    }
}

fn pair(name: &str, value: &str, text: &mut String) {
    text.push(' ');
    // Names of labels come from clients, too.
    text.extend(name.chars().map(|one| {
        if one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.') {
            one
        } else {
            '_'
        }
    }));
    text.push('=');
    let word = !value.is_empty()
        && value
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/@+,".contains(&byte));
    if word {
        text.push_str(value);
    } else {
        write_text(value, text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{event, finding};

    fn encoded(delivery: &Delivery) -> String {
        let mut out = Vec::new();
        encode(delivery, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_begins_with_time_and_severity() {
        let line = encoded(&Delivery::Event(event().into()));
        assert!(
            line.starts_with("2026-11-21T01:02:03.045Z severity=3 "),
            "{line}"
        );
        assert!(
            line.contains(" user.name=\"zoë\"") && line.contains(" event.action=login "),
            "{line}"
        );
        let line = encoded(&Delivery::Finding(finding().into()));
        assert!(line.contains(" rule.id=impossible-travel "), "{line}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn no_value_passes_for_a_pair(text in "[a-z =\"\\\\\\n\u{2028}\u{1b}]{0,40}") {
            let mut hostile = Event::new();
            hostile.set(Field::UserName, &text);
            let line = encoded(&Delivery::Event(hostile.into()));
            let torn = line.contains(['\n', '\u{2028}', '\u{1b}']);
            prop_assert!(!torn);
            if !text.is_empty() {
                let value = line.split_once(" user.name=").unwrap().1;
                let read = if value.starts_with('"') {
                    serde_json::from_str::<String>(value).unwrap()
                } else {
                    value.to_owned()
                };
                prop_assert_eq!(read, text);
            }
        }
    }
}
