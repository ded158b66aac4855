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
use crate::config::rules::{Entries, MAPPING_RULE, detections, manifest_path, read_entries};
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
        let shown = self.shared.board.lines().into_iter().map(|line| line.id);
        for id in self.wanted().into_iter().chain(shown) {
            let prints = self.prints(&id);
            self.looks.handled(&id, prints);
        }
    }

    /// Looks for changed files and takes what changed; returns what was done.
    pub(super) fn look(&mut self, at_once: bool, by: &str) -> Vec<String> {
        let mut done = Vec::new();
        let Entries { entries, broken } =
            read_entries(&self.directory, &self.config.rules, &self.entries);
        self.entries = entries;
        let mut wanted = self.wanted();
        let mut unreadable = Vec::new();
        for (id, error) in broken {
            // It may be being written; said once it stays wrong. What is in
            // force stays, and other rules are none of its business.
            let prints = self.prints(&id);
            if self.looks.is_news(&id, prints, at_once) {
                let refusal = Refusal::new("manifest", error);
                done.push(told(&id, self.tell_swap(&id, Err(refusal), by)));
            }
            if !wanted.contains(&id) {
                wanted.push(id.clone());
            }
            unreadable.push(id);
        }
        for id in wanted.iter().filter(|id| !unreadable.contains(id)) {
            let prints = self.prints(id);
            if self.looks.is_news(id, prints, at_once) || at_once {
                let taken = self.take(id, by);
                done.extend(self.settle(id, taken));
            }
        }
        let prints = self.prints(MAPPING_RULE);
        if self.looks.is_news(MAPPING_RULE, prints, at_once) || at_once {
            let taken = self.take_mapping(by);
            done.extend(self.settle(MAPPING_RULE, taken));
        }
        done.extend(self.remove_unwanted(&wanted, by));
        self.order(&wanted);
        self.looks
            .retain(|id| id == MAPPING_RULE || wanted.iter().any(|one| one == id));
        done
    }

    /// What could not be taken for no fault of its own is tried again.
    fn settle(&mut self, id: &str, taken: Option<Result<String, Refusal>>) -> Option<String> {
        match &taken {
            Some(Err(refusal)) if refusal.is_transient() && self.file_of(id).exists() => {
                self.looks.try_again(id);
            }
            _ => self.looks.settle(id),
        }
        taken.map(|taken| told(id, taken))
    }

    /// Takes a rule whose files changed, unless it is in force as it is or was
    /// left as it is.
    fn take(&mut self, id: &str, by: &str) -> Option<Result<String, Refusal>> {
        let (component, _) = match self.read(&self.file_of(id)) {
            Ok(read) => read,
            Err(refusal) => return Some(self.tell_swap(id, Err(refusal), by)),
        };
        if self.is_in_force(id, &component) {
            return None;
        }
        if self.is_left(id, &component) {
            return Some(Err(passed_over(id)));
        }
        Some(self.swap(id, None, by))
    }

    fn take_mapping(&mut self, by: &str) -> Option<Result<String, Refusal>> {
        let (component, _) = match self.read(&self.file_of(MAPPING_RULE)) {
            Ok(read) => read,
            Err(refusal) => return Some(self.tell_swap(MAPPING_RULE, Err(refusal), by)),
        };
        let digest = digest(&component);
        if self
            .mapping
            .as_ref()
            .is_some_and(|(known, _)| *known == digest)
        {
            return None;
        }
        if self.is_left(MAPPING_RULE, &component) {
            return Some(Err(passed_over(MAPPING_RULE)));
        }
        Some(self.swap_mappings(None, self.packs.clone(), by))
    }

    fn remove_unwanted(&mut self, wanted: &[String], by: &str) -> Vec<String> {
        // What was refused from the beginning and is wanted no more.
        for line in self.shared.board.lines() {
            let known = line.id == MAPPING_RULE || self.in_force.contains_key(&line.id);
            if !known && !wanted.contains(&line.id) {
                self.shared.board.remove(&line.id);
            }
        }
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

    fn order(&mut self, wanted: &[String]) {
        let shown = self.shared.board.lines().into_iter().map(|line| line.id);
        let shown: Vec<String> = shown.filter(|id| wanted.contains(id)).collect();
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
                        done.extend(needs_restart(&self.config, &config));
                        self.config.rules.clone_from(&config.rules);
                        self.config.lifecycle = config.lifecycle;
                        // Sources stay as they were bound.
                        let mut next = self.packs.clone();
                        for (old, (new, _)) in next.iter_mut().zip(packs) {
                            if old.0.id == new.id {
                                old.0 = new;
                            }
                        }
                        if tables(&next) == tables(&self.packs) {
                            self.packs = next;
                        } else {
                            // They are the packs when their tables are in force.
                            let taken = self.swap_tables(next, by);
                            done.push(told(MAPPING_RULE, taken));
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

/// A version that was left is not taken by itself.
fn passed_over(id: &str) -> Refusal {
    let refusal = Refusal::left(id);
    tracing::info!(rule = id, %refusal, "file passed over");
    refusal
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
