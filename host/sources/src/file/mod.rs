//! Followed files: read from their beginning, across rotation, never past a
//! line that is not yet complete.
//!
//! Invariants:
//! - nothing is skipped silently: reading starts at the beginning unless the
//!   operator says `start = "end"` or a position is known; bytes that were
//!   overwritten before we saw them are counted;
//! - a record's identifier derives from the file's fingerprint and the
//!   record's offset, so reading it again gives the same event;
//! - reading waits for the pipeline, so nothing is shed.

mod fingerprint;
mod follow;
mod opened;
mod packed;
mod position;
mod siblings;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use sidewatch_codecs::Decoder;

use crate::lines::DEFAULT_LINE_LIMIT;
use crate::records::Records;
use crate::settings::check_range;
use crate::{Intake, Shutdown, Source, SourceError, SourceFuture};
use follow::{Follower, Progress};
pub use position::{MemoryPositions, Position, Positions};
pub(crate) use siblings::is_rotated_from;

/// Longest sleep between two looks for shutdown.
const LOOK: Duration = Duration::from_millis(100);

/// Where a file found at the start is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// From its first byte.
    #[default]
    Beginning,
    /// From its end: what it holds already is skipped. A file that appears
    /// later is read from its beginning all the same.
    End,
}

/// Settings of the file source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Files to follow; those ending in `.gz` are read once.
    pub paths: Vec<PathBuf>,
    /// Where a file of unknown position is read from.
    #[serde(default)]
    pub start: Start,
    /// Longest line, in bytes; longer ones are cut and flagged.
    #[serde(default = "default_line_limit")]
    pub max_line_bytes: usize,
    /// Time between two looks at a quiet file, in milliseconds.
    #[serde(default = "default_poll_interval")]
    pub poll_interval_ms: u64,
    /// How long a rotated file is still read after its last byte came, in
    /// milliseconds: its writer may hold it open for a while.
    #[serde(default = "default_rotate_wait")]
    pub rotate_wait_ms: u64,
}

fn default_line_limit() -> usize {
    DEFAULT_LINE_LIMIT
}

fn default_poll_interval() -> u64 {
    250
}

fn default_rotate_wait() -> u64 {
    5_000
}

impl FileSettings {
    /// Settings with everything but the paths left at its default.
    #[must_use]
    pub fn of(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            start: Start::default(),
            max_line_bytes: default_line_limit(),
            poll_interval_ms: default_poll_interval(),
            rotate_wait_ms: default_rotate_wait(),
        }
    }

    /// Checks what can be checked without touching the system.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SourceError> {
        if self.paths.is_empty() {
            let problem = "is empty; name at least one file".to_owned();
            return Err(SourceError::Setting {
                setting: "paths",
                problem,
            });
        }
        check_range("max_line_bytes", self.max_line_bytes as u64, 64..=64 << 20)?;
        check_range("poll_interval_ms", self.poll_interval_ms, 1..=60_000)?;
        check_range("rotate_wait_ms", self.rotate_wait_ms, 0..=3_600_000)
    }

    /// Prepares the source. A file that does not exist yet is waited for; one
    /// that exists must be readable.
    ///
    /// # Errors
    /// Settings that cannot be used, or a file that may not be read.
    pub fn bind(
        &self,
        name: &str,
        decoder: Arc<dyn Decoder>,
        positions: Arc<dyn Positions>,
    ) -> Result<FileSource, SourceError> {
        self.validate()?;
        for path in &self.paths {
            match std::fs::File::open(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(SourceError::File {
                        path: path.clone(),
                        source: error,
                    });
                }
                _ => {}
            }
        }
        Ok(FileSource {
            name: name.into(),
            settings: self.clone(),
            decoder,
            positions,
        })
    }
}

/// A file source.
pub struct FileSource {
    name: Box<str>,
    settings: FileSettings,
    decoder: Arc<dyn Decoder>,
    positions: Arc<dyn Positions>,
}

impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> Vec<String> {
        self.settings
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    fn run(self: Box<Self>, intake: Intake, shutdown: Shutdown) -> SourceFuture {
        let Self {
            settings,
            decoder,
            positions,
            ..
        } = *self;
        let sink = LineSink {
            records: Records { decoder, intake },
            positions,
            shutdown: shutdown.clone(),
        };
        Box::pin(crate::on_thread("file", move || {
            follow(&settings, &sink, &shutdown);
            Ok(())
        }))
    }
}

/// Where lines and positions go.
struct LineSink {
    records: Records,
    positions: Arc<dyn Positions>,
    shutdown: Shutdown,
}

/// Follows all paths until shutdown, or until nothing more can come.
fn follow(settings: &FileSettings, sink: &LineSink, shutdown: &Shutdown) {
    let mut followers: Vec<_> = settings
        .paths
        .iter()
        .map(|path| Follower::new(path.clone(), settings))
        .collect();
    while !shutdown.is_triggered() && !followers.is_empty() {
        let mut moved = false;
        let mut closed = false;
        followers.retain_mut(|follower| match follower.poll(sink) {
            Ok(Progress::Moved) => {
                moved = true;
                true
            }
            Ok(Progress::Quiet) => true,
            Ok(Progress::Ended) => false,
            Err(_) => {
                closed = true;
                false
            }
        });
        if closed {
            return;
        }
        if !moved {
            sleep(Duration::from_millis(settings.poll_interval_ms), shutdown);
        }
    }
}

fn sleep(interval: Duration, shutdown: &Shutdown) {
    let mut left = interval;
    while left > Duration::ZERO && !shutdown.is_triggered() {
        let slice = left.min(LOOK);
        std::thread::sleep(slice);
        left -= slice;
    }
}
