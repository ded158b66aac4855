//! The work of the thread that decides: versions through the gate and into
//! force, and everything else that may be asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use sidewatch_engine::cache::{RuleDigest, digest};
use sidewatch_engine::signature::read_signature;
use sidewatch_engine::{Change, DetectionRule, Effect, SampledState};

use super::audit::Action;
use super::gate::{Candidate, Passed, Refusal, Surroundings, check, vectors_of};
use super::request::RulesRequest;
use super::{InForce, Lifecycle, report};
use crate::config::rules::{self, settings};
use crate::config::trust::OlderVersions;

/// How long the folding thread may take to make a change.
const PATIENCE: Duration = Duration::from_secs(30);
/// States tried with a new version.
const SAMPLE: usize = 512;

impl Lifecycle {
    pub(super) fn answer(&mut self, request: RulesRequest, by: &str) -> Value {
        let done = match request {
            RulesRequest::List => return report::list(&self.shared.board),
            RulesRequest::Diff { id } => return report::diff(&self.shared.board, &id),
            RulesRequest::Quarantine { id } => return report::quarantine(&self.shared.board, &id),
            RulesRequest::Swap { id, file } => {
                if id == rules::MAPPING_RULE {
                    self.swap_mappings(by)
                } else {
                    self.swap(&id, file.as_deref(), by)
                }
            }
            RulesRequest::Rollback { id } => self.roll_back(&id, by),
            RulesRequest::Enable { id } => self.switch(&id, true, by),
            RulesRequest::Disable { id } => self.switch(&id, false, by),
            RulesRequest::Shadow { id, file } => self.shadow(&id, &file, by),
            RulesRequest::EndShadow { id } => self.end_shadow(&id, by),
            RulesRequest::Reload => return self.reload(by),
        };
        match done {
            Ok(message) => json!({ "done": message }),
            Err(refusal) => json!({ "error": refusal.to_string(), "stage": refusal.stage }),
        }
    }

    /// The file a rule comes from: its entry's, else `<id>.wasm`.
    pub(super) fn file_of(&self, id: &str) -> PathBuf {
        let entry = self.entries.iter().find(|entry| entry.id == id);
        let file = entry.and_then(|entry| entry.file.clone());
        self.directory
            .join(file.unwrap_or_else(|| PathBuf::from(format!("{id}.wasm"))))
    }

    /// Puts a version in force if it passes every check.
    pub(super) fn swap(
        &mut self,
        id: &str,
        file: Option<&Path>,
        by: &str,
    ) -> Result<String, Refusal> {
        let path = file.map_or_else(|| self.file_of(id), Path::to_owned);
        let swapped = self
            .is_configured(id)
            .and_then(|()| self.read(&path))
            .and_then(|(component, signature)| self.pass(id, &component, signature.as_deref()))
            .and_then(|passed| self.put(id, passed));
        self.tell_swap(id, swapped, by)
    }

    /// Only what is meant to run is put in force, or the next look at the files
    /// would take it out again.
    fn is_configured(&self, id: &str) -> Result<(), Refusal> {
        if self.in_force.contains_key(id) || self.wanted().iter().any(|wanted| wanted == id) {
            return Ok(());
        }
        Err(Refusal::new(
            "name",
            format!(
                "no rule `{id}` is configured; add a `[[rules]]` entry or a manifest `{id}.toml`"
            ),
        ))
    }

    /// Bytes of a component with its signature.
    pub(super) fn read(&self, path: &Path) -> Result<(Vec<u8>, Option<String>), Refusal> {
        let read = self
            .engine
            .read(path)
            .map_err(|error| Refusal::new("file", error))?;
        let signature = read_signature(path).map_err(|error| Refusal::new("file", error))?;
        Ok((read, signature))
    }

    /// Tells how a swap ended, everywhere.
    pub(super) fn tell_swap(
        &self,
        id: &str,
        swapped: Result<String, Refusal>,
        by: &str,
    ) -> Result<String, Refusal> {
        let swaps = &self.shared.board.swaps;
        let version = self
            .in_force
            .get(id)
            .map_or("none", |(in_force, _)| in_force.version.as_str());
        let mut action = Action {
            action: "rule-swapped",
            rule: id,
            version,
            by,
            failure: None,
            message: "",
        };
        match &swapped {
            Ok(notes) => {
                swaps.swapped.fetch_add(1, Ordering::Relaxed);
                tracing::info!(rule = id, version, by, notes, "rule put in force");
                let message = format!("rule {id} {version} is in force: {notes}");
                action.message = &message;
                self.shared.audit.tell(&action);
            }
            Err(refusal) => {
                swaps.refused.fetch_add(1, Ordering::Relaxed);
                self.refused(id, refusal);
                tracing::error!(rule = id, in_force = version, by, error = %refusal, "new version refused; the one in force stays");
                let reason = refusal.to_string();
                let message = format!("rule {id}: new version refused, {version} stays: {reason}");
                action.action = "rule-refused";
                action.failure = Some(&reason);
                action.message = &message;
                self.shared.audit.tell(&action);
            }
        }
        swapped
    }

    /// The digest of what is in force.
    pub(super) fn digest_in_force(&self, id: &str) -> Option<RuleDigest> {
        self.in_force
            .get(id)
            .map(|(in_force, _)| in_force.loaded.digest)
    }

    pub(super) fn is_in_force(&self, id: &str, component: &[u8]) -> bool {
        let entry = self.entries.iter().find(|entry| entry.id == id);
        let (parameters, limits) = settings(entry);
        self.in_force.get(id).is_some_and(|(in_force, _)| {
            in_force.parameters == parameters && in_force.limits == limits
        }) && self.digest_in_force(id) == Some(digest(component))
    }

    /// Takes a component through the gate.
    fn pass(&self, id: &str, component: &[u8], signature: Option<&str>) -> Result<Passed, Refusal> {
        let entry = self.entries.iter().find(|entry| entry.id == id);
        let (parameters, limits) = settings(entry);
        let in_force = self.in_force.get(id).map(|(in_force, _)| in_force);
        let states = if in_force.is_some() {
            self.sample(id)?
        } else {
            Vec::new()
        };
        let refuses_older = self.config.trust.older_versions == OlderVersions::Refuse;
        check(
            &Candidate {
                id,
                component,
                signature,
                parameters: &parameters,
                limits,
                vectors: Some(vectors_of(&self.directory, id)),
            },
            &Surroundings {
                engine: &self.engine,
                in_force: in_force.map(|known| (&known.loaded, &known.parameters, known.limits)),
                highest: self.versions.highest(id).filter(|_| refuses_older),
                recent: &self.shared.recent.events(),
                states: &states,
            },
        )
    }

    fn sample(&self, id: &str) -> Result<Vec<SampledState>, Refusal> {
        let change = Change::CopyStates {
            id: id.to_owned(),
            most: SAMPLE,
        };
        match self.make(change)? {
            Effect::States(states) => Ok(states),
            _ => Ok(Vec::new()),
        }
    }

    /// Has a change made between two frames.
    pub(super) fn make(&self, change: Change) -> Result<Effect, Refusal> {
        let effects = self
            .shared
            .exchange
            .request(vec![change], PATIENCE)
            .map_err(|error| Refusal::new("exchange", error))?;
        match effects.into_iter().next() {
            Some(Effect::Refused(reason)) => Err(Refusal::new("exchange", reason)),
            Some(effect) => Ok(effect),
            None => Err(Refusal::new("exchange", "no effect")),
        }
    }

    fn put(&mut self, id: &str, passed: Passed) -> Result<String, Refusal> {
        let Passed {
            rule,
            loaded,
            notes,
        } = passed;
        let in_force = InForce {
            loaded,
            parameters: rule.parameters(),
            limits: rule.limits(),
            version: rule.descriptor.version.to_string(),
        };
        let counters = Arc::clone(&rule.counters);
        // What it replaces is dropped here, beside the traffic.
        drop(self.make(Change::Put(rule))?);
        self.versions.note(id, &in_force.version, false);
        self.show(id, &in_force, &notes);
        let before = self.in_force.remove(id).map(|(before, _)| before);
        self.shared.board.update(id, |entry| {
            entry.line.swaps += 1;
            entry.line.refused = None;
            entry.line.before = before.as_ref().map(|before| before.version.clone());
            entry.shadow = None;
            if before.is_none() {
                entry.counters = counters;
            }
        });
        self.in_force.insert(id.to_owned(), (in_force, before));
        Ok(notes)
    }

    fn roll_back(&mut self, id: &str, by: &str) -> Result<String, Refusal> {
        let effect = self.make(Change::RollBack(id.to_owned()))?;
        let Effect::RolledBack { version, from } = effect else {
            return Err(Refusal::new("exchange", "no version before"));
        };
        self.restored(id, &version);
        self.versions.note(id, &version, true);
        self.shared
            .board
            .swaps
            .rolled_back
            .fetch_add(1, Ordering::Relaxed);
        let message = format!("rule {id} was taken back from {from} to {version}");
        self.tell_done("rule-rolled-back", id, &version, by, &message);
        Ok(message)
    }

    fn switch(&mut self, id: &str, on: bool, by: &str) -> Result<String, Refusal> {
        drop(self.make(Change::Switch {
            id: id.to_owned(),
            on,
        })?);
        let (state, action) = if on {
            ("in force", "rule-enabled")
        } else {
            ("off", "rule-disabled")
        };
        let board = &self.shared.board;
        board.update(id, |entry| state.clone_into(&mut entry.line.state));
        let message = format!("rule {id} is {}", if on { "on" } else { "off" });
        self.tell_done(action, id, "", by, &message);
        Ok(message)
    }

    fn shadow(&mut self, id: &str, file: &Path, by: &str) -> Result<String, Refusal> {
        let passed = self
            .read(file)
            .and_then(|(component, signature)| self.pass(id, &component, signature.as_deref()));
        let rule: Box<DetectionRule> = match passed {
            Ok(passed) => passed.rule,
            Err(refusal) => return self.tell_swap(id, Err(refusal), by),
        };
        let version = rule.descriptor.version.to_string();
        if let Effect::Shadowed(shadow) = self.make(Change::Shadow(rule))? {
            let board = &self.shared.board;
            board.update(id, |entry| entry.shadow = Some(shadow));
        }
        let message = format!("rule {id} {version} runs in the shadow");
        self.tell_done("shadow-started", id, &version, by, &message);
        Ok(message)
    }

    fn end_shadow(&mut self, id: &str, by: &str) -> Result<String, Refusal> {
        drop(self.make(Change::EndShadow(id.to_owned()))?);
        self.shared.board.update(id, |entry| entry.shadow = None);
        let message = format!("nothing runs in the shadow of {id} any more");
        self.tell_done("shadow-ended", id, "", by, &message);
        Ok(message)
    }

    pub(super) fn tell_done(&self, action: &str, id: &str, version: &str, by: &str, message: &str) {
        tracing::info!(rule = id, version, by, "{message}");
        self.shared.audit.tell(&Action {
            action,
            rule: id,
            version,
            by,
            failure: None,
            message,
        });
    }
}
