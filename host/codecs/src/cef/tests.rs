//! CEF records read back to the same fields, whatever bytes they held.

use proptest::prelude::*;
use sidewatch_event::{Delivery, Event, Evidence, EvidenceValue, Field};

use super::*;
use crate::testing::{TIME, event, finding};
use crate::text::{is_unsafe, push_visible};

fn encoded(delivery: &Delivery) -> String {
    let mut out = Vec::new();
    encode(delivery, &CefSettings::default(), &mut out);
    String::from_utf8(out).unwrap()
}

fn extension<'a>(record: &'a CefRecord, key: &str) -> Option<&'a str> {
    record
        .extensions
        .iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.as_str())
}

#[test]
fn an_event_is_one_record_with_the_dictionarys_keys() {
    let line = encoded(&Delivery::Event(event().into()));
    assert_eq!(
        line,
        format!(
            concat!(
                "CEF:0|Sidewatch|Sidewatch|{}|login|Login|3|rt={} externalId=000000000000000000000000000000ff ",
                "cat=authentication,session src=203.0.113.7 spt=4711 act=login outcome=success suser=zoë suid=u1 ",
                "dhost=chat.example.org requestMethod=POST request=/login?x\\=1 ",
                "requestClientApplication=Mozilla/5.0 requestContext=https://h/ out=15 cn1Label=httpStatus cn1=200 ",
                "cn2Label=sourceAsNumber cn2=64500 slat=49.2 slong=16.6 flexString2Label=sourceCountry flexString2=CZ ",
                "flexString1Label=networkKind flexString1=mobile cs1Label=session cs1=5e55 ",
                "cs5Label=requestId cs5=0af7 cs6Label=labels cs6=choice\\=approve"
            ),
            env!("CARGO_PKG_VERSION"),
            TIME
        )
    );
}

#[test]
fn a_finding_carries_its_evidence() {
    let record = decode(&encoded(&Delivery::Finding(finding().into()))).unwrap();
    assert_eq!(
        (record.class_id.as_str(), record.severity.as_str()),
        ("impossible-travel", "8")
    );
    assert_eq!(record.name, "zoë cannot have travelled so fast");
    for (key, value) in [
        ("cs1Label", "previous_address"),
        ("cs1", "198.51.100.4"),
        ("cs2", "1800.5"),
        ("cs4", "48.9,2.3"),
        ("cs5", "00000000000000aa"),
        ("cs6", "impossible-travel 1.0.0"),
        ("suser", "zoë"),
        ("cat", "T1078"),
    ] {
        assert_eq!(extension(&record, key), Some(value), "{key}");
    }
    assert!(
        extension(&record, "msg")
            .unwrap()
            .ends_with("note=a=b|c; note=7")
    );
}

#[test]
fn the_product_is_the_applications() {
    let mut event = Event::new();
    event.set(Field::ObserverProduct, "Archive|matica");
    let line = encoded(&Delivery::Event(event.into()));
    assert!(
        line.starts_with(r"CEF:0|Sidewatch|Archive\|matica|"),
        "{line}"
    );
}

#[test]
fn values_are_cut_after_they_were_escaped() {
    let mut event = Event::new();
    event.set(Field::UrlOriginal, &"=".repeat(5000));
    event.set(Field::ObserverProduct, &"|".repeat(5000));
    let line = encoded(&Delivery::Event(event.into()));
    assert_eq!(line.matches(r"\=").count(), 511, "1023 bytes at most");
    assert_eq!(line.matches(r"\|").count(), 256, "512 bytes at most");
    let record = decode(&line).unwrap();
    assert_eq!(extension(&record, "request").map(str::len), Some(511));
}

#[test]
fn what_is_no_record_is_refused() {
    assert_eq!(decode("CEF:1|a|b|c|d|e|5|"), Err(CefError::Version));
    assert_eq!(decode("CEF:0|a|b|c|d|e"), Err(CefError::Header));
    assert_eq!(
        decode("CEF:0|a|b|c|d|e|5|no pairs"),
        Err(CefError::Extension)
    );
    assert_eq!(decode("CEF:0|a|b|c|d|e|5|").unwrap().extensions, []);
    let record = decode(r"CEF:0|a\||b\\|c|d|e|5|request=x y\=z  act=\n\q").unwrap();
    assert_eq!(
        (record.vendor.as_str(), record.product.as_str()),
        ("a|", "b\\")
    );
    assert_eq!(
        (extension(&record, "request"), extension(&record, "act")),
        (Some("x y=z "), Some("\n\\q"))
    );
}

/// What is left of a text: everything, unsafe characters shown.
fn shown(text: &str, keep_line_ends: bool) -> String {
    let mut out = String::new();
    for character in text.chars() {
        if is_unsafe(character) && !(keep_line_ends && matches!(character, '\n' | '\r')) {
            push_visible(character, &mut out);
        } else {
            out.push(character);
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_text_is_one_line_and_comes_back(
        text in prop::collection::vec(prop_oneof![any::<char>(), prop::sample::select(vec!['=', '\\', '|', '\n', '\r', ' ', 'a'])], 1..40)
    ) {
        let text: String = text.into_iter().collect();
        let expected = shown(&text, true);
        let mut event = Event::new();
        event.set(Field::UserName, &text);
        event.set(Field::SidewatchName, &text);
        event.set(Field::UrlOriginal, &text);
        let line = encoded(&Delivery::Event(event.into()));
        prop_assert!(!line.chars().any(is_unsafe));
        let record = decode(&line).unwrap();
        prop_assert_eq!(extension(&record, "suser"), Some(expected.as_str()));
        prop_assert_eq!(extension(&record, "request"), Some(expected.as_str()));
        prop_assert_eq!(record.name, shown(&text, false));

        let mut finding = finding();
        finding.title.clone_from(&text);
        finding.evidence = vec![Evidence { name: text.clone(), value: EvidenceValue::Text(text.clone()) }];
        let line = encoded(&Delivery::Finding(finding.into()));
        prop_assert!(!line.chars().any(is_unsafe));
        let record = decode(&line).unwrap();
        prop_assert_eq!(extension(&record, "cs1Label"), Some(expected.as_str()));
        prop_assert_eq!(extension(&record, "cs1"), Some(expected.as_str()));
        prop_assert_eq!(extension(&record, "suser"), Some("zoë"));
    }

    #[test]
    fn no_text_panics(text in "(CEF:0\\|)?[a=| \\\\n]{0,40}") {
        if let Ok(record) = decode(&text) {
            prop_assert!(record.extensions.iter().all(|(key, _)| !key.is_empty()));
        }
    }
}

fn request_settings() -> CefSettings {
    CefSettings {
        vendor: "Artefactual Systems, Inc.".into(),
        version: "hosted".into(),
        layout: Layout::Request,
        ..CefSettings::default()
    }
}

fn requested(event: Event) -> String {
    let mut out = Vec::new();
    encode(
        &Delivery::Event(event.into()),
        &request_settings(),
        &mut out,
    );
    String::from_utf8(out).unwrap()
}

#[test]
fn the_short_layout_has_its_keys_in_their_order() {
    let mut event = Event::new();
    event.time = TIME;
    event.peer_ip = Some("192.0.2.7".parse().unwrap());
    event.severity = Some(3);
    for (field, text) in [
        (Field::ObserverProduct, "Archivematica"),
        (Field::EventCode, "16"),
        (Field::SidewatchName, "AIP downloaded"),
        (Field::UserAgentOriginal, "curl/8 a=b|c\\d"),
        (Field::HttpRequestMethod, "GET"),
        (Field::UrlOriginal, "/x?y=1"),
        (Field::UserName, "zoë\n\u{85}"),
        (Field::Message, "UUID:1"),
    ] {
        event.set(field, text);
    }
    assert_eq!(
        requested(event),
        "CEF:0|Artefactual Systems, Inc.|Archivematica|hosted|16|AIP downloaded|3|\
         cs1Label=requestClientApplication cs1=curl/8 a\\=b|c\\\\d rt=Nov 21 2026 01:02:03 \
         requestMethod=GET request=/x?y\\=1 src=192.0.2.7 suser=zoë\\n<U+0085> msg=UUID:1"
    );
}

#[test]
fn what_is_absent_is_left_out_of_the_short_layout() {
    let mut event = Event::new();
    event.time = -1;
    event.source_ip = Some("2001:db8::7".parse().unwrap());
    event.set(Field::EventAction, "a|b");
    assert_eq!(
        requested(event),
        "CEF:0|Artefactual Systems, Inc.|Sidewatch|hosted|a\\|b|a\\|b|0|\
         rt=Dec 31 1969 23:59:59 src=2001:db8::7"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn the_short_layout_is_one_line_that_reads_back(
        agent in "[ -~]{0,20}\\PC{0,20}", user in "\\PC{1,20}", name in "[a-z|\\\\]{1,9}"
    ) {
        let mut event = Event::new();
        event.set(Field::UserAgentOriginal, &agent);
        event.set(Field::UserName, &user);
        event.set(Field::SidewatchName, &name);
        let line = requested(event);
        prop_assert!(!line.contains(['\n', '\r']));
        let record = decode(&line).unwrap();
        prop_assert_eq!(&record.name, &name);
        let found = |key| extension(&record, key).unwrap_or_default().to_owned();
        if !agent.is_empty() && !agent.chars().any(is_unsafe) && !agent.ends_with(' ') {
            prop_assert_eq!(found("cs1"), agent);
        }
        if !user.chars().any(is_unsafe) && !user.ends_with(' ') {
            prop_assert_eq!(found("suser"), user);
        }
    }
}
