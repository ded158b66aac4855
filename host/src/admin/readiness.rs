//! `/readyz`: whether the sidecar does what it promises, and what is wrong.
//!
//! Ready means that sources listen, rules run and what is taken becomes
//! durable. While the store cannot be written nothing is acknowledged, so the
//! answer is 503 until it can, without a restart. Sinks that are down, rules
//! whose file is refused and a full disk on which room can be made are named,
//! but do not make the sidecar unready: it takes and keeps events all the same.

use std::sync::atomic::Ordering;

use hyper::StatusCode;

use crate::pipeline::Status;
use crate::pipeline::lanes::{left_of, removed_sinks};

/// What readiness depends on, and what is told besides.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    /// Sources listen and rules run.
    started: bool,
    /// Parts that failed for good.
    failures: Vec<String>,
    /// What keeps the store from being written.
    trouble: Option<String>,
    /// The disk is full, or was a moment ago.
    disk_full: bool,
    /// Lines that change nothing, already safe to show.
    notes: Vec<String>,
}

impl Readiness {
    /// As it is now.
    pub(super) fn of(status: &Status) -> Self {
        let store = status.store.as_ref().map(|store| store.status());
        let mut notes = Vec::new();
        status.board.each(|entry| {
            let line = &entry.line;
            if let Some(refused) = &line.refused {
                let instead = match &*line.version {
                    "" => "it stays out",
                    version => version,
                };
                notes.push(format!(
                    "rule {}: {}: a version is refused: {}: {}",
                    line.id.escape_debug(),
                    instead.escape_debug(),
                    refused.stage,
                    refused.reason.escape_debug()
                ));
            }
        });
        for (name, counters) in &status.sources {
            let files = counters.files.report();
            notes.extend(files.reasons.iter().map(|file| {
                format!(
                    "source {name}: {} cannot be read: {}",
                    file.path.display().to_string().escape_debug(),
                    file.reason.escape_debug()
                )
            }));
            let unnamed = files.unreadable - files.reasons.len();
            if unnamed > 0 {
                notes.push(format!("source {name}: {unnamed} more cannot be read"));
            }
        }
        for (name, counters) in &status.sinks {
            if let Some(error) = counters.last_error() {
                notes.push(format!("sink {name}: {}", error.escape_debug()));
            }
        }
        let left = status.store.iter().flat_map(|store| removed_sinks(store));
        for (sink, (waiting, _)) in left.filter(|(_, (waiting, _))| *waiting > 0) {
            notes.push(left_of(&sink, waiting).escape_debug().to_string());
        }
        Self {
            started: status.ready.load(Ordering::Acquire),
            failures: status.failures(),
            disk_full: store.as_ref().is_some_and(|store| store.disk_full),
            trouble: store.and_then(|store| store.trouble),
            notes,
        }
    }
}

/// The answer.
pub(super) fn page(readiness: &Readiness) -> (StatusCode, String) {
    let Readiness {
        started,
        failures,
        trouble,
        disk_full,
        notes,
    } = readiness;
    let unready = match (started, failures.as_slice(), trouble) {
        (false, _, _) => Some("not ready: starting or ending"),
        (true, [_, ..], _) => Some("not ready: a part failed; restart when its cause is removed"),
        (true, [], Some(_)) => Some(
            "not ready: the store cannot be written, so nothing is acknowledged; goes on by itself when it can",
        ),
        (true, [], None) => None,
    };
    let mut body = unready.unwrap_or("ready").to_owned();
    body.push('\n');
    for failure in failures {
        body.push_str(&format!("failed: {}\n", failure.escape_debug()));
    }
    if let Some(trouble) = trouble {
        body.push_str(&format!("store: {}\n", trouble.escape_debug()));
    } else if *disk_full {
        body.push_str("store: the disk is full; sinks that may lose records lose their oldest\n");
    }
    for note in notes {
        body.push_str(note);
        body.push('\n');
    }
    let code = match unready {
        None => StatusCode::OK,
        Some(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (code, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> Readiness {
        Readiness {
            started: true,
            ..Readiness::default()
        }
    }

    fn answered(readiness: &Readiness) -> (u16, String) {
        let (code, body) = page(readiness);
        (code.as_u16(), body)
    }

    #[test]
    fn a_sound_sidecar_is_ready() {
        assert_eq!(answered(&sound()), (200, "ready\n".to_owned()));
        let starting = answered(&Readiness::default());
        assert_eq!(
            starting,
            (503, "not ready: starting or ending\n".to_owned())
        );
    }

    #[test]
    fn nobody_is_sent_to_a_sidecar_that_can_keep_nothing() {
        let (code, body) = answered(&Readiness {
            trouble: Some("cannot write /data/store: No space left".to_owned()),
            disk_full: true,
            ..sound()
        });
        assert_eq!(code, 503);
        assert!(
            body.starts_with("not ready: the store cannot be written"),
            "{body}"
        );
        assert!(
            body.contains("store: cannot write /data/store: No space left\n"),
            "{body}"
        );
    }

    #[test]
    fn a_full_disk_on_which_room_is_made_is_told_and_no_more() {
        let (code, body) = answered(&Readiness {
            disk_full: true,
            ..sound()
        });
        assert_eq!(code, 200);
        assert!(body.contains("store: the disk is full"), "{body}");
    }

    #[test]
    fn what_failed_for_good_is_told_before_what_may_pass() {
        let (code, body) = answered(&Readiness {
            failures: vec!["source `m`\nis gone".to_owned()],
            trouble: Some("full".to_owned()),
            ..sound()
        });
        assert_eq!(code, 503);
        assert!(body.contains("restart when its cause is removed"), "{body}");
        assert!(body.contains("failed: source `m`\\nis gone\n"), "{body}");
    }

    #[test]
    fn sinks_that_are_down_and_refused_rules_make_nothing_unready() {
        let (code, body) = answered(&Readiness {
            notes: vec!["sink siem: connection refused".to_owned()],
            ..sound()
        });
        assert_eq!(
            (code, &*body),
            (200, "ready\nsink siem: connection refused\n")
        );
    }
}
