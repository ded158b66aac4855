//! What stored positions say of an older file.
//!
//! A file that was never read may be a copy of one that was, under a name of
//! its own or packed. Files may begin alike without being copies, so contents
//! decide wherever they can be compared.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sidewatch_event::Origin;

use super::candidates::Candidate;
use super::open::{is_out_of_descriptors, open_if_readable, open_regular};
use super::opened::Outline;
use super::{LineSink, content, fingerprint, whence};
use crate::replay::unpack;

/// Files that are there: what was read from one of them is nobody else's.
pub(super) struct Present {
    /// Held open, or gone on for in a copy.
    pub(super) held: HashSet<u128>,
    /// By name.
    pub(super) named: HashMap<u128, PathBuf>,
    /// By name, but cut since they were read: what was read is in a copy.
    pub(super) cut: HashSet<u128>,
    /// How those that are held open look.
    pub(super) open: Vec<Outline>,
}

/// What stored positions say of a candidate.
pub(super) enum Standing {
    /// Read so far.
    Known(u64),
    /// A copy of that file, which was read so far.
    Copy(Origin),
    Unknown,
}

pub(super) fn standing(
    candidate: &Candidate,
    present: &mut Present,
    sink: &LineSink,
) -> io::Result<Standing> {
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
    if candidate.packed
        && let Some(itself) = identity(&candidate.path, false)?
        && let Some(read) = sink.positions.load(itself)
    {
        // It was followed as such before.
        return Ok(if is_read(candidate, read.end) {
            Standing::Known(u64::MAX)
        } else {
            Standing::Copy(read)
        });
    }
    if let Some(begun) = begun_within_line(candidate, sink)? {
        return Ok(Standing::Known(begun.end));
    }
    let head = fingerprint::head(own);
    let mut open = present.open.iter().filter(|(begins, _)| *begins == head);
    if candidate.packed && open.any(|(_, length)| is_read(candidate, *length)) {
        // What it was packed from is read, though perhaps not yet.
        return Ok(Standing::Known(u64::MAX));
    }
    let alike = sink.positions.of_head(head);
    let standing = if candidate.packed {
        standing_of_packed(candidate, &alike, present)
    } else {
        standing_of_copy(candidate, &alike, present)?
    };
    let Standing::Copy(original) = standing else {
        return Ok(standing);
    };
    // One copy is enough.
    present.held.insert(original.file);
    // A file that was cut goes on under what it is known by, its copy cannot.
    let is_cut = present.cut.contains(&original.file);
    let file = if is_cut { own } else { original.file };
    Ok(Standing::Copy(Origin { file, ..original }))
}

/// Whether what a file holds was read under another name since it was found:
/// it was packed then, or what it is packed from was still there.
pub(super) fn was_read_meanwhile(path: &Path, sink: &LineSink) -> io::Result<bool> {
    let Some(candidate) = Candidate::at(path.to_owned()) else {
        return Ok(false);
    };
    let own = identity(path, candidate.packed)?;
    let Some(own) = own.filter(|own| sink.positions.load(*own).is_none()) else {
        return Ok(false);
    };
    let alike = sink.positions.of_head(fingerprint::head(own));
    let mut read = alike.iter().filter(|one| is_read(&candidate, one.end));
    if candidate.packed {
        return Ok(read.next().is_some());
    }
    let Some(file) = open_if_readable(path)? else {
        return Ok(false);
    };
    for one in read {
        if one.content != 0 && content::goes_on(&file, candidate.length, one)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How far a file was read whose first line got its end later.
fn begun_within_line(candidate: &Candidate, sink: &LineSink) -> io::Result<Option<Origin>> {
    if candidate.packed {
        return Ok(None);
    }
    match open_if_readable(&candidate.path)? {
        None => Ok(None),
        Some(file) => whence::begun_within_line(&file, &file.metadata()?, sink),
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
    let Some(file) = open_if_readable(&candidate.path)? else {
        return Ok(Standing::Unknown);
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

/// Whether a file has nothing to show, or no more than what the one of that
/// name begins with.
pub(super) fn is_beginning_of(name: &Path, candidate: &Candidate) -> io::Result<bool> {
    if candidate.length == 0 {
        return Ok(true);
    }
    match open_if_readable(&candidate.path)? {
        None => Ok(false),
        Some(file) => begins(name, &file, candidate.length),
    }
}

/// Whether a file is no more than the beginning of the one of that name.
fn begins(name: &Path, file: &File, length: u64) -> io::Result<bool> {
    let Some(whole) = open_if_readable(name)? else {
        return Ok(false);
    };
    Ok(whole.metadata()?.len() >= length
        && content::before(&whole, length)? == content::before(file, length)?)
}

impl Present {
    pub(super) fn add(&mut self, path: &Path, sink: &LineSink) -> io::Result<()> {
        let Some(identity) = identity(path, false)? else {
            return Ok(());
        };
        // Content that begins alike is not enough.
        if !self.held.contains(&identity)
            && let Some(read) = sink.positions.load(identity)
            && is_cut(path, &read)?
        {
            self.cut.insert(identity);
        } else {
            self.named.insert(identity, path.to_owned());
        }
        Ok(())
    }

    fn contains(&self, file: u128) -> bool {
        self.held.contains(&file) || self.named.contains_key(&file)
    }
}

/// Whether a file does not go on where it was read to.
fn is_cut(path: &Path, read: &Origin) -> io::Result<bool> {
    let goes_on = || {
        let file = open_regular(path)?;
        content::goes_on(&file, file.metadata()?.len(), read)
    };
    match goes_on() {
        Err(error) if is_out_of_descriptors(&error) => Err(error),
        goes_on => Ok(goes_on.is_ok_and(|goes_on| !goes_on)),
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
