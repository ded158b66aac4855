//! The mapping rule: says what an event means by looking it up in a table.
//!
//! The table is data (`rules/packs/<pack>/mapping.toml`), handed over as the
//! rule's parameters; the language is described in `rules/README.md`. It is
//! compiled once into a tree of path segments and a list of shared conditions.
//!
//! Invariants:
//! - the first entry of the table that holds wins;
//! - time is linear in an event's texts, whatever the table or the texts are;
//! - a table with a mistake is refused with the place of the mistake.

mod answer;
mod bytes;
mod compile;
mod condition;
mod matcher;
mod pattern;
mod place;
mod program;
mod settings;
pub mod table;
mod template;
mod trie;
mod uuid;

use rule_sdk::ParameterError;
use rule_sdk::mapping::{Answer, Description, Event, Mapping};

use crate::compile::Compiled;
use crate::table::Parameters;

/// A table ready to be applied.
pub struct EventMapping(Compiled);

impl Mapping for EventMapping {
    type Parameters = Parameters;

    fn new(parameters: Parameters) -> Result<Self, ParameterError> {
        compile::compile(parameters).map(Self)
    }

    fn description(&self) -> Description {
        Description {
            id: "event-mapping".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            reads: self.0.reads.clone(),
            writes: self.0.writes.clone(),
            annotations: self.0.program.annotations.clone(),
        }
    }

    fn evaluate(&self, event: &Event<'_>, answer: &mut Answer<'_>) {
        self.0.program.evaluate(event, answer);
    }
}

rule_sdk::export_mapping!(EventMapping);
