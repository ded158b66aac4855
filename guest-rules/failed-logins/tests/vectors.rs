//! The rule's vectors, natively. `sidewatch test` runs them through the component.

use std::path::Path;

use failed_logins::FailedLogins;
use rule_sdk::detection::vectors;

#[test]
fn the_vectors_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/failed-logins/tests");
    match vectors::run::<FailedLogins>(&folder) {
        Ok(held) => assert!(held > 40, "only {held} cases"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn its_page_says_what_it_says_of_itself() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/failed-logins/README.md");
    vectors::check_page::<FailedLogins>(&page).unwrap();
}
