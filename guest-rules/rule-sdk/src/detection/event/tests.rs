//! The event says what the numbers on the wire mean.

use super::*;
use crate::detection::harness::{TestEvent, hash};

fn with<T>(event: &TestEvent, ask: impl Fn(&Event<'_>) -> T) -> T {
    ask(&Event::without_texts(&event.numbers()))
}

#[test]
fn every_number_is_the_activity_and_the_network_of_its_name() {
    for (number, (activity, _)) in (0..).zip(Activity::ALL) {
        let event = TestEvent {
            activity: number,
            ..TestEvent::default()
        };
        assert_eq!(with(&event, |event| event.activity()), activity);
        let failed = activity == Activity::LoginFailure;
        assert_eq!(with(&event, |event| event.is_login_failure()), failed);
    }
    for (number, kind) in (0..).zip(NetworkKind::ALL) {
        assert_eq!(NetworkKind::from_number(number), kind);
    }
    // Numbers of a newer interface.
    let newer = TestEvent {
        activity: 99,
        network_kind: 99,
        ..TestEvent::default()
    };
    assert_eq!(with(&newer, |event| event.activity()), Activity::Other);
    assert_eq!(
        with(&newer, |event| event.network_kind()),
        NetworkKind::Unknown
    );
    let names: std::collections::BTreeSet<_> = NetworkKind::ALL
        .iter()
        .map(|kind| kind.as_str().to_owned())
        .collect();
    assert_eq!(names.len(), NetworkKind::ALL.len());
}

#[test]
fn addresses_come_back_in_the_form_they_were_sent_from() {
    for (address, network) in [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:7:8::9", "2001:db8:7::/48"),
    ] {
        let event = TestEvent::default().from(address);
        let shown = with(&event, |event| (event.address(), event.address_halves()));
        assert_eq!(shown.0, address.parse().ok());
        assert_eq!(network_text(shown.1), network);
    }
    let unknown = TestEvent::default();
    assert_eq!(with(&unknown, |event| event.address()), None);
    assert_eq!(with(&unknown, |event| event.network()), 0);
}

#[test]
fn networks_are_equal_when_the_24_or_48_bits_are() {
    let network = |address| with(&TestEvent::default().from(address), |event| event.network());
    assert_eq!(network("192.0.2.7"), network("192.0.2.255"));
    assert_ne!(network("192.0.2.7"), network("192.0.3.7"));
    assert_eq!(network("2001:db8:7:8::9"), network("2001:db8:7:ffff::1"));
    assert_ne!(network("2001:db8:7:8::9"), network("2001:db8:8:8::9"));
}

#[test]
fn an_event_says_what_was_put_into_it() {
    let event = TestEvent::new("zoe", 1.5)
        .session("s1")
        .device("phone")
        .user_agent("Firefox/Linux")
        .as_number(64500)
        .country("CZ")
        .status(404);
    with(&event, |seen| {
        assert_eq!(seen.time(), event.time);
        assert_eq!(seen.seconds().map(i64::from), Some(event.time / 1000));
        assert_eq!(seen.user(), hash("zoe"));
        assert_eq!(seen.session(), hash("s1"));
        assert_eq!(seen.device(), hash("phone"));
        assert_eq!(seen.user_agent(), hash("Firefox/Linux"));
        assert_eq!(seen.as_number(), 64500);
        assert_eq!(seen.country(), u32::from(u16::from_be_bytes(*b"CZ")));
        assert_eq!(seen.status(), 404);
        assert_eq!(seen.text(0), None);
    });
}

#[test]
fn coordinates_that_can_be_no_place_are_none() {
    let located = |north, east, radius| {
        let event = TestEvent::default().at(north, east, radius);
        with(&event, |event| {
            event.location().map(|place| place.accuracy_km)
        })
    };
    assert_eq!(located(50.0, 14.0, 10.5), Some(10.5));
    assert_eq!(located(-90.0, 180.0, 1.0), Some(1.0));
    assert_eq!(located(0.0, 14.0, f32::NAN), Some(0.0));
    assert_eq!(located(50.0, 0.0, -1.0), Some(0.0));
    assert_eq!(located(0.0, 0.0, 10.0), None);
    assert_eq!(located(90.1, 14.0, 10.0), None);
    assert_eq!(located(50.0, -180.1, 10.0), None);
    assert_eq!(located(f64::NAN, 14.0, 10.0), None);
}

#[test]
fn who_was_let_in_depends_on_the_act_and_its_status() {
    let present = |activity: Activity, status| {
        let event = TestEvent::default().activity(activity).status(status);
        with(&event, |event| event.is_presence())
    };
    for (activity, _) in Activity::ALL {
        let refused = matches!(
            activity,
            Activity::LoginFailure
                | Activity::MfaPrompt
                | Activity::MfaFailure
                | Activity::Unanswered
        );
        let form = matches!(
            activity,
            Activity::LoginSuccess
                | Activity::PasswordChange
                | Activity::TokenCreation
                | Activity::MfaRemoval
        );
        for status in [0, 101, 200, 299, 304, 403] {
            assert_eq!(present(activity, status), !refused, "{activity:?} {status}");
        }
        for status in [302, 303] {
            assert_eq!(present(activity, status), form, "{activity:?} {status}");
        }
        for status in [100, 199, 300, 301, 400, 401, 404, 500] {
            assert!(!present(activity, status), "{activity:?} {status}");
        }
    }
}
