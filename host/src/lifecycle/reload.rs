//! Bringing what is in force in line with the files: the rules directory, its
//! manifests, and on request the configuration.

use serde_json::{Value, json};
use sidewatch_engine::Change;
use sidewatch_engine::cache::digest;
use sidewatch_engine::signature::signature_path;

use super::Lifecycle;
use super::gate::Refusal;
use super::look::{Prints, print};
use crate::config::ConfigFile;
use crate::config::rules::{MAPPING_RULE, detections, entries, manifest_path};
use crate::pipeline::connect::packs;

impl Lifecycle {
    /// Names of the rules that should be in force, in order.
    pub(super) fn wanted(&self) -> Vec<String> {
        detections(&self.packs, &self.entries)
            .into_iter()
            .map(|(id, _)| id)
            .collect()
    }

    fn prints(&self, id: &str) -> Prints {
        let file = self.file_of(id);
        let manifest = manifest_path(&self.directory, id);
        [signature_path(&file), file, manifest]
            .iter()
            .map(|path| print(path))
            .collect()
    }

    /// The files as they are now are dealt with.
    pub(super) fn note_files(&mut self) {
        for id in self.wanted().into_iter().chain([MAPPING_RULE.to_owned()]) {
            let prints = self.prints(&id);
            self.looks.handled(&id, prints);
        }
    }

    /// Looks for changed files and takes what changed; returns what was done.
    pub(super) fn look(&mut self, at_once: bool, by: &str) -> Vec<String> {
        let mut done = Vec::new();
        match entries(&self.directory, &self.config.rules) {
            Ok(entries) => self.entries = entries,
            Err(error) => {
                // A manifest that is being written; said once it stays wrong.
                if self
                    .looks
                    .is_news("manifests", vec![print(&self.directory)], at_once)
                {
                    let refusal = Refusal::new("manifest", &error);
                    tracing::error!(%error, "a rule's manifest is wrong; nothing changes");
                    done.push(refusal.to_string());
                }
                return done;
            }
        }
        let wanted = self.wanted();
        for id in &wanted {
            let prints = self.prints(id);
            if self.looks.is_news(id, prints, at_once) || (at_once && self.differs(id)) {
                done.extend(self.take(id, by));
            }
        }
        let prints = self.prints(MAPPING_RULE);
        if self.looks.is_news(MAPPING_RULE, prints, at_once)
            && let Ok((component, _)) = self.read(&self.file_of(MAPPING_RULE))
            && digest(&component) != self.mapping
        {
            done.push(told(MAPPING_RULE, self.swap_mappings(by)));
        }
        done.extend(self.remove_unwanted(&wanted, by));
        self.order(&wanted);
        self.looks.retain(|id| {
            id == MAPPING_RULE || id == "manifests" || wanted.iter().any(|one| one == id)
        });
        done
    }

    /// Whether parameters or limits are not those in force.
    fn differs(&self, id: &str) -> bool {
        self.read(&self.file_of(id))
            .is_ok_and(|(component, _)| !self.is_in_force(id, &component))
    }

    /// Takes a rule whose files changed, unless it is in force as it is.
    fn take(&mut self, id: &str, by: &str) -> Option<String> {
        let read = self.read(&self.file_of(id));
        if let Ok((component, _)) = &read
            && self.is_in_force(id, component)
        {
            return None;
        }
        let taken = match read {
            Ok(_) => self.swap(id, None, by),
            Err(refusal) => self.tell_swap(id, Err(refusal), by),
        };
        Some(told(id, taken))
    }

    fn remove_unwanted(&mut self, wanted: &[String], by: &str) -> Vec<String> {
        let unwanted: Vec<String> = self
            .in_force
            .keys()
            .filter(|id| !wanted.contains(id))
            .cloned()
            .collect();
        let mut done = Vec::new();
        for id in unwanted {
            match self.make(Change::Remove(id.clone())) {
                Ok(_) => {
                    self.in_force.remove(&id);
                    self.shared.board.remove(&id);
                    let message = format!("rule {id} was taken out; its states stay");
                    self.tell_done("rule-removed", &id, "", by, &message);
                    done.push(message);
                }
                Err(refusal) => done.push(format!("{id}: {refusal}")),
            }
        }
        done
    }

    fn order(&self, wanted: &[String]) {
        let shown: Vec<String> = self
            .shared
            .board
            .lines()
            .into_iter()
            .map(|line| line.id)
            .collect();
        let present = wanted.iter().filter(|id| shown.contains(id));
        if !present.eq(shown.iter()) {
            self.shared.board.order(wanted);
            if let Err(error) = self.make(Change::Order(wanted.to_vec())) {
                tracing::error!(%error, "rules keep their order");
            }
        }
    }

    /// Reads the configuration again as far as it concerns rules and tables,
    /// and looks at the rules directory at once.
    pub(super) fn reload(&mut self, by: &str) -> Value {
        let mut done = Vec::new();
        if let Some(path) = self.config_path.clone() {
            match ConfigFile::load(&path).map_err(|error| error.to_string()) {
                Ok(config) => match packs(&config) {
                    Ok(packs) => {
                        let tables = |packs: &[crate::config::rules::PackInUse]| {
                            packs
                                .iter()
                                .map(|(pack, _)| pack.mapping.clone())
                                .collect::<Vec<_>>()
                        };
                        let changed = tables(&packs) != tables(&self.packs);
                        done.extend(needs_restart(&self.config, &config));
                        self.config.rules.clone_from(&config.rules);
                        self.config.lifecycle = config.lifecycle;
                        // Sources stay as they were bound.
                        for (old, (new, _)) in self.packs.iter_mut().zip(packs) {
                            if old.0.id == new.id {
                                old.0 = new;
                            }
                        }
                        if changed {
                            done.push(told(MAPPING_RULE, self.swap_mappings(by)));
                        }
                    }
                    Err(error) => return refuse(&error.to_string()),
                },
                Err(error) => return refuse(&error),
            }
        }
        done.extend(self.look(true, by));
        let message = format!("rules and tables were read again; {} changes", done.len());
        self.tell_done("configuration-reloaded", "", "", by, &message);
        json!({ "done": message, "changes": done })
    }
}

/// A configuration that cannot be used leaves everything as it is.
fn refuse(error: &str) -> Value {
    tracing::error!(
        error,
        "the configuration cannot be read again; everything stays as it is"
    );
    json!({ "error": error, "stage": "configuration" })
}

fn told(id: &str, done: Result<String, Refusal>) -> String {
    match done {
        Ok(notes) => format!("{id}: in force: {notes}"),
        Err(refusal) => format!("{id}: refused: {refusal}"),
    }
}

/// What a restart would change besides rules and tables.
fn needs_restart(before: &ConfigFile, after: &ConfigFile) -> Option<String> {
    // Only what the file says counts, so its debug form will do.
    let rest = |config: &ConfigFile| {
        let mut rest = config.clone();
        rest.rules.clear();
        rest.packs.clear();
        rest.lifecycle = super::LifecycleSettings::default();
        format!("{rest:?}")
    };
    (rest(before) != rest(after)).then(|| {
        let note = "more than rules and tables changed; the rest needs a restart";
        tracing::warn!("{note}");
        note.to_owned()
    })
}
