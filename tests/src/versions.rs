//! Versions of a rule made of one component, without compiling each.

/// The digits `tests/fixtures/witness` has in its version for this purpose.
const DIGITS: &[u8] = b"1.1000.0";

/// The component of the fixture `witness` as version `1.<number>.0`.
///
/// # Panics
/// The number has not four digits, or the component is another.
pub fn with_version(component: &[u8], number: u32) -> Vec<u8> {
    assert!((1_000..10_000).contains(&number), "four digits");
    let version = format!("1.{number}.0");
    let mut bytes = component.to_vec();
    let mut found = 0;
    for at in 0..bytes.len().saturating_sub(DIGITS.len()) {
        if component[at..].starts_with(DIGITS) {
            bytes[at..at + DIGITS.len()].copy_from_slice(version.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "no version to write over");
    bytes
}
