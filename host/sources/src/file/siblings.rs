//! Finds rotated files that still hold unread lines: those rotated while
//! nobody was looking, or faster than we look.
//!
//! A file counts as unread when a stored position says that it was not
//! finished; when it is a copy of one (copied, or packed with gzip) that is
//! there no more; when it came after one of those; or when it came into being
//! since the last look. Older history is never read by surprise.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sidewatch_event::Origin;

use super::LineSink;
use super::candidates::{Candidate, candidates};
use super::fingerprint::Inode;
use super::opened::{Outline, Stop};
use super::standing::{Present, Standing, identity, is_beginning_of, standing};

/// Most copies looked into when a file was cut.
const MOST_COPIES: usize = 64;

/// Time stamps of files lag behind the clock by up to a tick. Being generous
/// costs nothing: a file read before has a position.
const SLACK: Duration = Duration::from_secs(1);

/// By how much time stamps of files lag behind at most.
const TICK: Duration = Duration::from_millis(10);

/// What is known when rotated files are looked for.
pub(super) struct Look<'a> {
    /// Files that are open, or waited for, already.
    pub(super) held: HashSet<Inode>,
    /// What those are known by, as far as it is known.
    pub(super) known: &'a HashSet<u128>,
    /// How they look.
    pub(super) open: Vec<Outline>,
    /// When the followed name was last seen to be ours: a file not written
    /// since then has nothing new.
    pub(super) since: SystemTime,
    /// Nobody looked before: `since` says nothing.
    pub(super) thorough: bool,
    /// What was found before is looked for once more.
    pub(super) again: bool,
    /// There was no such name then: what came into being later is unread.
    pub(super) absent: Option<SystemTime>,
    /// There was nothing to read of it when it was first followed, in an
    /// earlier run perhaps: if nothing else is known, what came into being
    /// later is unread.
    pub(super) followed_since: Option<SystemTime>,
}

/// A rotated file with unread lines. It is opened when its turn has come.
#[derive(Debug, Clone)]
pub(super) struct Missed {
    pub(super) path: PathBuf,
    pub(super) inode: Inode,
    pub(super) packed: bool,
    /// It is a copy of this file, which had been read so far.
    pub(super) resume: Option<Origin>,
}

/// What was found beside a followed name.
pub(super) struct Unread {
    /// Rotated files with unread lines, oldest first.
    pub(super) missed: Vec<Missed>,
    /// A file may be a copy that is just being made: look again.
    pub(super) undecided: bool,
    /// One of the files beside it was read before.
    pub(super) any_known: bool,
}

/// Looks for rotated files with unread lines.
///
/// # Errors
/// The directory cannot be read, descriptors run out, or it is time to end:
/// nothing is known then.
pub(super) fn unread(path: &Path, look: &Look<'_>, sink: &LineSink) -> Result<Unread, Stop> {
    let since = look.since.checked_sub(SLACK).unwrap_or(look.since);
    let mut found = candidates(path, look.held.clone(), sink)?;
    found.retain(|candidate| look.thorough || candidate.modified >= since);

    // Who is there under its own name is no copy's original.
    let mut present = Present {
        held: look.known.clone(),
        named: HashMap::new(),
        cut: HashSet::new(),
        open: look.open.clone(),
    };
    present.add(path, sink)?;
    for candidate in found.iter().filter(|candidate| !candidate.packed) {
        sink.check_shutdown()?;
        present.add(&candidate.path, sink)?;
    }
    let mut standings = Vec::with_capacity(found.len());
    for candidate in &found {
        sink.check_shutdown()?;
        standings.push(standing(candidate, &mut present, sink)?);
    }
    let last_known = found
        .iter()
        .zip(&standings)
        .filter(|(_, standing)| !matches!(standing, Standing::Unknown))
        .map(|(candidate, _)| candidate.modified)
        .max();
    if look.thorough {
        tell_history(path, &found, &standings, last_known, look);
    }
    let mut undecided = false;
    for (candidate, standing) in found.iter().zip(&mut standings) {
        let unknown = matches!(standing, Standing::Unknown);
        if unknown && !look.thorough && is_begun(candidate, path)? {
            undecided = true;
            *standing = Standing::Known(u64::MAX);
        }
    }
    let missed = found
        .into_iter()
        .zip(standings)
        .filter_map(|(candidate, standing)| {
            let resume = match standing {
                Standing::Known(offset) if offset < candidate.length => None,
                Standing::Copy(original) if look.thorough || !candidate.packed => Some(original),
                Standing::Unknown => {
                    let news = look.thorough && is_news(&candidate, last_known, look);
                    let looked_before = !look.thorough || look.again;
                    let born = looked_before && candidate.born() > since;
                    (news || born).then_some(())?;
                    None
                }
                _ => return None,
            };
            Some(candidate.missed(resume))
        });
    Ok(Unread {
        missed: missed.collect(),
        undecided,
        any_known: last_known.is_some(),
    })
}

/// Whether a file may be a copy of the followed one that is just being made:
/// it holds no more than that one begins with.
fn is_begun(candidate: &Candidate, path: &Path) -> io::Result<bool> {
    let age = SystemTime::now().duration_since(candidate.modified);
    let is_young = age.map_or(true, |age| age < SLACK);
    Ok(is_young && !candidate.packed && is_beginning_of(path, candidate)?)
}

/// Whether a file nothing is known of came after one that was read, or after
/// it was seen that there was no such log.
fn is_news(candidate: &Candidate, last_known: Option<SystemTime>, look: &Look<'_>) -> bool {
    let after_known = last_known.is_some_and(|last| candidate.modified >= last);
    let absent = look.absent.and_then(|absent| absent.checked_sub(SLACK));
    let since = look.followed_since.filter(|_| last_known.is_none());
    let since = since.and_then(|since| since.checked_sub(TICK));
    let mut before = absent.into_iter().chain(since);
    after_known || before.any(|before| candidate.born() > before)
}

/// Says how many files are left alone since nothing tells that they came after
/// one that was read.
fn tell_history(
    path: &Path,
    found: &[Candidate],
    standings: &[Standing],
    last_known: Option<SystemTime>,
    look: &Look<'_>,
) {
    let history = found
        .iter()
        .zip(standings)
        .filter(|(_, standing)| matches!(standing, Standing::Unknown))
        .filter(|(candidate, _)| !is_news(candidate, last_known, look))
        .count();
    if history > 0 {
        tracing::info!(
            path = %path.display(),
            files = history,
            "older files beside it were never read and are taken for history; name them in `paths` to have them read"
        );
    }
}

/// Names of the older files that are there, by what they mean.
pub(super) fn names(path: &Path, sink: &LineSink) -> io::Result<HashMap<Inode, PathBuf>> {
    let found = candidates(path, HashSet::new(), sink)?;
    let names = found.into_iter().map(|one| (one.inode, one.path));
    Ok(names.collect())
}

/// Files that may be copies made when the file was cut, newest first.
pub(super) fn copies(path: &Path, since: SystemTime, sink: &LineSink) -> io::Result<Vec<Missed>> {
    let since = since.checked_sub(SLACK).unwrap_or(since);
    // The copy may have been made in this very round.
    sink.listings.forget();
    let mut found = candidates(path, HashSet::new(), sink)?;
    found.retain(|candidate| {
        candidate.modified >= since || candidate.created.is_some_and(|created| created >= since)
    });
    let newest = found.into_iter().rev().take(MOST_COPIES);
    Ok(newest.map(|candidate| candidate.missed(None)).collect())
}

/// Whether a file of this fingerprint is among the older ones beside `path`.
pub(super) fn is_beside(path: &Path, fingerprint: u128, sink: &LineSink) -> io::Result<bool> {
    for candidate in candidates(path, HashSet::new(), sink)? {
        if identity(&candidate.path, candidate.packed)? == Some(fingerprint) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Missed {
    /// A file that had this name.
    pub(super) fn of(path: PathBuf, inode: Inode) -> Self {
        Self {
            path,
            inode,
            packed: false,
            resume: None,
        }
    }
}

impl Candidate {
    /// When it came into being, as far as that is told.
    fn born(&self) -> SystemTime {
        self.created.unwrap_or(self.modified)
    }

    fn missed(self, resume: Option<Origin>) -> Missed {
        Missed {
            path: self.path,
            inode: self.inode,
            packed: self.packed,
            resume,
        }
    }
}
