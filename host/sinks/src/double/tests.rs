//! The double behaves as the receiver does, faults included.

use super::form::Form;
use super::record::{Fate, store};
use super::*;

fn stored(body: &str) -> Record {
    match store(&Form::parse(body.as_bytes()), None) {
        Fate::Stored(record) => *record,
        Fate::Lost(why) => panic!("lost: {why}"),
    }
}

fn is_lost(body: &str, request_id: Option<&str>) -> bool {
    matches!(
        store(&Form::parse(body.as_bytes()), request_id),
        Fate::Lost(_)
    )
}

#[test]
fn an_error_status_turns_any_type_into_page_error() {
    let record = stored("ipAddress=192.0.2.1&url=/login&eventType=account_login_fail&httpCode=401");
    assert_eq!(
        (record.event_type.as_str(), record.http_code),
        ("page_error", 401)
    );
    assert_eq!(
        stored("ipAddress=192.0.2.1&url=/&eventType=Account_Login").event_type,
        "account_login"
    );
    assert_eq!(
        stored("ipAddress=192.0.2.1&url=/&eventType=login").event_type,
        "page_view"
    );
}

#[test]
fn the_last_of_repeated_fields_counts() {
    let record = stored("ipAddress=192.0.2.1&url=/a?x=1&userName=zoe&userName=ceo");
    assert_eq!(record.user_name, "ceo");
    assert_eq!(
        (record.url.as_str(), record.query.as_deref()),
        ("/a", Some("x=1"))
    );
}

#[test]
fn the_referer_is_decoded_twice() {
    let record =
        stored("ipAddress=192.0.2.1&url=/&httpReferer=https%3A%2F%2Fa%2F%3Fq%3D1%2B1%252541");
    assert_eq!(record.referer.as_deref(), Some("https://a/?q=1 1%41"));
    assert!(is_lost("ipAddress=192.0.2.1&url=/&httpReferer=%25ff", None));
}

#[test]
fn what_the_database_refuses_is_lost() {
    let cut = format!(
        "ipAddress=192.0.2.1&url=/&userName={}%C3%A9",
        "a".repeat(99)
    );
    assert!(is_lost(&cut, None));
    assert!(!is_lost("ipAddress=192.0.2.1&url=/", Some(&"a".repeat(36))));
    assert!(is_lost("ipAddress=192.0.2.1&url=/", Some(&"a".repeat(37))));
    assert!(is_lost("ipAddress=192.0.2.1&url=/&httpCode=32768", None));
}

#[test]
fn bad_values_are_replaced_with_a_warning() {
    let record =
        stored("ipAddress=192.0.2.1:80&url=/p%FFq&eventTime=2026-11-20T12:00:00Z&httpCode=-");
    assert_eq!(
        (record.ip.as_str(), record.time, record.http_code),
        ("0.0.0.0", None, 0)
    );
    assert_eq!(
        (record.url.as_str(), record.query.as_deref()),
        ("/p", Some("q"))
    );
    assert_eq!(record.warnings, ["ipAddress", "eventTime", "httpCode"]);
    let good = stored("ipAddress=192.0.2.1&url=/&eventTime=2026-11-20+12:00:00.123456");
    assert_eq!(good.time.as_deref(), Some("2026-11-20 12:00:00.123"));
    assert!(good.warnings.is_empty());
}

#[test]
fn the_panel_shows_payloads_of_two_types_only() {
    let payload = r#"&payload={"field_id":"rule","value":"evidence","more":1}"#;
    let shown = stored(&format!(
        "ipAddress=192.0.2.1&url=/&eventType=page_search{payload}"
    ));
    assert_eq!(shown.panel(), ["rule", "evidence"]);
    let view = stored(&format!("ipAddress=192.0.2.1&url=/{payload}"));
    assert!(view.panel().is_empty());
    let error = stored(&format!(
        "ipAddress=192.0.2.1&url=/&httpCode=500&eventType=page_search{payload}"
    ));
    assert!(error.payload.is_some() && error.panel().is_empty());
}
