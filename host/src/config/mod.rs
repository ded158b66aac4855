//! Configuration: a TOML file as typed, checked into settings that can be used.
//!
//! Invariant: an unknown key is an error with file, line, key and the nearest
//! valid one; nothing is guessed and nothing ignored.

pub mod control;
mod entries;
pub(crate) mod error;
pub mod file;
pub mod format;
pub mod pack;
pub(crate) mod paths;
pub mod rules;
pub mod secrets;
pub mod trust;

pub use entries::{RuleEntry, SinkEntry, SourceEntry};
pub use error::{ConfigError, TextError};
pub use file::{ConfigFile, FINDINGS_LANE, JoinSettings};
pub use pack::Pack;
pub use trust::TrustSettings;
