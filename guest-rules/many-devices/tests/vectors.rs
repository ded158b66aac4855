//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use many_devices::ManyDevices;
use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::vectors;

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/many-devices/tests");
    match vectors::run::<ManyDevices>(&folder) {
        Ok(held) => assert!(held > 10, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/many-devices/README.md");
    vectors::check_page::<ManyDevices>(&page).unwrap();
}

#[test]
fn what_says_nothing_new_is_not_written() {
    let seen = |minutes: f64| TestEvent::new("zoe", minutes).device("tablet");
    let events = [seen(0.0), seen(59.0), seen(60.0), seen(30.0)];
    let written = [true, false, true, false];
    assert_eq!(vectors::writes::<ManyDevices>(&events).unwrap(), written);
}
