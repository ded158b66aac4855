//! The work of the thread that decides: versions through the gate and into
//! force, and everything else that may be asked.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use sidewatch_engine::cache::digest;
use sidewatch_engine::signature::read_signature;
use sidewatch_engine::{Change, DetectionRule, Effect, SampledState};

use super::audit::Action;
use super::gate::{Candidate, Passed, Refusal, Surroundings, check, vectors_of};
use super::kept::{Identity, Passport};
use super::names::shown;
use super::request::RulesRequest;
use super::{InForce, Lifecycle, report};
use crate::config::RuleEntry;
use crate::config::rules::{self, component_path, settings};
use crate::config::trust::OlderVersions;

/// How long the folding thread may take to make a change.
const PATIENCE: Duration = Duration::from_secs(30);
/// States tried with a new version.
const SAMPLE: usize = 512;

/// Who wants what a changed file wants.
pub(super) const BY_FILE: &str = "file";

fn refused(refusal: &Refusal) -> Value {
    json!({ "error": refusal.to_string(), "stage": refusal.stage })
}

/// A version that passed, with what it was made of.
struct Ready {
    passed: Passed,
    component: Vec<u8>,
    signature: Option<String>,
}

impl Lifecycle {
    pub(super) fn answer(&mut self, request: RulesRequest, by: &str) -> Value {
        if let Some((wish, id)) = request.change()
            && let Some(refusal) = self.unknown_name(id)
        {
            return refused(&self.tell_failure(wish, &shown(id), refusal, by));
        }
        let done = match request {
            RulesRequest::List => return report::list(&self.shared.board),
            RulesRequest::Diff { id } => return report::diff(&self.shared.board, &id),
            RulesRequest::Quarantine { id } => return report::quarantine(&self.shared.board, &id),
            RulesRequest::Swap { id, file } => {
                if id == rules::MAPPING_RULE {
                    self.swap_mappings(file.as_deref(), self.packs.clone(), by)
                } else {
                    self.swap(&id, file.as_deref(), by)
                }
            }
            RulesRequest::Rollback { id } => {
                let done = self.roll_back(&id, by);
                done.map_err(|refusal| self.tell_failure("rollback", &id, refusal, by))
            }
            RulesRequest::Enable { id } => {
                let done = self.switch(&id, true, by);
                done.map_err(|refusal| self.tell_failure("enable", &id, refusal, by))
            }
            RulesRequest::Disable { id } => {
                let done = self.switch(&id, false, by);
                done.map_err(|refusal| self.tell_failure("disable", &id, refusal, by))
            }
            RulesRequest::Shadow { id, file } => self.shadow(&id, &file, by),
            RulesRequest::EndShadow { id } => {
                let done = self.end_shadow(&id, by);
                done.map_err(|refusal| self.tell_failure("shadow --end", &id, refusal, by))
            }
            RulesRequest::Reload => return self.reload(by),
        };
        match done {
            Ok(message) => json!({ "done": message }),
            Err(refusal) => refused(&refusal),
        }
    }

    /// The file a rule comes from.
    pub(super) fn file_of(&self, id: &str) -> PathBuf {
        component_path(&self.directory, id, self.entry_of(id))
    }

    fn entry_of(&self, id: &str) -> Option<&RuleEntry> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// Puts a version in force if it passes every check.
    pub(super) fn swap(
        &mut self,
        id: &str,
        file: Option<&Path>,
        by: &str,
    ) -> Result<String, Refusal> {
        let path = file.map_or_else(|| self.file_of(id), Path::to_owned);
        let read = self.read(&path);
        if let Ok((component, _)) = &read
            && self.is_in_force(id, component)
        {
            // Swapped all the same, the version to go back to would be itself.
            return Ok(format!(
                "`{id}` is in force with these bytes and parameters already"
            ));
        }
        let swapped = read
            .and_then(|(component, signature)| self.pass(id, component, signature))
            .and_then(|ready| self.put(id, ready, file));
        self.tell_swap(id, swapped, by)
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
        let mapping = self.mapping.as_ref().filter(|_| id == rules::MAPPING_RULE);
        let version = match (self.in_force.get(id), mapping) {
            (Some((in_force, _)), _) => in_force.version.as_str(),
            (None, Some((_, version))) => version.as_str(),
            (None, None) => "none",
        };
        if let Err(refusal) = &swapped
            && by == BY_FILE
            && refusal.is_transient()
            && self
                .shared
                .board
                .is_refused(id, refusal.stage, &refusal.reason)
        {
            tracing::debug!(rule = id, error = %refusal, "not taken this time either");
            return swapped;
        }
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

    /// What a component would be run with.
    fn identity_of(&self, id: &str, component: &[u8]) -> Identity {
        if id == rules::MAPPING_RULE {
            return Identity::of_mapping(&digest(component));
        }
        let (parameters, limits) = settings(self.entry_of(id));
        Identity::new(&digest(component), &parameters, limits)
    }

    pub(super) fn is_in_force(&self, id: &str, component: &[u8]) -> bool {
        let wanted = self.identity_of(id, component);
        let in_force = self.in_force.get(id);
        in_force.is_some_and(|(in_force, _)| in_force.identity() == wanted)
    }

    /// Whether a component was left: it is not taken by itself.
    pub(super) fn is_left(&self, id: &str, component: &[u8]) -> bool {
        let wanted = self.identity_of(id, component);
        let left = self.left.get(id);
        left.is_some_and(|left| left.contains(&wanted))
    }

    /// A version is in force; where it came from another file, the one in the
    /// rules directory is left, else nothing is any more.
    pub(super) fn prefer(&mut self, id: &str, file: Option<&Path>) {
        let own = self.file_of(id);
        if file.is_none_or(|file| file == own) {
            self.left.remove(id);
        } else if let Ok((component, _)) = self.read(&own) {
            let mapping = self.mapping.as_ref().filter(|_| id == rules::MAPPING_RULE);
            let in_force = match (self.in_force.get(id), mapping) {
                (Some((in_force, _)), _) => in_force.identity(),
                (None, Some((digest, _))) => Identity::of_mapping(digest),
                (None, None) => return,
            };
            let version = self.identity_of(id, &component);
            self.leave(id, version, &in_force);
        }
        let left = self.left.get(id).map(Vec::as_slice).unwrap_or_default();
        self.kept.leave(id, left);
    }

    /// Takes a component through the gate.
    fn pass(
        &mut self,
        id: &str,
        component: Vec<u8>,
        signature: Option<String>,
    ) -> Result<Ready, Refusal> {
        let states = if self.in_force.contains_key(id) {
            self.sample(id)?
        } else {
            Vec::new()
        };
        let (parameters, limits) = settings(self.entry_of(id));
        let in_force = self.in_force.get(id).map(|(known, _)| {
            let loaded = known.loaded.clone();
            (loaded, known.parameters.clone(), known.limits)
        });
        let refuses_older = self.config.trust.older_versions == OlderVersions::Refuse;
        let highest = self.versions.highest(id).filter(|_| refuses_older).cloned();
        let recent = self.shared.recent.events();
        let engine = self.engine.clone();
        let vectors = vectors_of(&self.directory, id);
        let id = id.to_owned();
        self.aside(move || {
            let passed = check(
                &Candidate {
                    id: &id,
                    component: &component,
                    signature: signature.as_deref(),
                    parameters: &parameters,
                    limits,
                    vectors: Some(vectors),
                },
                &Surroundings {
                    engine: &engine,
                    in_force: in_force
                        .as_ref()
                        .map(|(loaded, parameters, limits)| (loaded, parameters, *limits)),
                    highest: highest.as_ref(),
                    recent: &recent,
                    states: &states,
                },
            )?;
            Ok(Ready {
                passed,
                component,
                signature,
            })
        })
    }

    fn sample(&mut self, id: &str) -> Result<Vec<SampledState>, Refusal> {
        let change = Change::CopyStates {
            id: id.to_owned(),
            most: SAMPLE,
        };
        match self.make(change)? {
            Effect::States(states) => Ok(states),
            _ => Ok(Vec::new()),
        }
    }

    /// Has a change made between two frames. What the rules did of themselves
    /// before it is told first, so that what is known fits what was changed.
    pub(super) fn make(&mut self, change: Change) -> Result<Effect, Refusal> {
        let answered = self
            .shared
            .exchange
            .request(vec![change], PATIENCE)
            .map_err(|error| Refusal::new("exchange", error))?;
        for told in &answered.before {
            self.tell_announcement(told);
        }
        match answered.effects.into_iter().next() {
            Some(Effect::Refused(reason)) => Err(Refusal::new("change", reason)),
            Some(effect) => Ok(effect),
            None => Err(Refusal::new("exchange", "no effect")),
        }
    }

    fn put(&mut self, id: &str, ready: Ready, file: Option<&Path>) -> Result<String, Refusal> {
        let Ready {
            passed,
            component,
            signature,
        } = ready;
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
        let identity = in_force.identity();
        self.in_force.insert(id.to_owned(), (in_force, before));
        let passport = Passport {
            rule: id.to_owned(),
            identity,
            signature,
            left: self.left.get(id).cloned().unwrap_or_default(),
        };
        self.kept.put(&passport, &component);
        self.prefer(id, file);
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
        if on {
            self.off.remove(id);
        } else {
            self.off.insert(id.to_owned());
        }
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
        let ready = self
            .read(file)
            .and_then(|(component, signature)| self.pass(id, component, signature));
        let rule: Box<DetectionRule> = match ready {
            Ok(ready) => ready.passed.rule,
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

    /// What somebody wanted and did not get is told, too.
    fn tell_failure(&self, wish: &str, id: &str, refusal: Refusal, by: &str) -> Refusal {
        let reason = refusal.to_string();
        let message = format!("{wish} of rule {id} was not done: {reason}");
        tracing::warn!(rule = id, by, "{message}");
        self.shared.audit.tell(&Action {
            action: "rule-change-failed",
            rule: id,
            version: "",
            by,
            failure: Some(&reason),
            message: &message,
        });
        refusal
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
