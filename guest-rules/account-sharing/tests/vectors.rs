//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use account_sharing::AccountSharing;
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
