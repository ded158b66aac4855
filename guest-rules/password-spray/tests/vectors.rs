//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use password_spray::PasswordSpray;
use rule_sdk::detection::vectors;

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
