//! The older files of a followed name: read oldest first, a few at a time,
//! finished when they are quiet, and kept in sight for a while.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use sidewatch_event::Origin;

use super::claims::{Claims, Hold};
use super::fingerprint::{self, Inode};
use super::open::{self, open_regular};
use super::opened::{Opened, Outline, Read, Stop};
use super::resting::{Change, Resting};
use super::siblings::{self, Look, Missed};
use super::standing::{identity, was_read_meanwhile};
use super::{FileSettings, LineSink, Start, packed};

/// Rotated files open and read at a time; with more, the oldest is finished
/// early.
const DRAINING: usize = 32;

/// Finished files of one name kept in sight.
const RESTING: usize = 4;

pub(super) struct Older {
    path: PathBuf,
    limit: usize,
    /// The files of this name that nobody else may read.
    claims: Claims,
    rotate_wait: Duration,
    /// How long a finished file is kept in sight after its last byte came.
    watch: Duration,
    draining: VecDeque<Opened>,
    /// Rotated files to be read after those, oldest first.
    waiting: VecDeque<Waiting>,
    /// When and how what was missed of them was looked for.
    found: Option<Found>,
    resting: VecDeque<Resting>,
    /// A pattern matched no such name then.
    absent: Option<SystemTime>,
    /// There was nothing to read when the name was first followed, which was
    /// then.
    followed_since: Option<SystemTime>,
    /// Rotated files were looked for since the start.
    searched: bool,
    /// The last search failed, files were packed while they waited for their
    /// turn, or may be copies that are just being made.
    search_again: bool,
}

/// A rotated file that waits for older ones to be read.
enum Waiting {
    /// It was not open when it was rotated.
    Missed(Missed),
    /// It was.
    Held(Box<Opened>),
}

/// How waiting files were found.
#[derive(Clone, Copy)]
struct Found {
    since: SystemTime,
    thorough: bool,
}

impl Older {
    pub(super) fn new(path: PathBuf, settings: &FileSettings, claims: Claims) -> Self {
        Self {
            path,
            limit: settings.max_line_bytes,
            claims,
            rotate_wait: Duration::from_millis(settings.rotate_wait_ms),
            watch: Duration::from_secs(settings.rotated_watch_s),
            draining: VecDeque::new(),
            waiting: VecDeque::new(),
            found: None,
            resting: VecDeque::new(),
            absent: None,
            followed_since: None,
            searched: false,
            search_again: false,
        }
    }

    /// There was no such name then.
    pub(super) fn was_absent(&mut self, when: Option<SystemTime>) {
        self.absent = when;
    }

    /// There was nothing to read of this name when it was first followed.
    pub(super) fn was_followed(&mut self, since: SystemTime) {
        self.followed_since = Some(since);
    }

    /// Whether nothing is open, waited for or kept in sight.
    pub(super) fn is_empty(&self) -> bool {
        self.draining.is_empty() && self.waiting.is_empty() && self.resting.is_empty()
    }

    /// Whether files have to be looked for again.
    pub(super) fn is_lost(&self) -> bool {
        self.search_again
    }

    /// Takes a file that is written under its name no more. It is read after
    /// those that wait already.
    pub(super) fn extend(&mut self, rotated: Option<Opened>) {
        let Some(rotated) = rotated else {
            return;
        };
        if self.waiting.is_empty() {
            self.draining.push_back(rotated);
        } else if self.held().count() < DRAINING {
            self.waiting.push_back(Waiting::Held(Box::new(rotated)));
        } else {
            // Its name is looked up when its turn has come.
            let missed = Missed::of(self.path.clone(), rotated.inode);
            self.waiting.push_back(Waiting::Missed(missed));
        }
    }

    /// Files that wait and are open.
    fn held(&self) -> impl Iterator<Item = &Opened> {
        self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Held(opened) => Some(&**opened),
            Waiting::Missed(_) => None,
        })
    }

    /// Makes this name the one a file is read under; `false` when it is read
    /// under another.
    pub(super) fn claim(&mut self, inode: Inode) -> bool {
        self.claims.claim(inode)
    }

    /// Lets go of files that are held no more.
    pub(super) fn settle(&mut self, current: Option<Inode>) {
        let draining = self.draining.iter().chain(self.held());
        let draining = draining.map(|opened| opened.inode);
        let resting = self.resting.iter().map(|resting| resting.inode);
        let reading = current.into_iter().chain(draining);
        let held = reading
            .map(|inode| (inode, Hold::Reading))
            .chain(resting.map(|inode| (inode, Hold::InSight)));
        self.claims.settle(held.collect());
    }

    /// Gives back the reader of a file that has its name again: a second one
    /// would read the same lines.
    pub(super) fn take_back(&mut self, inode: Inode) -> io::Result<Option<Opened>> {
        let waiting = self.waiting.iter().position(|one| one.inode() == inode);
        if let Some(Waiting::Held(opened)) = waiting.and_then(|at| self.waiting.remove(at)) {
            return Ok(Some(*opened));
        }
        let draining = self.draining.iter().position(|one| one.inode == inode);
        if let Some(at) = draining {
            return Ok(self.draining.remove(at));
        }
        let resting = self.resting.iter().position(|one| one.inode == inode);
        let taken = resting.and_then(|at| self.resting.remove(at));
        // Another may have taken it up meanwhile, or written it anew.
        let taken = taken.filter(|resting| self.claims.claim(inode) && resting.goes_on());
        taken
            .map(|resting| Opened::stirred(resting, self.limit))
            .transpose()
    }

    /// Looks for rotated files that were missed.
    ///
    /// `current` is the file the name means, and what it is known by; it was
    /// last seen to be ours at `since`. Whether one that is there was read
    /// before.
    pub(super) fn search(
        &mut self,
        current: Option<(Inode, Option<u128>, Option<Outline>)>,
        since: SystemTime,
        sink: &LineSink,
    ) -> Result<bool, Stop> {
        // Until it has succeeded.
        let again = std::mem::replace(&mut self.search_again, true);
        let before = self.found.filter(|_| again);
        let since = before.map_or(since, |before| before.since.min(since));
        let thorough = !self.searched || before.is_some_and(|before| before.thorough);
        let mut known = self.known();
        let mut held: HashSet<_> = self.waiting.iter().map(Waiting::inode).collect();
        held.extend(self.draining.iter().map(|opened| opened.inode));
        held.extend(self.resting.iter().map(|resting| resting.inode));
        let mut open = self.outlines();
        if let Some((inode, fingerprint, outline)) = current {
            held.insert(inode);
            known.extend(fingerprint);
            open.extend(outline);
        }
        let look = Look {
            held,
            known: &known,
            open,
            since,
            thorough,
            again,
            absent: self.absent,
            followed_since: self.followed_since,
        };
        let found = siblings::unread(&self.path, &look, sink)?;
        if !found.missed.is_empty() || found.undecided {
            self.found = Some(match self.found {
                Some(before) if again || !self.waiting.is_empty() => Found {
                    since: before.since.min(since),
                    thorough: before.thorough || thorough,
                },
                _ => Found { since, thorough },
            });
        }
        self.waiting
            .extend(found.missed.into_iter().map(Waiting::Missed));
        self.searched = true;
        self.search_again = found.undecided;
        Ok(found.any_known)
    }

    /// How the files we hold look: packed ones that look alike hold the same.
    fn outlines(&self) -> Vec<Outline> {
        let held = self.draining.iter().chain(self.held());
        let resting = self.resting.iter().filter_map(|resting| {
            let known = resting.fingerprint?;
            Some((fingerprint::head(known), resting.offset))
        });
        held.filter_map(Opened::outline).chain(resting).collect()
    }

    /// What the files we hold are known by.
    pub(super) fn known(&self) -> HashSet<u128> {
        let held = self.draining.iter().chain(self.held());
        let resting = self.resting.iter().map(|resting| resting.fingerprint);
        held.map(Opened::fingerprint)
            .chain(resting)
            .flatten()
            .collect()
    }

    /// Takes up the next rotated file that waits. One that cannot be read is
    /// passed over: it is not the one we were told to follow.
    fn adopt_next(&mut self, sink: &LineSink) -> Result<(), Stop> {
        let missed = match self.waiting.pop_front() {
            None => return Ok(()),
            Some(Waiting::Held(opened)) => {
                self.draining.push_back(*opened);
                return Ok(());
            }
            Some(Waiting::Missed(missed)) => missed,
        };
        match self.adopt(&missed, sink) {
            Err(Stop::Failed(error)) if open::is_out_of_descriptors(&error) => {
                self.waiting.push_front(Waiting::Missed(missed));
                Err(Stop::Failed(error))
            }
            Err(Stop::Failed(error)) => {
                tracing::warn!(path = %missed.path.display(), %error, "rotated file skipped");
                Ok(())
            }
            adopted => adopted,
        }
    }

    fn adopt(&mut self, missed: &Missed, sink: &LineSink) -> Result<(), Stop> {
        let path = &missed.path;
        let file = match open_regular(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            opened => opened.ok(),
        };
        let same = file.filter(|file| {
            let metadata = file.metadata();
            metadata.is_ok_and(|metadata| fingerprint::inode(&metadata) == missed.inode)
        });
        let Some(file) = same else {
            // Rotated once more while it waited.
            return self.look_up(missed, sink);
        };
        if missed.resume.is_none() && was_read_meanwhile(path, sink)? {
            return Ok(());
        }
        if missed.packed {
            let own = identity(path, true)?;
            let own = own.map(|own| Origin::new(own, 0));
            return match missed.resume.or(own) {
                Some(from) => packed::read_as(file, path, self.limit, sink, from),
                None => Ok(()),
            };
        }
        if !self.claims.claim(missed.inode) {
            // It has another name under which it is read.
            return Ok(());
        }
        let opened = match &missed.resume {
            Some(original) => Opened::resume(file, self.limit, original)?,
            None => {
                let there = |_| Ok(true);
                let start = Start::Beginning;
                Some(Opened::open(file, path, self.limit, start, sink, there)?)
            }
        };
        self.draining.extend(opened.map(Opened::aged));
        Ok(())
    }

    /// Gives waiting files the names they have now, that one again the first.
    /// One without any was deleted, or packed: it is looked for once more.
    fn look_up(&mut self, missed: &Missed, sink: &LineSink) -> Result<(), Stop> {
        sink.listings.forget();
        let beside = siblings::names(&self.path, sink)?;
        let (mut gone, waiting) = (false, std::mem::take(&mut self.waiting));
        let first = Waiting::Missed(missed.clone());
        for mut one in [first].into_iter().chain(waiting) {
            if let Waiting::Missed(missed) = &mut one {
                match beside.get(&missed.inode) {
                    Some(path) => missed.path.clone_from(path),
                    None => {
                        gone = true;
                        continue;
                    }
                }
            }
            self.waiting.push_back(one);
        }
        self.search_again |= gone;
        Ok(())
    }

    /// Reads rotated files, oldest first. When they are at their ends the quiet
    /// ones are finished and the next ones taken up: [`Read::More`] then.
    pub(super) fn drain(&mut self, sink: &LineSink) -> Result<Read, Stop> {
        let mut gave = Read::Nothing;
        for opened in &mut self.draining {
            match opened.read(&self.path, sink)? {
                Read::More => return Ok(Read::More),
                Read::Some => gave = Read::Some,
                Read::Nothing => {}
            }
        }
        if gave == Read::Some {
            return Ok(if self.waiting.is_empty() {
                Read::Some
            } else {
                Read::More
            });
        }
        self.finish_quiet(sink)?;
        if self.waiting.is_empty() {
            return Ok(Read::Nothing);
        }
        self.adopt_next(sink)?;
        Ok(Read::More)
    }

    pub(super) fn drain_all(&mut self, sink: &LineSink) -> Result<(), Stop> {
        while self.drain(sink)? != Read::Nothing {}
        Ok(())
    }

    /// Finishes rotated files that have gone quiet, and the oldest when there
    /// are too many.
    fn finish_quiet(&mut self, sink: &LineSink) -> Result<(), Stop> {
        let most = DRAINING - usize::from(!self.waiting.is_empty());
        while let Some(oldest) = self.draining.front_mut() {
            if !oldest.is_quiet(self.rotate_wait) && self.draining.len() <= most {
                break;
            }
            if let Some(mut finished) = self.draining.pop_front() {
                finished.finish(&self.path, sink)?;
                self.keep_in_sight(finished);
            }
        }
        Ok(())
    }

    fn keep_in_sight(&mut self, finished: Opened) {
        if self.resting.len() >= RESTING {
            self.resting.pop_front();
        }
        self.resting.extend(finished.rest(self.watch));
    }

    /// Goes on in finished files that were written to again.
    pub(super) fn wake_resting(&mut self) -> Result<(), Stop> {
        let resting = std::mem::take(&mut self.resting);
        let mut failed = Ok(());
        for file in resting {
            match file.look() {
                _ if !self.claims.is_ours(file.inode) => {}
                Change::Stirred if !self.claims.claim(file.inode) => {}
                Change::None => self.resting.push_back(file),
                Change::Over => {}
                Change::Stirred => match Opened::stirred(file, self.limit) {
                    Ok(opened) => self.draining.push_back(opened),
                    Err(error) => failed = Err(error.into()),
                },
            }
        }
        failed
    }
}

impl Waiting {
    fn inode(&self) -> Inode {
        match self {
            Self::Missed(missed) => missed.inode,
            Self::Held(opened) => opened.inode,
        }
    }
}
