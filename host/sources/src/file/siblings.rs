//! Finds rotated files that still hold unread lines: those rotated while
//! nobody was looking, or faster than we look.
//!
//! A file counts as unread when a stored position says that it was not
//! finished; when it is a copy of one (copied, or packed with gzip) that is
//! there no more; when it came after one of those; or when it came into being
//! since the last look. Older history is never read by surprise.

use std::ffi::OsStr;
use std::fs::{DirEntry, File, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::fingerprint::{self, Inode};
use super::position::Positions;
use crate::replay::unpack;

/// Most files looked into at one rotation.
const MOST: usize = 64;

/// Time stamps of files lag behind the clock by up to a tick. Being generous
/// costs nothing: a file read before has a position.
const SLACK: Duration = Duration::from_secs(1);

const PACKED: [&str; 5] = ["gz", "bz2", "xz", "zst", "lz4"];

/// Digits a name has to have for another with other digits to be of the same
/// series: a date has eight, `app1` and `app2` are two programs.
const SERIES_DIGITS: usize = 6;

/// What is known when rotated files are looked for.
pub(super) struct Look<'a> {
    /// Files that are open already.
    pub(super) held: &'a [Inode],
    /// What those are known by, as far as it is known.
    pub(super) known: &'a [u128],
    /// When the followed name was last seen to be ours: a file not written
    /// since then has nothing new.
    pub(super) since: SystemTime,
    /// Nobody looked before: `since` says nothing.
    pub(super) thorough: bool,
}

/// A rotated file with unread lines.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) path: PathBuf,
    pub(super) packed: bool,
    /// It is a copy of this file, which had been read so far.
    pub(super) resume: Option<(u128, u64)>,
}

struct Candidate {
    modified: SystemTime,
    path: PathBuf,
    metadata: Metadata,
    packed: bool,
}

/// What stored positions say of a candidate.
enum Standing {
    /// Read so far.
    Known(u64),
    /// A copy of that file, which was read so far.
    Copy(u128, u64),
    Unknown,
}

/// Rotated files with unread lines, oldest first.
pub(super) fn unread(path: &Path, look: &Look<'_>, positions: &dyn Positions) -> Vec<Missed> {
    let since = look.since.checked_sub(SLACK).unwrap_or(look.since);
    let mut found = candidates(path, look.held);
    found.retain(|candidate| look.thorough || candidate.modified >= since);
    let newest = found.len().saturating_sub(MOST);
    found.drain(..newest);

    // Who is there under its own name is no copy's original.
    let mut present = look.known.to_vec();
    present.extend(identity(path, false));
    let plain = found.iter().filter(|candidate| !candidate.packed);
    present.extend(plain.filter_map(|candidate| identity(&candidate.path, false)));
    let standings: Vec<_> = found
        .iter()
        .map(|candidate| standing(candidate, &mut present, positions))
        .collect();
    let last_known = found
        .iter()
        .zip(&standings)
        .filter(|(_, standing)| !matches!(standing, Standing::Unknown))
        .map(|(candidate, _)| candidate.modified)
        .max();
    found
        .into_iter()
        .zip(standings)
        .filter_map(|(candidate, standing)| {
            let resume = match standing {
                Standing::Known(offset) if offset < candidate.metadata.len() => None,
                Standing::Copy(original, offset) if look.thorough || !candidate.packed => {
                    Some((original, offset))
                }
                Standing::Unknown if look.thorough => {
                    last_known.filter(|last| candidate.modified >= *last)?;
                    None
                }
                Standing::Unknown => {
                    let created = candidate.metadata.created();
                    created.ok().filter(|created| *created > since)?;
                    None
                }
                _ => return None,
            };
            Some(Missed {
                path: candidate.path,
                packed: candidate.packed,
                resume,
            })
        })
        .collect()
}

/// Files that may be copies made when the file was cut, newest first.
pub(super) fn copies(path: &Path, since: SystemTime) -> Vec<Missed> {
    let since = since.checked_sub(SLACK).unwrap_or(since);
    let mut found = candidates(path, &[]);
    found.retain(|candidate| {
        let created = candidate.metadata.created();
        candidate.modified >= since || created.is_ok_and(|created| created >= since)
    });
    found
        .into_iter()
        .rev()
        .take(MOST)
        .map(|candidate| Missed {
            path: candidate.path,
            packed: candidate.packed,
            resume: None,
        })
        .collect()
}

/// The fingerprint of a file, for a packed one with the beginning of what it
/// holds.
pub(super) fn identity(path: &Path, packed: bool) -> Option<u128> {
    let file = File::open(path).ok()?;
    let own = fingerprint::fingerprint(&file, true).ok()??;
    if !packed {
        return Some(own);
    }
    let head = fingerprint::head_of(unpack(&file)).ok()??;
    Some(u128::from(head) << 64 | own & u128::from(u64::MAX))
}

fn standing(candidate: &Candidate, present: &mut Vec<u128>, positions: &dyn Positions) -> Standing {
    let Some(own) = identity(&candidate.path, candidate.packed) else {
        // A packed file that cannot be read yet is being written, and what it
        // is packed from is still there: taken up now, it would be known by
        // nothing and read a second time.
        return if candidate.packed {
            Standing::Known(u64::MAX)
        } else {
            Standing::Unknown
        };
    };
    match positions.load(own) {
        Some(offset) if !candidate.packed => return Standing::Known(offset),
        Some(offset) if is_read(candidate, offset) => return Standing::Known(u64::MAX),
        Some(offset) => return Standing::Copy(own, offset),
        None => {}
    }
    match positions.of_head(fingerprint::head(own)) {
        Some((original, offset)) if !present.contains(&original) && !is_read(candidate, offset) => {
            // One copy is enough.
            present.push(original);
            Standing::Copy(original, offset)
        }
        // It holds nothing that was not read, or will not be read elsewhere.
        Some(_) => Standing::Known(u64::MAX),
        None => Standing::Unknown,
    }
}

/// Whether a file holds nothing beyond `offset`: of a packed one the last four
/// bytes tell (RFC 1952, 2.3.1).
fn is_read(candidate: &Candidate, offset: u64) -> bool {
    let length = candidate.metadata.len();
    if !candidate.packed {
        return offset >= length;
    }
    let mut size = [0; 4];
    let read = File::open(&candidate.path)
        .and_then(|file| fingerprint::read_at(&file, &mut size, length.saturating_sub(4)));
    read.is_ok() && u64::from(u32::from_le_bytes(size)) == offset & u64::from(u32::MAX)
}

/// Rotated files beside `path`, and beside what it points to when it is a
/// link; oldest first, without those in `held`.
fn candidates(path: &Path, held: &[Inode]) -> Vec<Candidate> {
    let mut found = beside(path, held, |name| is_rotated_from(path, name, &["gz"]));
    let is_link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if let Some(target) = is_link.then(|| path.canonicalize().ok()).flatten() {
        let more = beside(&target, held, |name| {
            is_rotated_from(&target, name, &["gz"]) || is_of_series(&target, name)
        });
        for candidate in more {
            let inode = fingerprint::inode(&candidate.metadata);
            let mut known = found.iter();
            if !known.any(|it| fingerprint::inode(&it.metadata) == inode) {
                found.push(candidate);
            }
        }
    }
    found.sort_by_key(|candidate| candidate.modified);
    found
}

fn beside(path: &Path, held: &[Inode], is_ours: impl Fn(&OsStr) -> bool) -> Vec<Candidate> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(directory.unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .filter(|entry| is_ours(&entry.file_name()))
        .filter_map(|entry| candidate(&entry, held))
        .collect()
}

fn candidate(entry: &DirEntry, held: &[Inode]) -> Option<Candidate> {
    let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
    let is_held = held.contains(&fingerprint::inode(&metadata));
    let path = entry.path();
    (!is_held).then_some(Candidate {
        modified: metadata.modified().ok()?,
        packed: path.extension().is_some_and(|extension| extension == "gz"),
        path,
        metadata,
    })
}

/// Whether a name differs from the path's in its digits alone, as those of
/// `app-20261120.log` and `app-20261121.log` do.
fn is_of_series(path: &Path, name: &OsStr) -> bool {
    let (Some(own), Some(name)) = (path.file_name().and_then(OsStr::to_str), name.to_str()) else {
        return false;
    };
    let shape = |name: &str| name.replace(|one: char| one.is_ascii_digit(), "0");
    own.chars().filter(char::is_ascii_digit).count() >= SERIES_DIGITS
        && own != name
        && shape(own) == shape(name)
}

/// `access.log` becomes `access.log.1`, `access.log-20261120` (logrotate) or
/// `access-2026-11-20T15-04-05.000.log` (lumberjack). Packed files do not
/// count, but for the kinds in `packed`.
pub(crate) fn is_rotated_from(path: &Path, name: &OsStr, packed: &[&str]) -> bool {
    let (Some(name), Some(base)) = (name.to_str(), path.file_name().and_then(OsStr::to_str)) else {
        return false;
    };
    let extension = Path::new(name)
        .extension()
        .and_then(OsStr::to_str)
        .unwrap_or_default();
    if PACKED.contains(&extension) && !packed.contains(&extension) {
        return false;
    }
    if name
        .strip_prefix(base)
        .is_some_and(|rest| rest.starts_with(['.', '-']))
    {
        return true;
    }
    let Some((stem, kind)) = base.rsplit_once('.') else {
        return false;
    };
    let plain = if packed.contains(&extension) {
        name.strip_suffix(extension)
            .unwrap_or(name)
            .trim_end_matches('.')
    } else {
        name
    };
    plain.rsplit_once('.').is_some_and(|(_, last)| last == kind)
        && plain
            .strip_prefix(stem)
            .and_then(|rest| rest.strip_prefix('-'))
            // `audit-security.log` is another log, not an older `audit.log`.
            .is_some_and(|rest| rest.starts_with(|one: char| one.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rotated_files_are_known() {
        let rotated =
            |name: &str| is_rotated_from(Path::new("/var/log/audit.log"), name.as_ref(), &[]);
        for name in [
            "audit.log.1",
            "audit.log-20261120",
            "audit-2026-11-20T15-04-05.000.log",
        ] {
            assert!(rotated(name), "{name}");
        }
        for name in [
            "audit.log",
            "audit.log.1.gz",
            "audit.logs",
            "audit-security.log",
            "other.log.1",
            "audit-x.txt",
        ] {
            assert!(!rotated(name), "{name}");
        }
        for (name, expected) in [
            ("audit.log.2.gz", true),
            ("audit-2026-11-20T15-04-05.000.log.gz", true),
            ("audit.log.2.xz", false),
            ("audit.gz", false),
        ] {
            let path = Path::new("/var/log/audit.log");
            assert_eq!(
                is_rotated_from(path, name.as_ref(), &["gz"]),
                expected,
                "{name}"
            );
        }
    }
}
