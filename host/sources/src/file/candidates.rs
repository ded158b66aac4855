//! Files beside a followed one that may be older files of it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::LineSink;
use super::fingerprint::{self, Inode};
use super::listing::directory_of;
use super::names::{beginnings, is_alike, is_dated, is_rotated_from};
use super::standing::identity;

pub(super) struct Candidate {
    pub(super) modified: SystemTime,
    pub(super) created: Option<SystemTime>,
    pub(super) length: u64,
    pub(super) inode: Inode,
    pub(super) path: PathBuf,
    pub(super) packed: bool,
}

/// Rotated files beside `path`, and beside what it points to when it is a
/// link; oldest first, without those in `held` and those followed under their
/// own name.
pub(super) fn candidates(
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
    let of_series = series.then(|| listing.all()).into_iter().flatten();
    let mut of_series: Vec<_> = of_series.filter(|name| is_alike(path, name)).collect();
    // `app1` and `app2` may be two programs, unless one was read before.
    if !is_dated(path) && !any_was_read(directory, &of_series, sink)? {
        of_series.clear();
    }
    let names = rotated.chain(of_series);
    Ok(names
        .filter(|name| !sink.followed.contains(&listing.canonical, name))
        .filter_map(|name| Candidate::at(directory.join(name)))
        .collect())
}

fn any_was_read(directory: &Path, names: &[&OsStr], sink: &LineSink) -> io::Result<bool> {
    for name in names {
        let known = identity(&directory.join(name), false)?;
        if known.is_some_and(|known| sink.positions.load(known).is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Candidate {
    /// A name that is gone again, or no file, is none.
    pub(super) fn at(path: PathBuf) -> Option<Self> {
        let metadata = std::fs::symlink_metadata(&path)
            .ok()
            .filter(Metadata::is_file)?;
        Some(Self {
            modified: metadata.modified().ok()?,
            created: metadata.created().ok(),
            length: metadata.len(),
            inode: fingerprint::inode(&metadata),
            packed: path.extension().is_some_and(|extension| extension == "gz"),
            path,
        })
    }
}
