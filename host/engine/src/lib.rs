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
pub mod detection;
mod evaluate;
pub mod fault;
mod frame;
mod key;
pub mod limits;
pub mod loader;
pub mod mapping;
mod quarantine;
mod rows;
pub mod rule_set;
pub mod state;
mod suspension;

pub use detection::{DetectionRule, RawFinding};
pub use fault::{Fault, RuleCounters};
pub use limits::RuleLimits;
pub use loader::{
    ConfigureError, Engine, EngineError, EngineSettings, LoadError, LoadedRule, RuleKind,
};
pub use mapping::MappingRule;
pub use rule_set::RuleSet;
pub use state::{KeptState, States};
