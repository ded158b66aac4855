//! Finds rotated files that still hold unread lines: those rotated while
//! nobody was looking, or faster than we look.
//!
//! A file counts as unread when a stored position says that it was not
//! finished; when it is a copy of one (copied, or packed with gzip) that is
//! there no more; when it came after one of those; or when it came into being
//! since the last look. Older history is never read by surprise.

use std::collections::{HashMap, HashSet};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sidewatch_event::Origin;

use super::LineSink;
use super::content;
use super::fingerprint::{self, Inode};
use super::listing::directory_of;
use super::names::{beginnings, is_of_series, is_rotated_from};
use super::open::{is_out_of_descriptors, open_regular};
use super::opened::Stop;
use super::whence;
use crate::replay::unpack;

/// Most copies looked into when a file was cut.
const MOST_COPIES: usize = 64;

/// Time stamps of files lag behind the clock by up to a tick. Being generous
/// costs nothing: a file read before has a position.
const SLACK: Duration = Duration::from_secs(1);

/// What is known when rotated files are looked for.
pub(super) struct Look<'a> {
    /// Files that are open, or waited for, already.
    pub(super) held: HashSet<Inode>,
    /// What those are known by, as far as it is known.
    pub(super) known: &'a HashSet<u128>,
    /// When the followed name was last seen to be ours: a file not written
    /// since then has nothing new.
    pub(super) since: SystemTime,
    /// Nobody looked before: `since` says nothing.
    pub(super) thorough: bool,
}

/// A rotated file with unread lines. It is opened when its turn has come.
#[derive(Debug)]
pub(super) struct Missed {
    pub(super) path: PathBuf,
    pub(super) inode: Inode,
    pub(super) packed: bool,
    /// It is a copy of this file, which had been read so far.
    pub(super) resume: Option<Origin>,
}

struct Candidate {
    modified: SystemTime,
    created: Option<SystemTime>,
    length: u64,
    inode: Inode,
    path: PathBuf,
    packed: bool,
}

/// Files that are there: what was read from one of them is nobody else's.
struct Present {
    /// Held open, or gone on for in a copy.
    held: HashSet<u128>,
    /// By name.
    named: HashMap<u128, PathBuf>,
}

/// What stored positions say of a candidate.
enum Standing {
    /// Read so far.
    Known(u64),
    /// A copy of that file, which was read so far.
    Copy(Origin),
    Unknown,
}

/// Rotated files with unread lines, oldest first.
///
/// # Errors
/// The directory cannot be read, descriptors run out, or it is time to end:
/// nothing is known then.
pub(super) fn unread(path: &Path, look: &Look<'_>, sink: &LineSink) -> Result<Vec<Missed>, Stop> {
    let since = look.since.checked_sub(SLACK).unwrap_or(look.since);
    let mut found = candidates(path, look.held.clone(), sink)?;
    found.retain(|candidate| look.thorough || candidate.modified >= since);

    // Who is there under its own name is no copy's original.
    let mut present = Present {
        held: look.known.clone(),
        named: HashMap::new(),
    };
    present.add(path)?;
    for candidate in found.iter().filter(|candidate| !candidate.packed) {
        sink.check_shutdown()?;
        present.add(&candidate.path)?;
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
    let missed = found
        .into_iter()
        .zip(standings)
        .filter_map(|(candidate, standing)| {
            let resume = match standing {
                Standing::Known(offset) if offset < candidate.length => None,
                Standing::Copy(original) if look.thorough || !candidate.packed => Some(original),
                Standing::Unknown if look.thorough => {
                    last_known.filter(|last| candidate.modified >= *last)?;
                    None
                }
                Standing::Unknown => {
                    candidate.created.filter(|created| *created > since)?;
                    None
                }
                _ => return None,
            };
            Some(candidate.missed(resume))
        });
    Ok(missed.collect())
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

/// The fingerprint of a file, for a packed one with the beginning of what it
/// holds; none when it cannot be read.
///
/// # Errors
/// No descriptor is left, which says nothing about the file.
pub(super) fn identity(path: &Path, packed: bool) -> io::Result<Option<u128>> {
    let read = || -> io::Result<Option<u128>> {
        let file = open_regular(path)?;
        let own = fingerprint::fingerprint(&file, true)?;
        if !packed {
            return Ok(own);
        }
        let head = fingerprint::head_of(unpack(&file))?;
        let own = own.zip(head);
        Ok(own.map(|(own, head)| u128::from(head) << 64 | own & u128::from(u64::MAX)))
    };
    match read() {
        Err(error) if is_out_of_descriptors(&error) => Err(error),
        read => Ok(read.ok().flatten()),
    }
}

fn standing(candidate: &Candidate, present: &mut Present, sink: &LineSink) -> io::Result<Standing> {
    let Some(own) = identity(&candidate.path, candidate.packed)? else {
        // A packed file that cannot be read yet is being written, and what it
        // is packed from is still there: taken up now, it would be known by
        // nothing and read a second time.
        return Ok(if candidate.packed {
            Standing::Known(u64::MAX)
        } else {
            Standing::Unknown
        });
    };
    match sink.positions.load(own) {
        Some(read) if !candidate.packed => return Ok(Standing::Known(read.end)),
        Some(read) if is_read(candidate, read.end) => return Ok(Standing::Known(u64::MAX)),
        Some(read) => return Ok(Standing::Copy(read)),
        None => {}
    }
    if let Some(begun) = begun_within_line(candidate, sink)? {
        return Ok(Standing::Known(begun.end));
    }
    let alike = sink.positions.of_head(fingerprint::head(own));
    let standing = if candidate.packed {
        standing_of_packed(candidate, &alike, present)
    } else {
        standing_of_copy(candidate, &alike, present)?
    };
    if let Standing::Copy(original) = standing {
        // One copy is enough.
        present.held.insert(original.file);
    }
    Ok(standing)
}

/// How far a file was read whose first line got its end later.
fn begun_within_line(candidate: &Candidate, sink: &LineSink) -> io::Result<Option<Origin>> {
    if candidate.packed {
        return Ok(None);
    }
    match open_regular(&candidate.path) {
        Err(error) if is_out_of_descriptors(&error) => Err(error),
        Err(_) => Ok(None),
        Ok(file) => whence::begun_within_line(&file, &file.metadata()?, sink),
    }
}

/// What is known of a packed file that was never read as such. Its content is
/// not looked at, so its beginning has to tell, and its length.
fn standing_of_packed(candidate: &Candidate, alike: &[Origin], present: &Present) -> Standing {
    if alike.iter().any(|one| is_read(candidate, one.end)) {
        return Standing::Known(u64::MAX);
    }
    match alike {
        [one] if present.contains(one.file) => Standing::Known(u64::MAX),
        [one] => Standing::Copy(*one),
        _ => Standing::Unknown,
    }
}

/// What is known of a plain file that was never read.
fn standing_of_copy(
    candidate: &Candidate,
    alike: &[Origin],
    present: &Present,
) -> io::Result<Standing> {
    // Positions of older releases do not tell contents apart.
    if let [one] = alike
        && one.content == 0
    {
        return Ok(
            if present.contains(one.file) || is_read(candidate, one.end) {
                Standing::Known(u64::MAX)
            } else {
                Standing::Copy(*one)
            },
        );
    }
    let file = match open_regular(&candidate.path) {
        Err(error) if is_out_of_descriptors(&error) => return Err(error),
        Err(_) => return Ok(Standing::Unknown),
        Ok(file) => file,
    };
    let mut best: Option<&Origin> = None;
    for one in alike {
        if let Some(name) = present.named.get(&one.file) {
            // It holds nothing that will not be read there.
            if begins(name, &file, candidate.length)? {
                return Ok(Standing::Known(u64::MAX));
            }
        } else if one.content != 0 && content::goes_on(&file, candidate.length, one)? {
            if present.held.contains(&one.file) {
                return Ok(Standing::Known(u64::MAX));
            }
            best = best.filter(|best| best.end >= one.end).or(Some(one));
        }
    }
    Ok(match best {
        Some(one) if is_read(candidate, one.end) => Standing::Known(u64::MAX),
        Some(one) => Standing::Copy(*one),
        None => Standing::Unknown,
    })
}

/// Whether a file is no more than the beginning of the one of that name.
fn begins(name: &Path, file: &File, length: u64) -> io::Result<bool> {
    let whole = match open_regular(name) {
        Err(error) if is_out_of_descriptors(&error) => return Err(error),
        Err(_) => return Ok(false),
        Ok(whole) => whole,
    };
    Ok(whole.metadata()?.len() >= length
        && content::before(&whole, length)? == content::before(file, length)?)
}

impl Present {
    fn add(&mut self, path: &Path) -> io::Result<()> {
        if let Some(identity) = identity(path, false)? {
            self.named.insert(identity, path.to_owned());
        }
        Ok(())
    }

    fn contains(&self, file: u128) -> bool {
        self.held.contains(&file) || self.named.contains_key(&file)
    }
}

/// Whether a file holds nothing beyond `offset`: of a packed one the last four
/// bytes tell (RFC 1952, 2.3.1).
fn is_read(candidate: &Candidate, offset: u64) -> bool {
    if !candidate.packed {
        return offset >= candidate.length;
    }
    let mut size = [0; 4];
    let read = open_regular(&candidate.path)
        .and_then(|file| file.read_exact_at(&mut size, candidate.length.saturating_sub(4)));
    read.is_ok() && u64::from(u32::from_le_bytes(size)) == offset & u64::from(u32::MAX)
}

/// Rotated files beside `path`, and beside what it points to when it is a
/// link; oldest first, without those in `held` and those followed under their
/// own name.
fn candidates(
    path: &Path,
    mut held: HashSet<Inode>,
    sink: &LineSink,
) -> io::Result<Vec<Candidate>> {
    let mut found = beside(path, false, sink)?;
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if let Some(target) = is_link.then(|| path.canonicalize().ok()).flatten() {
        found.extend(beside(&target, true, sink)?);
    }
    found.retain(|candidate| held.insert(candidate.inode));
    found.sort_by_key(|candidate| candidate.modified);
    Ok(found)
}

fn beside(path: &Path, series: bool, sink: &LineSink) -> io::Result<Vec<Candidate>> {
    let directory = directory_of(path);
    let listing = match sink.listings.of(directory) {
        // Nothing can be beside it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing?,
    };
    let beginnings = beginnings(path);
    let rotated = beginnings
        .iter()
        .flat_map(|beginning| listing.beginning_with(beginning))
        .filter(|name| is_rotated_from(path, name, &["gz"]));
    let of_series = listing
        .all()
        .filter(|name| series && is_of_series(path, name));
    let names = rotated.chain(of_series);
    Ok(names
        .filter(|name| !sink.followed.contains(&listing.canonical, name))
        .filter_map(|name| candidate(directory.join(name)))
        .collect())
}

/// A name that is gone again, or no file, is none.
fn candidate(path: PathBuf) -> Option<Candidate> {
    let metadata = std::fs::symlink_metadata(&path)
        .ok()
        .filter(Metadata::is_file)?;
    Some(Candidate {
        modified: metadata.modified().ok()?,
        created: metadata.created().ok(),
        length: metadata.len(),
        inode: fingerprint::inode(&metadata),
        packed: path.extension().is_some_and(|extension| extension == "gz"),
        path,
    })
}

impl Candidate {
    fn missed(self, resume: Option<Origin>) -> Missed {
        Missed {
            path: self.path,
            inode: self.inode,
            packed: self.packed,
            resume,
        }
    }
}
