//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use account_sharing::AccountSharing;
use rule_sdk::detection::harness::TestEvent;
use rule_sdk::detection::vectors;

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/account-sharing/tests");
    match vectors::run::<AccountSharing>(&folder) {
        Ok(held) => assert!(held > 30, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/account-sharing/README.md");
    vectors::check_page::<AccountSharing>(&page).unwrap();
}

#[test]
fn a_full_state_is_as_large_as_stated_and_reads_back() {
    let at = |place: u8, minutes: u8| {
        let name = place.to_string();
        TestEvent::new("zoe", f64::from(minutes))
            .from(&format!("192.0.{place}.7"))
            .at(40.0, f64::from(place) * 10.0, 10.0)
            .session(&name)
            .user_agent(&name)
    };
    // One place, and by turns with it ten others: more than are remembered.
    let turns: Vec<TestEvent> = (0..21_u8)
        .map(|turn| at(if turn % 2 == 0 { 0 } else { turn }, turn * 2))
        .collect();
    vectors::check_states::<AccountSharing>(&turns).unwrap();
}

#[test]
fn what_says_nothing_new_is_not_written() {
    vectors::check_whereabouts_written::<AccountSharing>().unwrap();
}
