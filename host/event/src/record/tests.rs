//! Records read back what was written; damaged ones are refused.

use super::*;
use crate::activity::Activity;
use crate::event::{Keys, Location};
use crate::network::NetworkKind;
use proptest::prelude::*;

fn written(events: &[Event], findings: &[&Finding]) -> Vec<u8> {
    let mut dictionary = Dictionary::default();
    let mut body = Vec::new();
    for event in events {
        dictionary.put_event(event, &mut body);
    }
    for finding in findings {
        dictionary.put_finding(finding, &mut body);
    }
    let mut out = Vec::new();
    dictionary.write(&mut out);
    out.extend_from_slice(&body);
    out
}

/// Everything a consumer can see of an event.
fn seen(event: &Event) -> String {
    let texts: Vec<_> = event.fields().collect();
    let own: Vec<_> = Field::ALL.map(|(field, _)| event.own(field)).into();
    let labels: Vec<_> = event.labels().collect();
    let mut plain = event.clone();
    plain.clear();
    format!(
        "{texts:?} {own:?} {labels:?} {:?} {:?}",
        event.annotation,
        (
            (event.id, event.time, event.received, event.status),
            (event.response_bytes, event.source_ip, event.source_port),
            (event.peer_ip, event.server_port, event.as_number),
            (event.location, event.network_kind, event.activity),
            (event.severity, event.suppressed, event.truncated),
            (event.lossy, event.keys, &event.source),
        )
    )
}

fn full() -> Event {
    let mut event = Event::new();
    event.id = 7;
    event.time = 1_700_000_000_123;
    event.received = event.time + 5;
    event.status = 404;
    event.response_bytes = Some(1 << 40);
    event.source_ip = Some("2001:db8::1".parse().unwrap());
    event.peer_ip = Some("192.0.2.1".parse().unwrap());
    event.source_port = 65_535;
    event.server_port = 443;
    event.as_number = 64_500;
    event.location = Some(Location {
        latitude: 59.9,
        longitude: 10.7,
        accuracy_km: 20.0,
    });
    event.network_kind = NetworkKind::Satellite;
    event.activity = Activity::MfaRemoval;
    event.severity = Some(0);
    event.lossy = true;
    event.keys = Keys {
        user: 1,
        session: 2,
        device: 0,
        user_agent: u64::MAX,
    };
    event.source = Some("access".into());
    event.set(Field::UrlOriginal, "/a/b?c=d");
    event.set_part(Field::UrlPath, Field::UrlOriginal, 0..4);
    event.set_part(Field::UrlQuery, Field::UrlOriginal, 5..8);
    event.set(Field::UserName, "zoë");
    event.set(Field::Message, "");
    event.set_label("choice", "approve");
    event.annotation = Some(Arc::new(Annotation::new(
        [
            (Field::EventAction, "login".to_owned()),
            (Field::EventCategory, "authentication".to_owned()),
        ],
        Some(3),
        true,
    )));
    event
}

fn finding(event: &Arc<Event>) -> Finding {
    let value = |name: &str, value| Evidence {
        name: name.to_owned(),
        value,
    };
    Finding {
        id: u128::MAX,
        incident: 9,
        occurrence: 2,
        rule: "impossible-travel".into(),
        rule_version: "0.1.0".into(),
        kind: "impossible-travel".into(),
        technique: "T1078".into(),
        severity: 8,
        score: 0.75,
        title: "too fast".into(),
        time: -1,
        evidence: vec![
            value("text", EvidenceValue::Text("é".into())),
            value("count", EvidenceValue::Integer(-3)),
            value("distance_km", EvidenceValue::Real(1.5)),
            value("at", EvidenceValue::Time(5)),
            value("v4", EvidenceValue::Address("192.0.2.7".parse().unwrap())),
            value("v6", EvidenceValue::Address("::1".parse().unwrap())),
            value("place", EvidenceValue::Coordinates(1.0, -2.0)),
        ],
        event: Arc::clone(event),
    }
}

#[test]
fn an_event_and_its_finding_come_back_whole() {
    let event = Arc::new(full());
    let finding = finding(&event);
    let bytes = written(&[full(), Event::new()], &[&finding]);
    let mut reader = Reader::new(&bytes);
    let shared = Shared::read(&mut reader).unwrap();
    let first = Arc::new(shared.event(&mut reader).unwrap());
    assert_eq!(seen(&first), seen(&event));
    let second = shared.event(&mut reader).unwrap();
    assert_eq!(seen(&second), seen(&Event::new()));
    let again = shared.finding(&mut reader, Arc::clone(&first)).unwrap();
    assert!(reader.is_empty());
    let visible = |finding: &Finding| {
        format!(
            "{:?}",
            Finding {
                event: Arc::default(),
                ..finding.clone()
            }
        )
    };
    assert_eq!(visible(&again), visible(&finding));
}

#[test]
fn what_was_replaced_or_removed_is_not_written() {
    let mut event = full();
    event.set(Field::UserEmail, "the-secret-itself");
    event.unset(Field::UserEmail);
    event.set(Field::UrlOriginal, "/login?token=another-secret");
    event.set(Field::UrlOriginal, "/login");
    let bytes = written(&[event], &[]);
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("secret"), "{text}");
}

#[test]
fn every_field_has_a_code_of_its_own() {
    for (field, name) in Field::ALL {
        assert_eq!(Field::from_code(field.code()), Some(field), "{name}");
    }
    // Records outlive a release: codes may never change.
    assert_eq!(Field::UserName.code(), 22_600);
    assert_eq!(Field::from_code(0), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_texts_come_back(
        texts in proptest::collection::vec((0..Field::COUNT, ".{0,40}"), 0..30),
        labels in proptest::collection::vec(("[a-z]{1,5}", ".{0,10}"), 0..5),
        time: i64, received: i64, status: u16,
    ) {
        let mut event = Event::new();
        (event.time, event.received, event.status) = (time, received, status);
        for (field, text) in texts {
            event.set(Field::ALL[field].0, &text);
        }
        for (name, value) in labels {
            event.set_label(&name, &value);
        }
        let bytes = written(std::slice::from_ref(&event), &[]);
        let mut reader = Reader::new(&bytes);
        let shared = Shared::read(&mut reader).unwrap();
        prop_assert_eq!(seen(&shared.event(&mut reader).unwrap()), seen(&event));
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_without_harm(at in 0_usize..600, bit in 0_u8..8, cut in 0_usize..600) {
        let event = Arc::new(full());
        let mut bytes = written(&[full()], &[&finding(&event)]);
        bytes.truncate(cut.max(1));
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let mut reader = Reader::new(&bytes);
        if let Some(shared) = Shared::read(&mut reader)
            && let Some(event) = shared.event(&mut reader)
        {
            let _ = (seen(&event), shared.finding(&mut reader, Arc::new(event)));
        }
    }
}
