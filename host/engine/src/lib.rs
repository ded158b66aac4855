//! Runs rule components: loads and checks them, hands them frames of events,
//! and contains whatever they do wrong.
//!
//! Invariants:
//! - a rule imports nothing; one that does is refused by the name of the import;
//! - every call has a deadline and a memory limit, and whatever comes back is
//!   checked before it is used;
//! - a fault costs at most the offending event, for that rule: the event itself
//!   goes on to the sinks;
//! - the host owns the state. A rule's instance can be thrown away at any time.
//!
//! This crate knows no HTTP and no sink.

mod bindings;
pub mod cache;
mod canary;
pub mod compile_worker;
pub mod detection;
mod evaluate;
mod exchange;
mod failure_rate;
pub mod fault;
pub mod limits;
pub mod loader;
pub mod mapping;
mod quarantine;
pub mod regular_file;
mod rows;
pub mod rule_set;
mod shadow;
pub mod signature;
pub mod state;
mod suspension;

pub use canary::{CanaryReport, SampledState, canary};
pub use compile_worker::CompileWorker;
pub use detection::{DetectionRule, RawFinding};
pub use exchange::{Answered, Change, Effect, Exchange, Unanswered};
pub use failure_rate::FailurePolicy;
pub use fault::{FailedEvent, Fault, RuleCounters};
pub use limits::RuleLimits;
pub use loader::{
    ConfigureError, Engine, EngineError, EngineSettings, LoadError, LoadedRule, RuleKind,
};
pub use mapping::MappingRule;
pub use rule_set::{Announcement, RuleSet};
pub use shadow::{Difference, ShadowReport, Side};
pub use signature::{Provenance, SignaturePolicy, Trust};
pub use state::{KeptState, States};
