//! Writes and checks the edge application: a component with named slots, the
//! rules beside it byte for byte, a `spin.toml` that plugs them together.
//!
//! Invariants:
//! - a rule's file in the application is the file the sidecar runs;
//! - an application that Spin would refuse (too many rules, a rule that does
//!   not fit its slot) is refused here, with the reason;
//! - the manifest asks for nothing the application does not need: one
//!   key-value store, one outbound host, no files.

pub mod application;
pub mod compose;
pub mod listing;
pub mod manifest;
pub mod names;

pub use application::{Application, ApplicationError, RuleFile};
pub use compose::{ComposeError, MOST_DETECTIONS, Plug, plug, trim};
pub use listing::{Listing, VerifyError, verify};
pub use manifest::{Forward, Manifest};
