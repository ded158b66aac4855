//! Sidewatch at the edge: takes mirrored requests and events, folds the same
//! rule components as the sidecar, keeps their states in Spin's key-value
//! store and forwards what comes of it.
//!
//! Everything but [`component`] is plain Rust: what Spin gives (rules in
//! slots, a store) comes in through the traits [`Rules`] and [`Store`], so it
//! is tested without Spin.
//!
//! Invariants:
//! - events, codecs, enrichment, state keys and the checks of what a rule says
//!   are the sidecar's own crates;
//! - nothing is kept between requests but settings: whatever instance a
//!   request meets, the store alone has state;
//! - a state is written by compare-and-set only; a fold that met a conflict is
//!   done again from the newer state, which rules, being pure, allow;
//! - a body is read to a bound; a secret is compared in constant time.

pub mod application;
pub mod authentication;
pub mod batch;
#[cfg(target_os = "wasi")]
mod component;
mod configure;
pub mod deliver;
pub mod fold;
pub mod headers;
pub mod paths;
pub mod rules;
pub mod settings;
pub mod state;
pub mod store;
pub mod unsent;

pub use application::{Application, ApplicationError, Mirrored, Processed};
pub use rules::Rules;
pub use settings::Settings;
pub use store::{Store, StoreError};
