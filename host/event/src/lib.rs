//! The event model: what one normalised record is, and what the stages hand
//! to each other.
//!
//! Invariants:
//! - no I/O, no clock, no engine, no HTTP: this crate compiles to WebAssembly,
//!   because the edge application uses the same model as the sidecar;
//! - names are the Elastic Common Schema's wherever it has one, `sidewatch.*`
//!   where it has none;
//! - secrets (cookies, tokens, passwords) have no field to live in: a session
//!   is known by a keyed hash only.

pub mod activity;
pub mod annotation;
pub mod delivery;
pub mod event;
pub mod field;
pub mod finding;
pub mod identifier;
pub mod network;
pub mod record;
pub mod wire;

pub use activity::Activity;
pub use annotation::Annotation;
pub use delivery::Delivery;
pub use event::{Event, Keys, Location, Origin, REAL_IP_LABEL};
pub use field::{Field, FieldName};
pub use finding::{Evidence, EvidenceValue, Finding};
pub use identifier::IdentifierSequence;
pub use network::NetworkKind;
