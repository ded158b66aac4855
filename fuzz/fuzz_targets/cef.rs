//! Any line is read or refused; any text is written as one record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidewatch_codecs::{cef, json};
use sidewatch_event::{Delivery, Event, Evidence, EvidenceValue, Field, Finding};

fuzz_target!(|input: (&str, &str)| {
    let (line, text) = input;
    if let Ok(record) = cef::decode(line) {
        assert!(record.extensions.iter().all(|(key, _)| !key.is_empty()));
    }
    let mut event = Event::new();
    for (field, _) in Field::ALL {
        event.set(field, text);
    }
    event.set_label(line, text);
    let finding = Finding {
        id: 1,
        incident: 2,
        occurrence: 3,
        rule: line.into(),
        rule_version: text.into(),
        kind: text.into(),
        technique: text.into(),
        severity: 255,
        score: f32::NAN,
        title: text.into(),
        time: 5,
        evidence: vec![Evidence { name: line.into(), value: EvidenceValue::Text(text.into()) }; 6],
        event: event.clone().into(),
    };
    for delivery in [Delivery::Event(event.into()), Delivery::Finding(finding.into())] {
        let mut out = Vec::new();
        cef::encode(&delivery, &cef::CefSettings::default(), &mut out);
        let written = std::str::from_utf8(&out).expect("CEF is text");
        assert!(!written.contains(char::is_control));
        let record = cef::decode(written).expect("what is written is read");
        let user = record.extensions.iter().find(|(key, _)| key == "suser");
        let plain = text.len() < 1000 && !text.chars().any(|c| c.is_control() && c != '\n' && c != '\r');
        if plain && !text.is_empty() && text.is_ascii() {
            assert_eq!(user.map(|(_, value)| value.as_str()), Some(text));
        }
        let mut out = Vec::new();
        json::encode(&delivery, &mut out);
        assert!(!std::str::from_utf8(&out).expect("JSON is text").contains(char::is_control));
    }
});
