//! New tables, or a new version of the rule that reads them.

use sidewatch_engine::{Change, Effect};

use super::Lifecycle;
use super::gate::Refusal;
use crate::config::rules::{MAPPING_RULE, mappings};

impl Lifecycle {
    /// Builds the mappings of all packs anew and puts them in force, if they
    /// manage recent traffic.
    pub(super) fn swap_mappings(&mut self, by: &str) -> Result<String, Refusal> {
        let swapped = self.put_mappings();
        let told = self.tell_swap(MAPPING_RULE, swapped, by);
        // The tables are packs', not a rule's: the list shows detections.
        self.shared.board.remove(MAPPING_RULE);
        told
    }

    fn put_mappings(&mut self) -> Result<String, Refusal> {
        let path = self.file_of(MAPPING_RULE);
        let (component, signature) = self.read(&path)?;
        let loaded = self
            .engine
            .load_signed(&component, signature.as_deref())
            .map_err(|error| Refusal::new("component", error))?;
        let build =
            || mappings(&loaded, &self.packs).map_err(|error| Refusal::new("parameters", error));
        let mut trial = build()?;
        let mut recent = self.shared.recent.events();
        for routed in &mut trial {
            routed.rule.map(&mut recent, |_| true);
            let failed = routed.rule.counters.failed();
            if failed > 0 {
                let reason = format!("it fails on {failed} of {} recent events", recent.len());
                return Err(Refusal::new("canary", reason));
            }
        }
        let notes = format!("{} tables; {} recent events", trial.len(), recent.len());
        let effect = self.make(Change::Mappings(build()?))?;
        if let Effect::Mappings(before) = effect {
            drop(before);
        }
        self.mapping = loaded.digest;
        Ok(notes)
    }
}
