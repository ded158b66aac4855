//! Followed files: read from their beginning, across rotation, never past a
//! line that is not yet complete.
//!
//! Invariants:
//! - nothing is skipped silently: reading starts at the beginning unless the
//!   operator says `start = "end"` or a position is known; bytes that were
//!   overwritten before we saw them are counted;
//! - whether a stored position still holds is told by the content before it;
//! - a file has one reader in the process, whatever names it has;
//! - a file followed under its own name is nobody's older file;
//! - a path that cannot be read holds up no other, and is reported;
//! - a record's identifier derives from the file's fingerprint and the
//!   record's offset, so reading it again gives the same event;
//! - reading waits for the pipeline, so nothing is shed.

mod candidates;
mod claims;
mod content;
mod fingerprint;
mod follow;
mod followed;
mod health;
mod listing;
mod names;
mod older;
mod open;
mod opened;
mod packed;
mod paths;
mod position;
mod resting;
mod siblings;
mod standing;
mod watch;
mod whence;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use sidewatch_codecs::Decoder;

use crate::lines::DEFAULT_LINE_LIMIT;
use crate::records::Records;
use crate::settings::check_range;
use crate::{Intake, Shutdown, Source, SourceError, SourceFuture};
pub use followed::Followed;
pub use health::{FileHealth, FileReport, Unreadable};
use listing::Listings;
pub(crate) use names::is_rotated_from;
use opened::Stop;
use paths::Paths;
pub use position::{MemoryPositions, Positions};

/// Bytes a file is read into at a time.
const MEMORY: usize = 512 * 1024;

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
    /// Files to follow; those ending in `.gz` are read once. A path with `*`,
    /// `?` or `[` that does not exist as it stands is a pattern, looked at
    /// again every few seconds; `**` stands for any directories.
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
    /// How long a rotated file may be quiet before a last line without its
    /// end is handed over, in milliseconds: its writer may hold it open for a
    /// while.
    #[serde(default = "default_rotate_wait")]
    pub rotate_wait_ms: u64,
    /// How long it is kept in sight after that, in seconds, for lines its
    /// writer adds late.
    #[serde(default = "default_rotated_watch")]
    pub rotated_watch_s: u64,
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

fn default_rotated_watch() -> u64 {
    3_600
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
            rotated_watch_s: default_rotated_watch(),
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
        check_range("rotate_wait_ms", self.rotate_wait_ms, 0..=3_600_000)?;
        check_range("rotated_watch_s", self.rotated_watch_s, 0..=86_400)
    }

    /// Whether a file at this path would be followed: nobody should write the
    /// source's own records there.
    #[must_use]
    pub fn follows(&self, path: &Path) -> bool {
        Paths::of(&self.paths).is_ok_and(|paths| paths.contain(path))
    }

    /// The names that would be followed now, as given or matched by patterns,
    /// and the patterns that match none.
    ///
    /// # Errors
    /// A pattern that cannot be understood.
    pub fn present(&self) -> Result<(Vec<PathBuf>, Vec<String>), SourceError> {
        Ok(Paths::of(&self.paths)?.present())
    }

    /// Prepares the source. A file that does not exist yet is waited for; one
    /// that exists must be a regular file and readable. `followed` are the
    /// names all sources of the process follow.
    ///
    /// # Errors
    /// Settings that cannot be used, or a file that may not be read.
    pub fn bind(
        &self,
        name: &str,
        decoder: Arc<dyn Decoder>,
        positions: Arc<dyn Positions>,
        followed: Arc<Followed>,
    ) -> Result<FileSource, SourceError> {
        self.validate()?;
        let paths = Paths::of(&self.paths)?;
        paths.names().try_for_each(check_readable)?;
        // Known before any source runs.
        let registered = paths.names().map(|path| followed.register(path));
        Ok(FileSource {
            name: name.into(),
            settings: self.clone(),
            registered: registered.collect(),
            paths,
            decoder,
            positions,
            followed,
        })
    }
}

fn check_readable(path: &Path) -> Result<(), SourceError> {
    match try_open(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(SourceError::File {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Opens a file as a source would, which waits for nobody.
///
/// # Errors
/// Says why it could not be followed, and what to do.
pub fn try_open(path: &Path) -> std::io::Result<()> {
    let opened = open::open_regular(path);
    opened
        .map(drop)
        .map_err(|error| std::io::Error::new(error.kind(), open::explained(&error)))
}

/// A file source.
pub struct FileSource {
    name: Box<str>,
    settings: FileSettings,
    paths: Paths,
    registered: Vec<followed::Registered>,
    decoder: Arc<dyn Decoder>,
    positions: Arc<dyn Positions>,
    followed: Arc<Followed>,
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
        let sink = LineSink {
            records: Records {
                decoder: self.decoder,
                intake,
            },
            positions: self.positions,
            followed: self.followed,
            listings: Listings::default(),
            memory: Mutex::default(),
            shutdown,
        };
        let (settings, paths, registered) = (self.settings, self.paths, self.registered);
        Box::pin(crate::on_thread("file", move || {
            watch::watch(paths, &settings, &sink);
            drop(registered);
            Ok(())
        }))
    }
}

/// Where lines and positions go, and what all followers of a source share.
struct LineSink {
    records: Records,
    positions: Arc<dyn Positions>,
    followed: Arc<Followed>,
    listings: Listings,
    /// What files are read into, one after the other.
    memory: Mutex<Vec<u8>>,
    shutdown: Shutdown,
}

impl LineSink {
    /// Memory to read into.
    fn borrow_memory(&self) -> Vec<u8> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::take(&mut *memory);
        if taken.is_empty() {
            return vec![0; MEMORY];
        }
        taken
    }

    fn give_back(&self, taken: Vec<u8>) {
        // What a huge line needed is not kept.
        if taken.len() == MEMORY {
            *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = taken;
        }
    }

    /// Ends what would take long.
    fn check_shutdown(&self) -> Result<(), Stop> {
        if self.shutdown.is_triggered() {
            return Err(Stop::Closed);
        }
        Ok(())
    }

    /// Counts the rest of a line whose beginning was handed over before its
    /// end came. Taken for a line it would say what nobody wrote.
    fn refuse_rest(&self, number: u64, length: u64) {
        if length == 0 {
            return;
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.records.intake.arrived(length);
        let reason = "it is the rest of a line whose beginning was handed over before its end came; a larger `rotate_wait_ms` waits longer for it";
        self.records.intake.reject(number, &reason);
    }
}
