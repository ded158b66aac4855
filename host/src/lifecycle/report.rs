//! Answers to questions about what is in force.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use sidewatch_engine::{ShadowReport, Side};

use super::board::Board;
use super::names;

pub(super) fn list(board: &Board) -> Value {
    json!({ "rules": board.lines() })
}

/// The answer about a rule that is not shown.
fn nobody(board: &Board, id: &str) -> Value {
    json!({ "error": names::unknown(&names::on(board), id) })
}

/// How the version in the shadow differs from the one in force.
pub(super) fn diff(board: &Board, id: &str) -> Value {
    let mut answer = nobody(board, id);
    board.each(|entry| {
        if entry.line.id == id {
            answer = match &entry.shadow {
                Some(shadow) => shadowed(&entry.line.version, shadow),
                None => json!({ "error": format!("nothing runs in the shadow of `{id}`") }),
            };
        }
    });
    answer
}

fn shadowed(version: &str, shadow: &ShadowReport) -> Value {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let differences: Vec<Value> = shadow
        .differences()
        .iter()
        .map(|difference| {
            json!({
                "only": match difference.side {
                    Side::InForce => "in force",
                    Side::Shadow => "shadow",
                },
                "event": format!("{:032x}", difference.event),
                "time": difference.time,
                "kind": &*difference.kind,
                "severity": difference.severity,
                "title": difference.title,
            })
        })
        .collect();
    json!({
        "in_force": {
            "version": version,
            "events": read(&shadow.events_in_force),
            "nanoseconds": read(&shadow.nanoseconds_in_force),
        },
        "shadow": {
            "version": shadow.version,
            "events": read(&shadow.counters.events),
            "nanoseconds": read(&shadow.counters.nanoseconds),
            "failed": shadow.counters.failed(),
        },
        "both": read(&shadow.both),
        "only_in_force": read(&shadow.only_in_force),
        "only_shadow": read(&shadow.only_shadow),
        "differences": differences,
    })
}

/// The latest events a rule could not evaluate.
pub(super) fn quarantine(board: &Board, id: &str) -> Value {
    let mut answer = nobody(board, id);
    board.each(|entry| {
        if entry.line.id != id {
            return;
        }
        let failed: Vec<Value> = entry
            .counters
            .failures
            .latest()
            .iter()
            .map(|failed| {
                json!({
                    "event": format!("{:032x}", failed.event),
                    "time": failed.time,
                    "source": failed.source.as_deref(),
                    "version": &*failed.version,
                    "reason": failed.fault.reason(),
                    "detail": failed.fault.to_string(),
                })
            })
            .collect();
        answer = json!({ "events": failed });
    });
    answer
}
