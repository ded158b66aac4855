//! Which followed files can be read now, for whoever asks.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Most unreadable paths named; the others are counted.
const NAMED: usize = 16;

/// A followed path that cannot be read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The path, or the pattern.
    pub path: PathBuf,
    /// What the system says, and what to do.
    pub reason: String,
}

/// Followed files at one moment.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Names that are followed, all of them.
    pub followed: usize,
    /// Those that do not exist yet, or not any more.
    pub waiting: usize,
    /// Those that exist and cannot be read.
    pub unreadable: usize,
    /// Why, for the first of those.
    pub reasons: Vec<Unreadable>,
}

impl FileReport {
    /// Adds a path that cannot be read.
    pub(super) fn add(&mut self, path: PathBuf, reason: String) {
        self.unreadable += 1;
        if self.reasons.len() < NAMED {
            self.reasons.push(Unreadable { path, reason });
        }
    }
}

/// The state of a source's followed files; nothing for other sources.
#[derive(Debug, Default)]
pub struct FileHealth(Mutex<FileReport>);

impl FileHealth {
    /// How it is now.
    #[must_use]
    pub fn report(&self) -> FileReport {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set(&self, report: FileReport) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = report;
    }
}
