//! `replay --resume STATE`: goes on where the last run stopped.
//!
//! Invariant: a state is saved only after everything before it has reached the
//! output, and says how long the output was then; so a run that was killed
//! costs nothing and doubles nothing in an output file.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use sidewatch_sources::checkpoint::{
    self, Candidate, Checkpoint, CheckpointFile, Opened, OutputMark,
};
use sidewatch_sources::{identity, lines};

use crate::cli::feed::Standing;
use crate::cli::usage::usage;

/// Lines between two saved states.
const STRIDE: u64 = 500_000;

/// A file to be read.
#[derive(Debug)]
pub(super) struct Planned {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// The log it belongs to.
    name: String,
    /// What is known of it.
    known: Option<usize>,
}

/// The state of the last run, becoming that of this one.
pub(super) struct Resume {
    state: CheckpointFile,
    read_at: i64,
    saved_lines: u64,
}

impl Resume {
    /// Reads the state.
    ///
    /// # Errors
    /// It cannot be used.
    pub(super) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            state: CheckpointFile::open(path).context("--resume")?,
            read_at: identity::now(),
            saved_lines: 0,
        })
    }

    /// Where the output stood.
    pub(super) fn output(&self) -> Option<&OutputMark> {
        self.state.output()
    }

    /// The files to be read: those asked for, each after whatever was rotated
    /// away from it since it was last read.
    ///
    /// # Errors
    /// Standard input, whose position cannot be kept.
    pub(super) fn plan(&self, files: &[PathBuf]) -> Result<Vec<Planned>> {
        let mut planned: Vec<Planned> = Vec::new();
        for path in files {
            if path == Path::new("-") {
                return Err(usage(
                    "--resume needs files: standard input cannot be read again",
                ));
            }
            let name = std::path::absolute(path)
                .unwrap_or_else(|_| path.clone())
                .display()
                .to_string();
            let rotated = self
                .state
                .last_read(&name)
                .map(|since| checkpoint::rotated_since(path, since))
                .unwrap_or_default();
            for path in rotated.into_iter().filter(|path| !names(files, path)) {
                planned.push(Planned {
                    path,
                    name: name.clone(),
                    known: None,
                });
            }
            planned.push(Planned {
                path: path.clone(),
                name,
                known: None,
            });
        }
        let candidates: Vec<Candidate> = planned
            .iter()
            .map(|file| checkpoint::look_at(&file.path).unwrap_or_default())
            .collect();
        let known = checkpoint::assign(self.state.checkpoints(), &candidates);
        for (file, known) in planned.iter_mut().zip(known) {
            file.known = known;
        }
        Ok(planned)
    }

    /// Opens a file where it was left.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn start(&self, file: &Planned) -> std::io::Result<Opened> {
        let known = file
            .known
            .and_then(|known| self.state.checkpoints().get(known));
        checkpoint::open(&file.path, lines::DEFAULT_LINE_LIMIT, known)
    }

    /// Notes how far a file was read.
    pub(super) fn note(
        &mut self,
        file: &mut Planned,
        metadata: &Metadata,
        standing: &Standing<'_>,
    ) {
        let point = Checkpoint::new(&file.name, standing.head, standing.offset, standing.lines);
        self.put(file, point.of(metadata, self.read_at));
    }

    /// Notes that a log was looked for, so that what is rotated away from it
    /// until the next run is read then.
    pub(super) fn note_missing(&mut self, file: &mut Planned) {
        if file.known.is_none() {
            let mut point = Checkpoint::new(&file.name, &[], 0, 0);
            point.read_at = self.read_at;
            self.put(file, point);
        }
    }

    fn put(&mut self, file: &mut Planned, point: Checkpoint) {
        // Of a log that was empty or missing, one entry is enough.
        let known = file.known.or_else(|| {
            let points = self.state.checkpoints().iter();
            let mut empty = points.map(|point| point.offset == 0 && point.name == file.name);
            empty.position(|empty| empty)
        });
        file.known = Some(self.state.put(known, point));
    }

    /// Whether so many lines were read that the state should be saved.
    pub(super) fn is_due(&mut self, lines: u64) -> bool {
        let due = lines.abs_diff(self.saved_lines) >= STRIDE;
        if due {
            self.saved_lines = lines;
        }
        due
    }

    /// Saves the state; `output` is where the output stands.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn save(&mut self, output: Option<OutputMark>) -> std::io::Result<()> {
        self.state.set_output(output);
        self.state.save().map_err(std::io::Error::other)
    }
}

/// Whether a file is among those asked for.
fn names(files: &[PathBuf], path: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).ok();
    let found = real(path);
    found.is_some() && files.iter().any(|file| real(file) == found)
}
