//! Bare placeholder until the comparison is in.
fn main() {}
