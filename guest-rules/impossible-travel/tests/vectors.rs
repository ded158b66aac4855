//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use impossible_travel::ImpossibleTravel;
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
