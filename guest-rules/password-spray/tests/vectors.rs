//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use password_spray::PasswordSpray;
use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::{Activity, vectors};

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/password-spray/tests");
    match vectors::run::<PasswordSpray>(&folder) {
        Ok(held) => assert!(held > 25, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/password-spray/README.md");
    vectors::check_page::<PasswordSpray>(&page).unwrap();
}

#[test]
fn what_says_nothing_new_is_not_written() {
    let seen = |minutes: f64| {
        TestEvent::new("zoe", minutes)
            .from("192.0.2.7")
            .activity(Activity::LoginSuccess)
    };
    let events = [seen(0.0), seen(9.0), seen(10.0), seen(5.0)];
    let written = [true, false, true, false];
    assert_eq!(vectors::writes::<PasswordSpray>(&events).unwrap(), written);
}
