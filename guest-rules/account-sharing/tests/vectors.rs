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
