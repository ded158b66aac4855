//! Forms as the receiver takes them: limits, escapes, times, types.

use proptest::prelude::*;
use sidewatch_event::{Activity, Delivery, Event, Evidence, EvidenceValue, Field};

use super::*;
use crate::DecodeError;
use crate::testing::{TIME, event, finding};

fn pairs(delivery: &Delivery, now: i64) -> Vec<(String, String)> {
    let mut out = String::new();
    encode_form(delivery, now, &mut out).unwrap();
    form_urlencoded::parse(out.as_bytes())
        .into_owned()
        .collect()
}

fn value(delivery: &Delivery, name: &str) -> Option<String> {
    let all = pairs(delivery, i64::MAX);
    assert!(all.iter().filter(|(key, _)| key == name).count() < 2);
    all.into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

fn sent(change: impl FnOnce(&mut Event)) -> Delivery {
    let mut event = event();
    change(&mut event);
    Delivery::Event(event.into())
}

#[test]
fn an_event_becomes_the_form_tirreno_reads() {
    let expected = [
        ("ipAddress", "203.0.113.7"),
        ("eventTime", "2026-11-21 01:02:03.045"),
        ("url", "/login?x=1"),
        ("eventType", "account_login"),
        ("httpMethod", "POST"),
        ("httpReferer", "https%3A%2F%2Fh%2F"),
        ("httpCode", "200"),
        ("userName", "zoë"),
        ("userAgent", "Mozilla/5.0"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(pairs(&sent(|_| ()), i64::MAX), expected);
}

#[test]
fn a_failed_login_is_sent_without_its_status() {
    let failed = sent(|event| {
        event.activity = Activity::LoginFailure;
        event.status = 401;
    });
    assert_eq!(
        value(&failed, "eventType").as_deref(),
        Some("account_login_fail")
    );
    assert_eq!(value(&failed, "httpCode"), None);
    let missing = sent(|event| {
        event.activity = Activity::Other;
        event.status = 404;
    });
    assert_eq!(value(&missing, "eventType").as_deref(), Some("page_error"));
    assert_eq!(value(&missing, "httpCode").as_deref(), Some("404"));
}

#[test]
fn no_time_is_in_the_future() {
    let time = |event: Delivery, now| pairs(&event, now)[1].1.clone();
    assert_eq!(time(sent(|_| ()), TIME - 45), "2026-11-21 01:02:03.000");
    let unknown = || sent(|event| (event.time, event.received) = (0, 0));
    assert_eq!(time(unknown(), TIME), "2026-11-21 01:02:03.045");
}

#[test]
fn an_event_always_has_an_account_of_its_own() {
    let name = |change: fn(&mut Event)| value(&sent(change), "userName").unwrap();
    assert_eq!(name(|event| event.unset(Field::UserName)), "u1");
    let anonymous = |event: &mut Event| {
        event.set(Field::UserName, " ");
        event.unset(Field::UserId);
    };
    assert_eq!(value(&sent(anonymous), "userName").unwrap(), "203.0.113.*");
    let six = |event: &mut Event| {
        anonymous(event);
        event.source_ip = Some("2001:db8:1:2::3".parse().unwrap());
    };
    assert_eq!(value(&sent(six), "userName").unwrap(), "2001:db8:1:*");
    let email = |event: &mut Event| event.set(Field::UserEmail, "zoe@example.org");
    assert_eq!(
        value(&sent(email), "emailAddress").unwrap(),
        "zoe@example.org"
    );
}

#[test]
fn an_event_without_an_address_cannot_be_sent() {
    let mut out = String::from("kept");
    let nowhere = sent(|event| event.source_ip = None);
    assert_eq!(
        encode_form(&nowhere, TIME, &mut out),
        Err(UnsendableError::NoAddress)
    );
    assert_eq!(out, "kept");
    let mapped = sent(|event| event.source_ip = Some("::ffff:8.8.8.8".parse().unwrap()));
    assert_eq!(value(&mapped, "ipAddress").unwrap(), "8.8.8.8");
}

#[test]
fn a_finding_shows_in_the_event_panel() {
    let finding = Delivery::Finding(finding().into());
    assert_eq!(value(&finding, "eventType").as_deref(), Some("field_edit"));
    assert_eq!(
        value(&finding, "url").as_deref(),
        Some("/sidewatch/impossible-travel/00000000000000aa")
    );
    assert_eq!(value(&finding, "userName").as_deref(), Some("zoë"));
    assert_eq!(value(&finding, "httpCode"), None);
    let history: serde_json::Value =
        serde_json::from_str(&value(&finding, "fieldHistory").unwrap()).unwrap();
    let items: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (&item["field_name"], &item["new_value"]))
        .collect();
    assert!(items.contains(&(
        &"finding".into(),
        &"zoë cannot have travelled so fast".into()
    )));
    assert!(items.contains(&(&"distance_km".into(), &"1800.5".into())));
    assert!(items.contains(&(&"note_2".into(), &"7".into())));
    assert_eq!(history[0]["field_id"], "sidewatch.finding");
}

#[test]
fn a_request_id_that_does_not_fit_is_not_sent() {
    assert_eq!(request_id(&sent(|_| ())), Some("0af7"));
    for id in ["", "0123456789012345678901234567890123456", "a\nb", "a b"] {
        assert_eq!(
            request_id(&sent(|event| event.set(Field::HttpRequestId, id))),
            None
        );
    }
}

#[test]
fn forms_of_trackers_are_read() {
    let body = concat!(
        "ipAddress=203.0.113.7&url=https%3A%2F%2Fh.example%2Fa%3Ftoken%3Ds3cret&eventTime=2026-11-21+01:02:03.045",
        "&userName=eve&userName=zo%C3%AB&httpCode=200&eventType=Account_Login_Fail&httpMethod=post",
        "&httpReferer=https%253A%252F%252Fh%252F%253Fa%253Db&payload=s3cret&unknown=1"
    );
    let mut event = Event::new();
    decode_form(body.as_bytes(), &mut event).unwrap();
    let get = |field| event.get(field).unwrap_or("(absent)");
    assert_eq!(
        (event.time, event.status, event.activity),
        (TIME, 200, Activity::LoginFailure)
    );
    assert_eq!(event.source_ip, Some([203, 0, 113, 7].into()));
    assert_eq!(
        (get(Field::UserName), get(Field::HttpRequestMethod)),
        ("zoë", "POST")
    );
    assert_eq!(
        (get(Field::UrlPath), get(Field::UrlQuery)),
        ("/a", "token=REDACTED")
    );
    assert_eq!(
        (get(Field::UrlDomain), get(Field::HttpRequestReferrer)),
        ("h.example", "https://h/?a=b")
    );
    assert!(!format!("{event:?}").contains("s3cret"));
}

#[test]
fn forms_without_the_required_fields_are_refused() {
    let refused = |body: &str| decode_form(body.as_bytes(), &mut Event::new()).unwrap_err();
    assert_eq!(
        refused("url=/"),
        DecodeError::Missing { field: "ipAddress" }
    );
    assert_eq!(
        refused("ipAddress=::1"),
        DecodeError::Missing { field: "url" }
    );
    assert!(matches!(
        refused("ipAddress=1.2.3.4:5&url=/"),
        DecodeError::Field { .. }
    ));
    assert!(decode_form(b"ipAddress=::1&url=", &mut Event::new()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn limits_hold_and_text_survives(text in any::<String>(), times in 1_usize..300) {
        let long = text.repeat(times);
        let delivery = sent(|event| {
            for field in [Field::UserName, Field::UserAgentOriginal, Field::HttpRequestReferrer, Field::UrlOriginal] {
                event.set(field, &long);
            }
        });
        let limits = [("userName", 100), ("userAgent", 511), ("httpReferer", 2047), ("url", 2047)];
        for (name, limit) in limits {
            let held = value(&delivery, name).unwrap_or_default();
            prop_assert!(held.len() <= limit && !held.chars().any(char::is_control));
        }
        prop_assert!(value(&delivery, "userName").is_some_and(|name| !name.is_empty()));
        let referrer = value(&delivery, "httpReferer").unwrap_or_default();
        let twice = format!("r={referrer}");
        let twice = form_urlencoded::parse(twice.as_bytes()).next().unwrap().1;
        let torn = twice.contains(char::REPLACEMENT_CHARACTER) && !long.contains(char::REPLACEMENT_CHARACTER);
        prop_assert!(!torn);
    }

    #[test]
    fn what_is_written_is_read_again(
        user in "[^\\p{C}\\u{2028}\\u{2029}]{1,20}",
        path in "/[a-zA-Z0-9 +&é]{0,20}",
        referrer in "[a-z+ é&/]{0,20}",
    ) {
        prop_assume!(!user.trim().is_empty());
        let delivery = sent(|event| {
            event.set(Field::UserName, &user);
            event.set(Field::UrlOriginal, &path);
            event.set(Field::HttpRequestReferrer, &referrer);
        });
        let mut out = String::new();
        encode_form(&delivery, i64::MAX, &mut out).unwrap();
        let mut event = Event::new();
        decode_form(out.as_bytes(), &mut event).unwrap();
        prop_assert_eq!(event.get(Field::UserName), Some(user.as_str()));
        prop_assert_eq!(event.get(Field::UrlOriginal), Some(path.as_str()));
        prop_assert_eq!(event.get(Field::HttpRequestReferrer).unwrap_or_default(), &referrer);
        prop_assert_eq!((event.time, event.activity), (TIME, Activity::LoginSuccess));
    }

    #[test]
    fn evidence_of_any_text_is_valid_json(name in any::<String>(), text in any::<String>()) {
        let mut finding = finding();
        finding.evidence = vec![Evidence { name, value: EvidenceValue::Text(text) }];
        let history = value(&Delivery::Finding(finding.into()), "fieldHistory").unwrap();
        let items: serde_json::Value = serde_json::from_str(&history).unwrap();
        prop_assert_eq!(items.as_array().map(Vec::len), Some(7));
    }

    #[test]
    fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..80)) {
        let body = [b"ipAddress=::1&url=", &body[..]].concat();
        prop_assert!(decode_form(&body, &mut Event::new()).is_ok());
    }
}
