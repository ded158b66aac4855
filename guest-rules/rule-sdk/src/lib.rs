//! What a rule author needs: one `impl`, one macro call, and a harness that
//! runs the rule natively.
//!
//! ```
//! use rule_sdk::detection::{Event, Finding, Findings, Kind, Rule, Stored, Description};
//! use rule_sdk::{NoParameters, ParameterError};
//!
//! /// Reports every tenth failed login of a user.
//! pub struct TenthFailure;
//!
//! #[derive(Default)]
//! pub struct Count(u32);
//! rule_sdk::pod_state!(Count(u32));
//!
//! impl Rule for TenthFailure {
//!     type Parameters = NoParameters;
//!     type State = Count;
//!     fn description() -> Description {
//!         Description {
//!             id: "tenth-failure",
//!             version: "0.1.0",
//!             key: &["user"],
//!             kinds: &[Kind { id: "tenth-failure", title: "Ten failed logins", severity: 5, technique: "T1110" }],
//!             ..Description::default()
//!         }
//!     }
//!     fn new(_: NoParameters) -> Result<Self, ParameterError> {
//!         Ok(Self)
//!     }
//!     fn evaluate(&self, state: &mut Stored<Count>, event: &Event<'_>, out: &mut Findings<'_>) {
//!         if event.is_login_failure() {
//!             state.0 += 1;
//!             if state.0 % 10 == 0 {
//!                 out.report(Finding::new(0, "ten failed logins").with("failures", i64::from(state.0)));
//!             }
//!         }
//!     }
//! }
//! rule_sdk::export_detection!(TenthFailure);
//! ```
//!
//! Invariants: a rule is a pure fold. It imports nothing, so it can do nothing
//! but compute; the same source runs natively in tests, in the sidecar and at
//! the edge with the same results.

pub mod geo;
pub mod parameters;
pub mod recent;
pub mod state;

#[cfg(feature = "detection")]
pub mod detection;
#[cfg(feature = "detection")]
pub mod incident;
#[cfg(feature = "mapping")]
pub mod mapping;

pub use bytemuck;
pub use parameters::{NoParameters, ParameterError};
pub use state::{Bounded, State};

/// Start of a span that names no text.
pub const ABSENT: u32 = u32::MAX;

/// The bytes a span names, if it lies within the block.
fn slice(block: &[u8], start: u32, length: u32) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    block.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}
