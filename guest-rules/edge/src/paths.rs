//! Paths that mean something here; a request for any other is a mirrored one.

/// Takes batches of events.
pub const EVENTS: &str = "/.well-known/sidewatch/events";

/// Tells which rules there are.
pub const RULES: &str = "/.well-known/sidewatch/rules";
