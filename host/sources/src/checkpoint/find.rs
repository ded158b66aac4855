//! Finds which checkpoint belongs to which file, and files that were rotated
//! away from a name since it was last read.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::Checkpoint;
use crate::file::is_rotated_from;

/// Time stamps of files lag behind the clock by up to a tick.
const SLACK_MS: i64 = 20;

/// Most rotated files looked at per name.
const MOST: usize = 256;

/// A file to be read.
#[derive(Debug, Clone, Default)]
pub struct Candidate {
    /// Its first bytes: see [`super::read_head`].
    pub head: Vec<u8>,
    /// Device and inode.
    pub inode: (u64, u64),
    /// Length of its content, where it is known.
    pub length: Option<u64>,
}

/// The checkpoint of every candidate, as an index; none for files never read.
/// No checkpoint is given to two files: the one that still has the inode comes
/// first, then whichever has the content.
#[must_use]
pub fn assign(checkpoints: &[Checkpoint], candidates: &[Candidate]) -> Vec<Option<usize>> {
    let mut taken = vec![false; checkpoints.len()];
    let mut found = vec![None; candidates.len()];
    for same_inode in [true, false] {
        for (candidate, found) in candidates.iter().zip(&mut found) {
            if found.is_some() {
                continue;
            }
            let fits = checkpoints
                .iter()
                .enumerate()
                .filter(|(at, _)| taken.get(*at) == Some(&false))
                .filter(|(_, point)| (point.inode == candidate.inode) == same_inode)
                .filter(|(_, point)| candidate.length.is_none_or(|length| length >= point.offset))
                .filter(|(_, point)| point.is_of(&candidate.head));
            *found = fits.max_by_key(|(_, point)| point.offset).map(|(at, _)| at);
            if let Some(slot) = found.and_then(|at| taken.get_mut(at)) {
                *slot = true;
            }
        }
    }
    found
}

/// Files beside `path` that were rotated away from it, packed or not, and
/// written to since `since` (milliseconds since the Unix epoch), oldest first.
#[must_use]
pub fn rotated_since(path: &Path, since: i64) -> Vec<PathBuf> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut found: Vec<(i64, PathBuf)> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| is_rotated_from(path, &entry.file_name(), &["gz"]))
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
            let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
            let modified = i64::try_from(modified.as_millis()).ok()?;
            Some((modified, entry.path()))
        })
        .filter(|(modified, _)| *modified >= since.saturating_sub(SLACK_MS))
        .collect();
    found.sort();
    let newest = found.len().saturating_sub(MOST);
    found
        .into_iter()
        .skip(newest)
        .map(|(_, path)| path)
        .collect()
}

impl Candidate {
    /// A file with its beginning; `length` of its content, where it is known.
    #[must_use]
    pub fn new(metadata: &Metadata, head: Vec<u8>, length: Option<u64>) -> Self {
        Self {
            head,
            inode: (metadata.dev(), metadata.ino()),
            length,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(content: &str, inode: u64) -> Candidate {
        Candidate {
            head: content.into(),
            inode: (1, inode),
            length: Some(content.len() as u64),
        }
    }

    fn point(content: &str, inode: u64) -> Checkpoint {
        let offset = content.len() as u64;
        Checkpoint {
            inode: (1, inode),
            ..Checkpoint::new("log", content.as_bytes(), offset, 1)
        }
    }

    #[test]
    fn a_renamed_file_and_a_packed_copy_are_found_by_content() {
        let points = [point("a\n", 1), point("b\n", 2)];
        let found = assign(&points, &[candidate("b\nmore\n", 9), candidate("c\n", 2)]);
        assert_eq!(found, [Some(1), None]);
    }

    #[test]
    fn of_files_that_begin_alike_the_inode_decides() {
        let points = [point("same\n", 1)];
        let files = [candidate("same\nother\n", 2), candidate("same\n", 1)];
        assert_eq!(assign(&points, &files), [None, Some(0)]);
    }

    #[test]
    fn a_cut_file_is_a_new_one() {
        let mut cut = candidate("a\nb\n", 1);
        cut.length = Some(2);
        cut.head.truncate(2);
        assert_eq!(assign(&[point("a\nb\n", 1)], &[cut]), [None]);
    }

    #[test]
    fn rotated_files_are_listed_by_age_and_older_ones_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for (name, seconds) in [
            ("access.log", 400),
            ("access.log.1", 300),
            ("access.log.2.gz", 200),
            ("access.log.3.gz", 100),
            ("error.log.1", 300),
        ] {
            let file = std::fs::File::create(path(name)).unwrap();
            file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
                .unwrap();
        }
        assert_eq!(
            rotated_since(&path("access.log"), 150_000),
            [path("access.log.2.gz"), path("access.log.1")]
        );
    }
}
