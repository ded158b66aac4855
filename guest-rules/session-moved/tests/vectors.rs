//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::vectors;
use session_moved::SessionMoved;

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/session-moved/tests");
    match vectors::run::<SessionMoved>(&folder) {
        Ok(held) => assert!(held > 60, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/session-moved/README.md");
    vectors::check_page::<SessionMoved>(&page).unwrap();
}

#[test]
fn a_full_state_is_as_large_as_stated_and_reads_back() {
    let networks: Vec<TestEvent> = (0..7_u8)
        .map(|network| {
            TestEvent::new("zoe", f64::from(network))
                .from(&format!("192.0.{network}.7"))
                .session("s1")
                .user_agent("Firefox/Linux")
        })
        .collect();
    vectors::check_states::<SessionMoved>(&networks).unwrap();
}

#[test]
fn what_says_nothing_new_is_not_written() {
    let seen = |minutes: f64| {
        TestEvent::new("zoe", minutes)
            .from("192.0.2.7")
            .session("s1")
            .user_agent("Firefox/Linux")
    };
    let events = [seen(0.0), seen(0.9), seen(1.0), seen(0.5)];
    let written = [true, false, true, false];
    assert_eq!(vectors::writes::<SessionMoved>(&events).unwrap(), written);
}
