//! What a person sees on the terminal.

use std::sync::Arc;

use proptest::prelude::*;
use sidewatch_event::{Evidence, EvidenceValue, Field};

use super::*;
use crate::sample;

fn text_line(delivery: &Delivery, colours: bool) -> String {
    let mut out = String::new();
    line::write(delivery, colours, &mut out);
    out
}

#[test]
fn a_finding_shows_when_how_bad_who_and_why() {
    let shown = text_line(&sample::finding(1), false);
    assert!(
        shown.starts_with("2025-11-20T12:00:00.000Z high     Oslo to Perth in one hour user=zoe"),
        "{shown}"
    );
    for part in [
        "source=192.0.2.7",
        "previous_address=198.51.100.4",
        "distance_km=12900.5",
        "rule=impossible-travel",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains('\x1b'));
    assert!(text_line(&sample::finding(1), true).contains('\x1b'));
}

#[test]
fn a_value_cannot_pass_for_two() {
    let mut event = sample::page_view(1);
    event.set(Field::UserName, "zoe\" rule=none");
    let shown = text_line(&Delivery::Event(Arc::new(event)), false);
    assert!(shown.contains(r#"user="zoe\" rule=none""#), "{shown}");
}

#[tokio::test]
async fn events_are_left_out_unless_asked_for() {
    let batch = [sample::event(1), sample::finding(2)];
    let settings = |events| ConsoleSettings {
        events,
        colours: Some(false),
        ..ConsoleSettings::default()
    };
    for (events, filtered) in [(false, 1), (true, 0)] {
        let (mut near, far) = tokio::io::duplex(4096);
        let mut sink = settings(events).build();
        sink.out = Box::new(far);
        let outcome = sink.deliver(&batch).await;
        assert_eq!((outcome.finished, outcome.filtered), (2, filtered));
        drop(sink);
        let mut shown = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut near, &mut shown)
            .await
            .unwrap();
        assert_eq!(shown.lines().count(), 2 - filtered);
    }
}

fn hostile() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        any::<char>(),
        prop::char::range('\0', '\u{a0}'),
        prop::char::range('\u{2000}', '\u{2070}'),
        Just('\u{1b}'),
        Just('\u{9b}'),
    ];
    prop::collection::vec(character, 0..40).prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_control_character_reaches_the_terminal(text in hostile()) {
        let mut event = sample::page_view(1);
        event.set(Field::UserName, &text);
        event.set(Field::UrlOriginal, &text);
        let Delivery::Finding(mut finding) = sample::finding(2) else { unreachable!() };
        let inner = Arc::get_mut(&mut finding).unwrap();
        inner.title.clone_from(&text);
        inner.event = Arc::new(event.clone());
        inner.evidence = vec![Evidence { name: text.clone(), value: EvidenceValue::Text(text.clone()) }];
        for delivery in [Delivery::Event(Arc::new(event)), Delivery::Finding(finding)] {
            let shown = text_line(&delivery, false);
            prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
            let misleading = ['\u{202e}', '\u{2028}', '\u{200b}', '\u{2066}'];
            prop_assert!(!shown.contains(misleading));
        }
    }

    #[test]
    fn escaping_for_the_terminal_does_not_change_the_json(text in hostile()) {
        let json = serde_json::to_string(&text).unwrap();
        let mut escaped = String::new();
        line::push_json_escaped(&json, &mut escaped);
        prop_assert!(!escaped.chars().any(char::is_control));
        prop_assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
