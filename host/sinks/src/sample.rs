//! Records for this crate's tests.

use std::sync::Arc;

use sidewatch_event::{Activity, Delivery, Event, Evidence, EvidenceValue, Field, Finding};

/// 2025-11-20 12:00:00 UTC in milliseconds since the epoch.
pub(crate) const NOON: i64 = 1_763_640_000_000;

/// A page view of user `zoe`, one per second from noon.
pub(crate) fn page_view(id: u128) -> Event {
    let mut event = Event::new();
    event.id = id;
    event.time = NOON + i64::try_from(id).unwrap() * 1000;
    event.received = event.time;
    event.status = 200;
    event.source_ip = Some("192.0.2.7".parse().unwrap());
    event.set(Field::UserName, "zoe");
    event.set(Field::UrlOriginal, &format!("/page/{id}"));
    event.set(Field::UrlPath, &format!("/page/{id}"));
    event.set(Field::HttpRequestMethod, "GET");
    event.set(Field::EventDataset, "nginx.access");
    event
}

/// A page view as handed to a sink.
pub(crate) fn event(id: u128) -> Delivery {
    Delivery::Event(Arc::new(page_view(id)))
}

/// A failed login as handed to a sink.
pub(crate) fn failed_login(id: u128) -> Delivery {
    let mut event = page_view(id);
    event.status = 401;
    event.activity = Activity::LoginFailure;
    event.set(Field::EventCategory, "authentication");
    event.set(Field::EventType, "start");
    event.set(Field::EventOutcome, "failure");
    event.set(Field::EventAction, "login");
    event.set(Field::UrlOriginal, "/login");
    event.set(Field::UrlPath, "/login");
    Delivery::Event(Arc::new(event))
}

/// A finding as handed to a sink.
pub(crate) fn finding(id: u128) -> Delivery {
    let evidence = |name: &str, value| Evidence {
        name: name.into(),
        value,
    };
    Delivery::Finding(Arc::new(Finding {
        id,
        incident: 7,
        occurrence: 1,
        rule: "impossible-travel".into(),
        rule_version: "1.0.0".into(),
        kind: "impossible-travel".into(),
        technique: "T1078".into(),
        severity: 8,
        score: 0.9,
        title: "Oslo to Perth in one hour".into(),
        time: NOON,
        evidence: vec![
            evidence(
                "previous_address",
                EvidenceValue::Address("198.51.100.4".parse().unwrap()),
            ),
            evidence("distance_km", EvidenceValue::Real(12_900.5)),
        ],
        event: Arc::new(page_view(id)),
    }))
}
