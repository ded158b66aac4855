//! Follows one path across rotation.
//!
//! Rename and create: the old file is read to its end (and a while longer,
//! because its writer may hold it), then the new one from its beginning; files
//! that were rotated while nobody looked, packed ones too, are found beside it.
//! Copy and truncate: when a copy is there, reading goes on in it, so nothing
//! is lost; without it, what came since the last look may be lost.
//!
//! A rotated file that has gone quiet is finished: a last line without its end
//! is handed over. It stays in sight all the same, so what its writer adds
//! later is read; see [`super::resting`].

use std::collections::HashSet;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use sidewatch_event::Origin;

use super::fingerprint::{self, Inode};
use super::followed::Registered;
use super::listing::directory_of;
use super::older::Older;
use super::open::{self, open_regular};
use super::opened::{Opened, Read, Stop};
use super::siblings::{self, Missed};
use super::standing::identity;
use super::{FileSettings, LineSink, Start, packed};
use crate::counters::add;
use crate::intake::Closed;

/// Time between two searches for older files of a name that is missing.
const SEARCH: Duration = Duration::from_secs(1);

/// What a look at a path gave.
pub(super) enum Progress {
    /// Something was read; look again at once.
    Moved,
    /// Nothing new.
    Quiet,
    /// Nothing will ever come again.
    Ended,
}

/// Whether the path can be read now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    Readable,
    /// It does not exist.
    Missing,
    /// Why not.
    Unreadable(String),
}

pub(super) struct Follower {
    pub(super) path: PathBuf,
    pub(super) standing: Standing,
    /// That is because no descriptor was left.
    pub(super) out_of_descriptors: bool,
    limit: usize,
    /// Where the next file opened is read from.
    start: Start,
    current: Option<Opened>,
    older: Older,
    /// What the name means in this round.
    named: Option<(SystemTime, io::Result<Metadata>)>,
    /// That file was seen empty, and nothing of it was read.
    empty: bool,
    /// When something came into the directory, as it was last seen.
    directory_changed: Option<SystemTime>,
    /// When the name was last seen to mean the file we hold, or when that was
    /// first seen empty.
    seen: SystemTime,
    next_search: Instant,
    /// A packed file that could not be read to its end: its size and time of
    /// change then, and why.
    failed: Option<((u64, Option<SystemTime>), String)>,
    /// It was noted, or recalled, since when the name is followed.
    remembered: bool,
    /// A file of this name that is read under another one.
    elsewhere: Option<Inode>,
    /// A file of this name was opened since the start.
    pub(super) had_file: bool,
    _registered: Registered,
}

impl Follower {
    pub(super) fn new(
        path: PathBuf,
        start: Start,
        settings: &FileSettings,
        registered: Registered,
    ) -> Self {
        Self {
            older: Older::new(path.clone(), settings, registered.followed.claims()),
            path,
            standing: Standing::Readable,
            out_of_descriptors: false,
            limit: settings.max_line_bytes,
            start,
            current: None,
            named: None,
            empty: false,
            directory_changed: None,
            seen: SystemTime::now(),
            next_search: Instant::now(),
            failed: None,
            remembered: false,
            elsewhere: None,
            had_file: false,
            _registered: registered,
        }
    }

    /// A pattern matched no such name then.
    pub(super) fn was_absent(&mut self, when: Option<SystemTime>) {
        self.older.was_absent(when);
    }

    fn is_packed(&self) -> bool {
        let mut extension = self.path.extension().into_iter();
        extension.any(|extension| extension == "gz")
    }

    /// Looks what the name means. All names are looked at before a directory
    /// is listed, so that a listing shows what they meant before.
    pub(super) fn look(&mut self) {
        let now = SystemTime::now();
        self.named = Some((now, std::fs::metadata(&self.path)));
    }

    /// Reads what there is, for one turn.
    pub(super) fn poll(&mut self, sink: &LineSink) -> Result<Progress, Closed> {
        self.standing_after_look();
        let result = if self.is_packed() {
            self.read_packed(sink)
        } else {
            self.turn(sink)
        };
        let current = self.current.as_ref().map(|current| current.inode);
        self.older.settle(current);
        match result {
            Ok(progress) => Ok(progress),
            Err(Stop::Closed) => Err(Closed),
            Err(Stop::Failed(error)) => {
                self.note(&error);
                Ok(Progress::Quiet)
            }
        }
    }

    /// Reads a packed file once. One that is cut short or damaged may still be
    /// being written: it is read on when it changes.
    fn read_packed(&mut self, sink: &LineSink) -> Result<Progress, Stop> {
        let named = self
            .named
            .as_ref()
            .and_then(|(_, found)| found.as_ref().ok());
        let state = named.map(|it| (it.len(), it.modified().ok()));
        match &self.failed {
            Some((failed, why)) if Some(*failed) == state => {
                self.standing = Standing::Unreadable(why.clone());
                return Ok(Progress::Quiet);
            }
            _ => self.failed = None,
        }
        let read = packed::read(&self.path, self.limit, sink);
        if let (Err(Stop::Failed(error)), Some(state)) = (&read, state) {
            self.failed = Some((state, open::explained(error)));
        }
        read.map(|()| Progress::Ended)
    }

    fn standing_after_look(&mut self) {
        self.out_of_descriptors = false;
        self.standing = match &self.named {
            Some((_, Err(error))) if error.kind() == io::ErrorKind::NotFound => Standing::Missing,
            Some((_, Err(error))) => Standing::Unreadable(open::explained(error)),
            _ => Standing::Readable,
        };
    }

    /// Whether nothing is to be expected: the name is gone, and so are its
    /// older files.
    pub(super) fn is_over(&self) -> bool {
        self.standing == Standing::Missing && self.older.is_empty()
    }

    /// Says that the files we hold are still followed.
    pub(super) fn touch(&self, sink: &LineSink) {
        let mut known = self.known();
        known.insert(fingerprint::of_name(&self.path));
        known.iter().for_each(|known| sink.positions.touch(*known));
    }

    /// Remembers, for later runs too, since when the name is followed if there
    /// is nothing to read yet: then nothing beside it is history.
    fn remember_name(&mut self, sink: &LineSink) {
        let nothing = match &self.named {
            Some((_, Ok(metadata))) => metadata.len() == 0,
            Some((_, Err(error))) => error.kind() == io::ErrorKind::NotFound,
            None => return,
        };
        self.remembered = true;
        let name = fingerprint::of_name(&self.path);
        let known = sink.positions.load(name).map(|known| known.end);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(0));
        if known.is_none() && nothing {
            sink.positions.begin(Origin::new(name, now));
        }
        if let Some(since) = known.or(nothing.then_some(now)) {
            let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(since));
            since
                .into_iter()
                .for_each(|since| self.older.was_followed(since));
        }
    }

    fn turn(&mut self, sink: &LineSink) -> Result<Progress, Stop> {
        if !self.remembered {
            self.remember_name(sink);
        }
        self.older.wake_resting()?;
        let followed = match self.named.take() {
            None => Ok(()),
            Some((looked, Ok(metadata))) => self.follow_name(&metadata, looked, sink),
            Some((_, Err(error))) if error.kind() == io::ErrorKind::NotFound => {
                self.lose_name(sink)
            }
            Some((_, Err(error))) => Err(error.into()),
        };
        // Older files are read whatever the name means now.
        match followed {
            Err(Stop::Failed(error)) => self.note(&error),
            followed => followed?,
        }
        // The order of lines across a rotation: the old files first.
        let mut moved = match self.older.drain(sink)? {
            Read::More => return Ok(Progress::Moved),
            Read::Some => true,
            Read::Nothing => false,
        };
        if let Some(current) = &mut self.current {
            moved |= current.read(&self.path, sink)? != Read::Nothing;
        }
        Ok(if moved {
            Progress::Moved
        } else {
            Progress::Quiet
        })
    }

    /// Why the path, or an older file, cannot be read now.
    fn note(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound {
            self.out_of_descriptors = open::is_out_of_descriptors(error);
            self.standing = Standing::Unreadable(open::explained(error));
        }
    }

    /// Nothing has the name now.
    fn lose_name(&mut self, sink: &LineSink) -> Result<(), Stop> {
        // A file that comes later is new: all of it is to be read.
        self.start = Start::Beginning;
        self.rotate_away();
        if self.older.is_lost() || Instant::now() >= self.next_search {
            self.search(sink)?;
            self.next_search = Instant::now() + SEARCH;
        }
        Ok(())
    }

    /// Makes `current` the file the name means now.
    fn follow_name(
        &mut self,
        metadata: &Metadata,
        looked: SystemTime,
        sink: &LineSink,
    ) -> Result<(), Stop> {
        self.next_search = Instant::now();
        let named = fingerprint::inode(metadata);
        let held = self.current.as_ref().map(|held| held.inode);
        if held.is_some_and(|held| held != named) {
            self.rotate_away();
        }
        match &mut self.current {
            Some(current) => {
                let was_cut = current.was_cut(metadata)?;
                if current.is_untouched() {
                    return self.follow_untouched(was_cut, metadata, looked, sink);
                } else if was_cut {
                    self.recover_cut(sink)?;
                    // It may have been cut again since the last look.
                    self.search(sink)?;
                } else {
                    self.search_if_lost(sink)?;
                }
            }
            None => {
                if let Some(taken) = self.older.take_back(named)? {
                    // The name means a file again that it meant before.
                    self.current = Some(taken);
                    self.search(sink)?;
                    self.saw(looked);
                    return Ok(());
                }
                open::check(metadata)?;
                if !self.older.claim(named) {
                    self.tell_read_elsewhere(named);
                    return Ok(());
                }
                let opened = self.open_named(sink);
                if let Ok(opened) = &opened
                    && opened.inode != named
                {
                    // Rotated since the look: the next one finds both.
                    return Ok(());
                }
                // Cut while nobody looked, it begins anew: what was read is not
                // there any more, but in a copy.
                let goes_on = opened.as_ref().ok();
                let goes_on = goes_on.filter(|opened| opened.position().end > 0);
                let fingerprint = goes_on.and_then(Opened::fingerprint);
                let outline = opened.as_ref().ok().and_then(Opened::outline);
                let current = Some((named, fingerprint, outline));
                let any_known = self.older.search(current, self.seen, sink)?;
                let opened = opened?;
                if opened.skips && any_known {
                    // It came after a file that was read: nothing of it is old.
                    self.begin_anew(sink)?;
                } else {
                    opened.note_beginning(sink)?;
                    self.current = Some(opened);
                }
                self.start = Start::Beginning;
                self.had_file = true;
            }
        }
        self.saw(looked);
        Ok(())
    }

    /// The name was seen to mean the file we hold. What came into being since
    /// the time before is looked at once more while that is undecided.
    fn saw(&mut self, looked: SystemTime) {
        if !self.older.is_lost() {
            self.seen = looked;
        }
    }

    /// Nothing of the file was read yet: it is empty, or older ones are read.
    /// Whatever it held may be in copies by now, of which there may be several:
    /// it may be written and cut between two looks as often as it likes.
    fn follow_untouched(
        &mut self,
        was_cut: bool,
        metadata: &Metadata,
        looked: SystemTime,
        sink: &LineSink,
    ) -> Result<(), Stop> {
        let was_empty = self.empty;
        self.empty = metadata.len() == 0;
        if let Some(current) = &mut self.current
            && (was_cut || self.empty)
        {
            current.restart();
        }
        let directory = std::fs::metadata(directory_of(&self.path));
        let changed = directory.and_then(|directory| directory.modified()).ok();
        let before = std::mem::replace(&mut self.directory_changed, changed);
        let may_be_copied = self.empty && before != changed;
        if was_cut || was_empty != self.empty || may_be_copied {
            self.search(sink)?;
        } else {
            self.search_if_lost(sink)?;
        }
        // What an empty file may have held is looked for from now on.
        if !self.empty {
            self.saw(looked);
        }
        Ok(())
    }

    fn search_if_lost(&mut self, sink: &LineSink) -> Result<(), Stop> {
        if self.older.is_lost() {
            self.search(sink)?;
        }
        Ok(())
    }

    /// Says once that the file has a reader under another name.
    fn tell_read_elsewhere(&mut self, inode: Inode) {
        if self.elsewhere.replace(inode) != Some(inode) {
            tracing::info!(
                path = %self.path.display(),
                "file is read under another name it has or had; it is not read a second time"
            );
        }
    }

    fn open_named(&self, sink: &LineSink) -> io::Result<Opened> {
        let known = self.known();
        let file = open_regular(&self.path)?;
        Opened::open(file, &self.path, self.limit, self.start, sink, |original| {
            // What comes while we look on is new, whatever it holds.
            Ok(self.had_file
                || known.contains(&original)
                || sink.followed.is_present(original)?
                || siblings::is_beside(&self.path, original, sink)?
                || !sink.followed.claim(original, &self.path))
        })
    }

    /// Looks for older files that were missed.
    fn search(&mut self, sink: &LineSink) -> Result<(), Stop> {
        let current = self.current.as_ref();
        let current =
            current.map(|current| (current.inode, current.fingerprint(), current.outline()));
        self.older.search(current, self.seen, sink).map(drop)
    }

    /// What the files we hold are known by.
    fn known(&self) -> HashSet<u128> {
        let mut known = self.older.known();
        known.extend(self.current.as_ref().and_then(Opened::fingerprint));
        known
    }

    fn rotate_away(&mut self) {
        self.empty = false;
        self.older.extend(self.current.take().map(Opened::rotated));
    }

    /// The file was cut: goes on in its copy if there is one, then at the
    /// file's beginning.
    fn recover_cut(&mut self, sink: &LineSink) -> Result<(), Stop> {
        let copies = siblings::copies(&self.path, self.seen, sink)?;
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        for copy in copies.iter().filter(|copy| !copy.packed) {
            if current.switch_to_copy(&copy.path)? {
                self.older.extend(self.current.take());
                return self.begin_anew(sink);
            }
        }
        let mut unread = current.unread();
        if let Some(packed) = packed_copy(current, &copies)? {
            let from = current.position();
            self.older.drain_all(sink)?;
            let file = open_regular(packed)?;
            self.current = None;
            match packed::read_as(file, packed, self.limit, sink, from) {
                Err(Stop::Failed(error)) => {
                    tracing::warn!(path = %packed.display(), %error, "the copy of a file that was cut is damaged");
                    let read = sink.positions.load(from.file).map_or(0, |now| now.end);
                    unread = unread.saturating_sub(read.saturating_sub(from.end));
                }
                read => return read.and_then(|()| self.begin_anew(sink)),
            }
        }
        add(&sink.records.intake.counters().lost_bytes, unread);
        tracing::warn!(
            path = %self.path.display(),
            lost_bytes = unread,
            "file was cut and no copy of it was found; what was not read is lost, at least these bytes and what came since the last look"
        );
        match &mut self.current {
            Some(current) => current.restart(),
            None => self.begin_anew(sink)?,
        }
        Ok(())
    }

    /// Reads the file from its beginning.
    fn begin_anew(&mut self, sink: &LineSink) -> Result<(), Stop> {
        let there = |_| Ok(true);
        let start = Start::Beginning;
        let file = open_regular(&self.path)?;
        self.current = Some(Opened::open(
            file, &self.path, self.limit, start, sink, there,
        )?);
        Ok(())
    }
}

/// The packed copy that begins like the file we read.
fn packed_copy<'a>(old: &Opened, copies: &'a [Missed]) -> io::Result<Option<&'a Path>> {
    let Some(head) = old.fingerprint().map(fingerprint::head) else {
        return Ok(None);
    };
    for copy in copies.iter().filter(|copy| copy.packed) {
        if identity(&copy.path, true)?.map(fingerprint::head) == Some(head) {
            return Ok(Some(&copy.path));
        }
    }
    Ok(None)
}
