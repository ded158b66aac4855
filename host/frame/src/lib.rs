//! What crosses between a host and its rules, whatever runs them: state keys,
//! the numbers and texts of an event, what a rule may say of itself, and what
//! its findings become.
//!
//! The sidecar's engine and the edge application share it, so that one rule
//! sees and says the same in both.
//!
//! Invariants: no I/O, no clock, no engine: this crate compiles to
//! WebAssembly. What a rule says is checked here before anybody believes it.

pub mod block;
pub mod catalogue;
pub mod descriptor;
pub mod finding;
pub mod key;
pub mod listing;
pub mod numbers;

pub use catalogue::{CatalogueEntry, MappingClaims, MappingDescriptor};
pub use descriptor::{DetectionClaims, DetectionDescriptor, FindingKind, KindClaim};
pub use finding::{RawFinding, complete};
pub use key::StateKey;
pub use listing::RuleListing;
pub use numbers::{Numbers, numbers};
