//! Finds rotated files that still hold unread lines: those rotated while
//! nobody was looking, or faster than we look.
//!
//! Only uncompressed files beside the followed one are considered, and only
//! when a stored position says that they are not finished, or when they came
//! into being since the last look. Older history is never read by surprise.

use std::ffi::OsStr;
use std::fs::{DirEntry, File, Metadata};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::fingerprint::{self, Inode};
use super::position::Positions;

/// Most files looked into at one rotation.
const MOST: usize = 64;

/// Time stamps of files lag behind the clock by up to a tick. Being generous
/// costs nothing: a file read before has a position.
const SLACK: Duration = Duration::from_secs(1);

const PACKED: [&str; 5] = ["gz", "bz2", "xz", "zst", "lz4"];

/// Paths of rotated files with unread lines, oldest first. `held` are open
/// already; `since` is when the followed name was last seen to be ours: a file
/// not written since then has nothing new, unless the look is to be `thorough`.
pub(super) fn unread(
    path: &Path,
    held: &[Inode],
    since: SystemTime,
    thorough: bool,
    positions: &dyn Positions,
) -> Vec<PathBuf> {
    let since = since.checked_sub(SLACK).unwrap_or(since);
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let Ok(entries) = std::fs::read_dir(directory.unwrap_or(Path::new("."))) else {
        return Vec::new();
    };
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_rotated_from(path, &entry.file_name(), &[]))
        .filter_map(|entry| candidate(&entry, held))
        .collect();
    found.retain(|(modified, ..)| thorough || *modified >= since);
    found.sort_by_key(|(modified, ..)| *modified);
    let newest = found.len().saturating_sub(MOST);
    found
        .into_iter()
        .skip(newest)
        .filter(|(_, path, metadata)| is_unread(path, metadata, since, positions))
        .map(|(_, path, _)| path)
        .collect()
}

fn candidate(entry: &DirEntry, held: &[Inode]) -> Option<(SystemTime, PathBuf, Metadata)> {
    let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
    let is_held = held.contains(&fingerprint::inode(&metadata));
    (!is_held).then_some((metadata.modified().ok()?, entry.path(), metadata))
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
            .is_some_and(|rest| rest.starts_with('-'))
}

fn is_unread(
    path: &Path,
    metadata: &Metadata,
    since: SystemTime,
    positions: &dyn Positions,
) -> bool {
    let known = File::open(path)
        .and_then(|file| fingerprint::fingerprint(&file, true))
        .ok()
        .flatten()
        .and_then(|fingerprint| positions.load(fingerprint));
    match known {
        Some(offset) => offset < metadata.len(),
        None => metadata.created().is_ok_and(|created| created > since),
    }
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
