//! How good the detection rules are: labelled traffic made from a seed, three
//! baselines, and scores.
//!
//! `rules/CORPORA.md` describes what is in the corpora. [`evaluate`] runs every
//! rule and baseline over them; the same seed and size always give the same
//! report. Rules come as a [`detector::Panel`]: components in the sidecar's
//! `evaluate` verb, natively in this crate's tests.
//!
//! Invariants: a rule is never told the label; nothing here depends on a
//! rule's parameters; the generators draw from wide ranges rather than from
//! around a threshold.

pub mod baselines;
pub mod benign;
pub mod detector;
pub mod incidents;
pub mod month;
pub mod person;
pub mod random;
pub mod report;
pub mod scenario;
pub mod traffic;
pub mod world;

mod evaluate;

pub use evaluate::{Size, evaluate};
pub use report::Report;
