//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::vectors;
use takeover_steps::TakeoverSteps;

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/takeover-steps/tests");
    match vectors::run::<TakeoverSteps>(&folder) {
        Ok(held) => assert!(held > 10, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/takeover-steps/README.md");
    vectors::check_page::<TakeoverSteps>(&page).unwrap();
}

#[test]
fn what_says_nothing_new_is_not_written() {
    let seen = |minutes: f64| TestEvent::new("zoe", minutes).from("192.0.2.7");
    let events = [seen(0.0), seen(9.0), seen(10.0), seen(5.0)];
    let written = [true, false, true, false];
    assert_eq!(vectors::writes::<TakeoverSteps>(&events).unwrap(), written);
}
