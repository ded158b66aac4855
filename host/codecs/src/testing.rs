//! An event and a finding with every kind of content, for tests.

use sidewatch_event::{
    Activity, Event, Evidence, EvidenceValue, Field, Finding, Location, NetworkKind,
};

/// 2026-11-21 01:02:03.045 UTC.
pub(crate) const TIME: i64 = 1_795_222_923_045;

pub(crate) fn event() -> Event {
    let mut event = Event::new();
    event.id = 0xff;
    event.time = TIME;
    event.received = TIME + 955;
    event.status = 200;
    event.response_bytes = Some(15);
    event.source_ip = Some([203, 0, 113, 7].into());
    event.source_port = 4711;
    event.as_number = 64_500;
    event.location = Some(Location {
        latitude: 49.2,
        longitude: 16.6,
        accuracy_km: 20.0,
    });
    event.network_kind = NetworkKind::Mobile;
    event.activity = Activity::LoginSuccess;
    event.severity = Some(3);
    for (field, text) in [
        (Field::EventAction, "login"),
        (Field::EventCategory, "authentication,session"),
        (Field::EventDataset, "nginx.access"),
        (Field::EventOutcome, "success"),
        (Field::HttpRequestId, "0af7"),
        (Field::HttpRequestMethod, "POST"),
        (Field::HttpRequestReferrer, "https://h/"),
        (Field::SessionId, "5e55"),
        (Field::SidewatchName, "Login"),
        (Field::SourceGeoCountryIsoCode, "CZ"),
        (Field::UrlDomain, "chat.example.org"),
        (Field::UrlOriginal, "/login?x=1"),
        (Field::UrlPath, "/login"),
        (Field::UserId, "u1"),
        (Field::UserName, "zoë"),
        (Field::UserAgentOriginal, "Mozilla/5.0"),
    ] {
        event.set(field, text);
    }
    event.set_label("choice", "approve");
    event
}

pub(crate) fn finding() -> Finding {
    let evidence = |name: &str, value| Evidence {
        name: name.into(),
        value,
    };
    Finding {
        id: 0xabc,
        incident: 0xaa,
        occurrence: 2,
        rule: "impossible-travel".into(),
        rule_version: "1.0.0".into(),
        kind: "impossible-travel".into(),
        technique: "T1078".into(),
        severity: 8,
        score: 0.9,
        title: "zoë cannot have travelled so fast".into(),
        time: TIME,
        evidence: vec![
            evidence(
                "previous_address",
                EvidenceValue::Address([198, 51, 100, 4].into()),
            ),
            evidence("distance_km", EvidenceValue::Real(1800.5)),
            evidence("previous_time", EvidenceValue::Time(TIME - 3_600_000)),
            evidence("previous_place", EvidenceValue::Coordinates(48.9, 2.3)),
            evidence("note", EvidenceValue::Text("a=b|c".into())),
            evidence("note", EvidenceValue::Integer(7)),
        ],
        event: event().into(),
    }
}
