//! What a configuration would become, without running it: for `validate` and
//! `doctor`. Binds nothing, and makes nothing in the data directory.

use std::path::PathBuf;

use sidewatch_enrich::Enricher;

use super::PipelineError;
use super::connect::{build_sinks, codecs, packs};
use super::run::{engine_with, rule_status};
use crate::config::ConfigFile;
use crate::config::rules;
use crate::config::secrets::Keys;
use crate::lifecycle::compiling;
use crate::lifecycle::start::{self, Ground};

/// Compiled rules of an earlier run, for whoever only looks: what another user
/// made there the sidecar could not use.
fn compiled_before(config: &ConfigFile) -> Option<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let directory = config.directory().join("compiled");
    let found = std::fs::metadata(&directory).ok()?;
    (found.uid() == nix::unistd::geteuid().as_raw()).then_some(directory)
}

/// Builds everything but the sockets and says what it found: for `validate`.
///
/// # Errors
/// Says which part cannot be used and why.
pub fn check(config: &ConfigFile) -> Result<String, PipelineError> {
    if config.sources.is_empty() {
        return Err(PipelineError::NoSource);
    }
    let keys = Keys::look(config.directory())?;
    let enricher = Enricher::new(&config.enrichment, keys.hash)?;
    let packs = packs(config)?;
    for entry in &config.sources {
        if let Some((pack, _)) = packs
            .iter()
            .find(|(_, sources)| sources.iter().any(|id| **id == *entry.id))
        {
            codecs(entry, pack, &keys)?;
        }
    }
    let engine =
        engine_with(config, &keys, compiled_before(config))?.compiling_in(compiling::worker());
    let directory = rules::rules_directory(config.rules_directory.as_deref())?;
    let entries = rules::read_entries(&directory, &config.rules, &[]);
    let rule_set = start::check_all(Ground {
        engine: &engine,
        config,
        directory: &directory,
        packs: &packs,
        entries: &entries,
    })?;
    build_sinks(config)?;
    let mut text = String::new();
    for database in enricher.databases() {
        text.push_str(&format!("database   {}\n", database.path.display()));
    }
    for rule in rule_status(&rule_set, &packs) {
        text.push_str(&format!("rule       {} {}\n", rule.id, rule.version));
    }
    Ok(text)
}
