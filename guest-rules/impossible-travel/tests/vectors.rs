//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use impossible_travel::ImpossibleTravel;
use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::vectors;

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/impossible-travel/tests");
    match vectors::run::<ImpossibleTravel>(&folder) {
        Ok(held) => assert!(held > 60, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/impossible-travel/README.md");
    vectors::check_page::<ImpossibleTravel>(&page).unwrap();
}

#[test]
fn a_full_state_is_as_large_as_stated_and_reads_back() {
    let networks: Vec<TestEvent> = (0..9_u8)
        .map(|network| {
            TestEvent::new("zoe", f64::from(network))
                .from(&format!("192.0.{network}.7"))
                .user_agent("Firefox/Linux")
        })
        .collect();
    vectors::check_states::<ImpossibleTravel>(&networks).unwrap();
}

#[test]
fn what_says_nothing_new_is_not_written() {
    vectors::check_whereabouts_written::<ImpossibleTravel>().unwrap();
}
