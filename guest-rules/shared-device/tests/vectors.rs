//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::vectors;
use shared_device::SharedDevice;

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/shared-device/tests");
    match vectors::run::<SharedDevice>(&folder) {
        Ok(held) => assert!(held > 15, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/shared-device/README.md");
    vectors::check_page::<SharedDevice>(&page).unwrap();
}

#[test]
fn what_says_nothing_new_is_not_written() {
    let seen = |minutes: f64| TestEvent::new("zoe", minutes).device("tablet");
    let events = [seen(0.0), seen(59.0), seen(60.0), seen(30.0)];
    let written = [true, false, true, false];
    assert_eq!(vectors::writes::<SharedDevice>(&events).unwrap(), written);
}
