//! Names of rules that somebody asks about.
//!
//! Invariant: a name nobody configured is answered and told, and kept nowhere.

use super::Lifecycle;
use super::board::Board;
use super::gate::Refusal;
use crate::config::error::did_you_mean;
use crate::config::rules::{MAPPING_RULE, names as components};

/// Longest name repeated, in characters.
const LONGEST: usize = 64;

/// A name from outside as it may be told.
pub(super) fn shown(id: &str) -> String {
    let escaped: String = id
        .chars()
        .take(LONGEST)
        .flat_map(char::escape_debug)
        .collect();
    let cut = id.chars().nth(LONGEST).is_some();
    escaped + if cut { "…" } else { "" }
}

/// Names on the board, in its order.
pub(super) fn on(board: &Board) -> Vec<String> {
    let mut names = Vec::new();
    board.each(|entry| names.push(entry.line.id.clone()));
    names
}

/// What is said of a name there is not.
pub(super) fn unknown(known: &[String], id: &str) -> String {
    let hint = did_you_mean(known.iter().map(String::as_str), id);
    let known = match known {
        [] => "there are none".to_owned(),
        known => format!("there are {}", known.join(", ")),
    };
    format!("there is no rule `{}`: {known}{hint}", shown(id))
}

impl Lifecycle {
    /// Why a name is none of a rule here. Only what is meant to run is changed,
    /// or the next look at the files would take it out again.
    pub(super) fn unknown_name(&self, id: &str) -> Option<Refusal> {
        let known = id == MAPPING_RULE
            || self.in_force.contains_key(id)
            || self.wanted().iter().any(|wanted| wanted == id);
        if known {
            return None;
        }
        let entry = self.entries.iter().find(|entry| entry.id == id);
        let reason = if let Some(why) = self.shared.board.refusal_of(id) {
            format!("rule `{id}` is out: {why}")
        } else if entry.is_some_and(|entry| !entry.enabled) {
            format!("rule `{id}` has `enabled = false` in its entry or manifest; change that")
        } else if components(&self.directory).iter().any(|name| name == id) {
            format!(
                "no rule `{id}` is configured; add a `[[rules]]` entry or a manifest `{id}.toml`"
            )
        } else {
            unknown(&on(&self.shared.board), id)
        };
        Some(Refusal::new("name", reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones_and_the_nearest() {
        let known = ["witness".to_owned(), "event-mapping".to_owned()];
        let told = unknown(&known, "witnes");
        assert!(told.contains("there are witness, event-mapping"), "{told}");
        assert!(told.ends_with("did you mean `witness`?"), "{told}");
    }

    #[test]
    fn names_from_outside_are_told_short_and_on_one_line() {
        let told = unknown(&[], &format!("a\nb{}", "x".repeat(10_000)));
        assert!(told.starts_with("there is no rule `a\\nbxxx"), "{told}");
        assert!(told.len() < 200 && !told.contains('\n'), "{told}");
    }
}
