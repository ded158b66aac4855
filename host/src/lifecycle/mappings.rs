//! New tables, or a new version of the rule that reads them.

use std::path::Path;

use sidewatch_engine::{Change, Effect, LoadedRule};
use sidewatch_sources::identity;

use super::Lifecycle;
use super::gate::{Refusal, check_mappings};
use super::kept::{Identity, Passport};
use crate::config::rules::{MAPPING_RULE, PackInUse};

impl Lifecycle {
    /// Builds the mappings of all packs anew, from the rules directory's
    /// component or another, and puts them in force if they manage recent
    /// traffic; only then these are the packs.
    pub(super) fn swap_mappings(
        &mut self,
        file: Option<&Path>,
        packs: Vec<PackInUse>,
        by: &str,
    ) -> Result<String, Refusal> {
        let own = self.file_of(MAPPING_RULE);
        let read = self.read(file.unwrap_or(&own));
        let swapped = read.and_then(|(component, signature)| {
            let notes = self.put_mappings(component, signature, packs)?;
            self.prefer(MAPPING_RULE, file);
            Ok(notes)
        });
        self.tell_swap(MAPPING_RULE, swapped, by)
    }

    /// New tables for the mapping rule in force; from its file, unless that
    /// was left.
    pub(super) fn swap_tables(
        &mut self,
        packs: Vec<PackInUse>,
        by: &str,
    ) -> Result<String, Refusal> {
        let mut read = self.read(&self.file_of(MAPPING_RULE));
        let left = |component: &[u8]| self.is_left(MAPPING_RULE, component);
        if read.as_ref().map_or(true, |(component, _)| left(component))
            && let Some((passport, component)) = self.kept.read(MAPPING_RULE)
        {
            read = Ok((component, passport.signature));
        }
        let swapped =
            read.and_then(|(component, signature)| self.put_mappings(component, signature, packs));
        self.tell_swap(MAPPING_RULE, swapped, by)
    }

    fn put_mappings(
        &mut self,
        component: Vec<u8>,
        signature: Option<String>,
        packs: Vec<PackInUse>,
    ) -> Result<String, Refusal> {
        let mut recent = self.shared.recent.events();
        let engine = self.engine.clone();
        let (passed, component, signature, packs) = self.aside(move || {
            let passed = check_mappings(
                &engine,
                &component,
                signature.as_deref(),
                &packs,
                &mut recent,
            )?;
            Ok((passed, component, signature, packs))
        })?;
        if let Effect::Mappings(before) = self.make(Change::Mappings(passed.mappings))? {
            drop(before);
        }
        self.packs = packs;
        self.show_mapping(&passed.loaded, &passed.version, &passed.notes);
        self.shared.board.update(MAPPING_RULE, |entry| {
            entry.line.swaps += 1;
            entry.line.refused = None;
        });
        self.kept.put(
            &Passport {
                rule: MAPPING_RULE.to_owned(),
                identity: Identity::of_mapping(&passed.loaded.digest),
                signature,
                left: self.left.get(MAPPING_RULE).cloned().unwrap_or_default(),
            },
            &component,
        );
        Ok(passed.notes)
    }

    /// Shows the mapping rule in force; its numbers are its packs'.
    pub(super) fn show_mapping(&mut self, loaded: &LoadedRule, version: &str, notes: &str) {
        self.mapping = Some((loaded.digest, version.to_owned()));
        let digest = sidewatch_engine::cache::hexadecimal(&loaded.digest);
        self.shared.board.update(MAPPING_RULE, |entry| {
            let line = &mut entry.line;
            "in force".clone_into(&mut line.state);
            version.clone_into(&mut line.version);
            line.digest = digest;
            line.signature = loaded.provenance.to_string();
            line.since = identity::now();
            notes.clone_into(&mut line.notes);
        });
    }
}
