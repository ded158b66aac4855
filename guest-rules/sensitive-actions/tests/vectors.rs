//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use rule_sdk::detection::vectors;
use sensitive_actions::SensitiveActions;

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/sensitive-actions/tests");
    match vectors::run::<SensitiveActions>(&folder) {
        Ok(held) => assert!(held > 10, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/sensitive-actions/README.md");
    vectors::check_page::<SensitiveActions>(&page).unwrap();
}
