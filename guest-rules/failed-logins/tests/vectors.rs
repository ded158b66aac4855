//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use failed_logins::FailedLogins;
use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::{Activity, vectors};

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/failed-logins/tests");
    match vectors::run::<FailedLogins>(&folder) {
        Ok(held) => assert!(held > 40, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/failed-logins/README.md");
    vectors::check_page::<FailedLogins>(&page).unwrap();
}

#[test]
fn what_says_nothing_new_is_not_written() {
    let seen = |hours: f64| {
        TestEvent::new("zoe", hours * 60.0)
            .from("192.0.2.7")
            .user_agent("Firefox/Linux")
            .activity(Activity::LoginSuccess)
    };
    let events = [
        seen(0.0),
        seen(23.0),
        seen(23.5).from("203.0.113.7"),
        seen(24.0),
        seen(12.0),
    ];
    let written = [true, false, true, true, false];
    assert_eq!(vectors::writes::<FailedLogins>(&events).unwrap(), written);
}
