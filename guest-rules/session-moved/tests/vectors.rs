//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

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
