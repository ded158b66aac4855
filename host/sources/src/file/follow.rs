//! Follows one path across rotation.
//!
//! Rename and create: the old file is read to its end (and a while longer,
//! because its writer may hold it), then the new one from its beginning; files
//! that were rotated while nobody looked, packed ones too, are found beside it.
//! Copy and truncate: when a copy is there, reading goes on in it, so nothing
//! is lost; without it, what came since the last look may be lost.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::fingerprint::{self, Inode};
use super::opened::{Opened, Stop};
use super::packed;
use super::siblings::{self, Look, Missed};
use super::{FileSettings, LineSink, Start};
use crate::counters::add;
use crate::intake::Closed;

/// Rotated files still read; with more, the oldest is finished early.
const DRAINING: usize = 32;

/// What a look at a path gave.
pub(super) enum Progress {
    /// Something was read; look again at once.
    Moved,
    /// Nothing new.
    Quiet,
    /// Nothing will ever come again.
    Ended,
}

pub(super) struct Follower {
    path: PathBuf,
    limit: usize,
    rotate_wait: Duration,
    /// Where the next file opened is read from.
    start: Start,
    current: Option<Opened>,
    draining: VecDeque<Opened>,
    /// When the name was last seen to mean the file we hold.
    seen: SystemTime,
    /// Rotated files were looked for since the start.
    searched: bool,
    complained: bool,
}

impl Follower {
    pub(super) fn new(path: PathBuf, settings: &FileSettings) -> Self {
        Self {
            path,
            limit: settings.max_line_bytes,
            rotate_wait: Duration::from_millis(settings.rotate_wait_ms),
            start: settings.start,
            current: None,
            draining: VecDeque::new(),
            seen: SystemTime::now(),
            searched: false,
            complained: false,
        }
    }

    /// Looks once and reads what there is, for one turn.
    pub(super) fn poll(&mut self, sink: &LineSink) -> Result<Progress, Closed> {
        let result = if self
            .path
            .extension()
            .is_some_and(|extension| extension == "gz")
        {
            packed::read(&self.path, self.limit, sink).map(|()| Progress::Ended)
        } else {
            self.turn(sink)
        };
        match result {
            Ok(progress) => {
                self.complained = false;
                Ok(progress)
            }
            Err(Stop::Closed) => Err(Closed),
            Err(Stop::Failed(error)) => {
                self.complain(&error);
                let ends = error.kind() == io::ErrorKind::InvalidData;
                Ok(if ends {
                    Progress::Ended
                } else {
                    Progress::Quiet
                })
            }
        }
    }

    fn turn(&mut self, sink: &LineSink) -> Result<Progress, Stop> {
        let mut moved = self.drain(sink)?;
        match std::fs::metadata(&self.path) {
            Ok(metadata) => self.follow_name(&metadata, sink)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A file that comes later is new: all of it is to be read.
                self.start = Start::Beginning;
                self.rotate_away();
                self.adopt_siblings(None, sink)?;
                if self.draining.is_empty() {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
        // The order of lines across a rotation: the old file first.
        moved |= self.drain(sink)?;
        if let Some(current) = &mut self.current {
            moved |= current.read(&self.path, sink)?;
        }
        Ok(if moved {
            Progress::Moved
        } else {
            Progress::Quiet
        })
    }

    /// Makes `current` the file the name means now.
    fn follow_name(&mut self, metadata: &Metadata, sink: &LineSink) -> Result<(), Stop> {
        let looked = SystemTime::now();
        let named = fingerprint::inode(metadata);
        if self
            .current
            .as_ref()
            .is_some_and(|held| held.inode != named)
        {
            self.rotate_away();
        }
        match &mut self.current {
            Some(current) => {
                if current.was_cut(metadata)? {
                    self.recover_cut(sink)?;
                }
            }
            None => {
                self.adopt_siblings(Some(named), sink)?;
                self.current = Some(Opened::open(&self.path, self.limit, self.start, sink)?);
                self.start = Start::Beginning;
            }
        }
        self.seen = looked;
        Ok(())
    }

    /// Takes up rotated files that were missed. A file that cannot be read
    /// is passed over: it is not the one we were told to follow.
    fn adopt_siblings(&mut self, named: Option<Inode>, sink: &LineSink) -> Result<(), Stop> {
        let mut held: Vec<_> = self.draining.iter().map(|opened| opened.inode).collect();
        held.extend(named);
        let look = Look {
            held: &held,
            known: &self.known(),
            since: self.seen,
            thorough: !std::mem::replace(&mut self.searched, true),
        };
        for missed in siblings::unread(&self.path, &look, &*sink.positions) {
            match self.adopt(&missed, sink) {
                Err(Stop::Failed(error)) => {
                    tracing::warn!(path = %missed.path.display(), %error, "rotated file skipped");
                }
                adopted => adopted?,
            }
        }
        Ok(())
    }

    /// What the files we hold are known by.
    fn known(&self) -> Vec<u128> {
        let held = self.draining.iter().chain(&self.current);
        held.filter_map(Opened::fingerprint).collect()
    }

    fn adopt(&mut self, missed: &Missed, sink: &LineSink) -> Result<(), Stop> {
        let path = &missed.path;
        match missed.resume {
            _ if missed.packed => {
                // Older lines first.
                while self.drain(sink)? {}
                let own = siblings::identity(path, true).map(|own| (own, 0));
                let Some(from) = missed.resume.or(own) else {
                    return Ok(());
                };
                packed::read_as(File::open(path)?, path, self.limit, sink, from)?;
            }
            Some((original, offset)) => {
                let copy = Opened::resume(path, self.limit, original, offset)?;
                self.draining.extend(copy);
            }
            None => {
                let opened = Opened::open(path, self.limit, Start::Beginning, sink)?;
                self.draining.push_back(opened);
            }
        }
        Ok(())
    }

    fn rotate_away(&mut self) {
        self.draining.extend(self.current.take());
    }

    /// Reads rotated files, finishes those that have gone quiet.
    fn drain(&mut self, sink: &LineSink) -> Result<bool, Stop> {
        let mut moved = false;
        for opened in &mut self.draining {
            moved |= opened.read(&self.path, sink)?;
        }
        while let Some(oldest) = self.draining.front_mut() {
            let due = oldest.is_quiet(self.rotate_wait) || self.draining.len() > DRAINING;
            if moved || !due {
                break;
            }
            if let Some(mut finished) = self.draining.pop_front() {
                finished.finish(&self.path, sink)?;
            }
        }
        Ok(moved)
    }

    /// The file was cut: goes on in its copy if there is one, then at the
    /// file's beginning.
    fn recover_cut(&mut self, sink: &LineSink) -> Result<(), Stop> {
        let Some(mut old) = self.current.take() else {
            return Ok(());
        };
        let copies = siblings::copies(&self.path, self.seen);
        let mut plain = copies.iter().filter(|copy| !copy.packed);
        if plain.any(|copy| old.switch_to_copy(&copy.path).unwrap_or(false)) {
            self.draining.push_back(old);
        } else if let Some(packed) = packed_copy(&old, &copies) {
            while self.drain(sink)? {}
            let file = File::open(packed)?;
            let known = old.fingerprint().unwrap_or_default();
            packed::read_as(file, packed, self.limit, sink, (known, old.offset()))?;
        } else {
            let pending = old.pending();
            add(&sink.records.intake.counters().lost_bytes, pending);
            tracing::warn!(
                path = %self.path.display(),
                lost_bytes = pending,
                "file was cut and no copy of it was found; what came since the last look is lost"
            );
            old.restart();
            self.current = Some(old);
            return Ok(());
        }
        self.current = Some(Opened::open(
            &self.path,
            self.limit,
            Start::Beginning,
            sink,
        )?);
        Ok(())
    }

    fn complain(&mut self, error: &io::Error) {
        if !self.complained {
            self.complained = true;
            tracing::warn!(path = %self.path.display(), %error, "file cannot be read for now");
        }
    }
}

/// The packed copy that begins like the file we read.
fn packed_copy<'a>(old: &Opened, copies: &'a [Missed]) -> Option<&'a Path> {
    let head = old.fingerprint().map(fingerprint::head)?;
    copies
        .iter()
        .filter(|copy| copy.packed)
        .find(|copy| siblings::identity(&copy.path, true).map(fingerprint::head) == Some(head))
        .map(|copy| copy.path.as_path())
}
