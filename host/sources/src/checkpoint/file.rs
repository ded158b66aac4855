//! Checkpoints on disk: one small JSON file, replaced whole.
//!
//! Invariants: at every moment the file on disk is a complete one; only one
//! process at a time holds it.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Checkpoint;

const VERSION: u32 = 1;

/// Most checkpoints kept; the ones not met for the longest time go first.
const MOST: usize = 1000;

/// Largest file read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Where the output stood when the checkpoints were taken, so that what was
/// written after them can be cut off before it is written again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputMark {
    /// Device and inode.
    pub inode: (u64, u64),
    /// Length in bytes.
    pub length: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    files: Vec<Checkpoint>,
    #[serde(default)]
    output: Option<OutputMark>,
}

/// Why checkpoints cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refuses.
    #[error("state file {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{0} is no state file of this program, or one of a newer version; name another, or remove it to read everything anew"
    )]
    Foreign(PathBuf),
    /// Somebody else has it.
    #[error("state file {0} is in use by another run; wait for its end")]
    InUse(PathBuf),
}

/// Checkpoints and where they are kept.
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    content: Content,
    /// Held as long as we live.
    _lock: File,
}

impl CheckpointFile {
    /// Reads the file, if there is one, and keeps others from using it.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let failed = |source| CheckpointError::File {
            path: path.to_owned(),
            source,
        };
        let lock = File::create(beside(path, ".lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CheckpointError::InUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let content = match read(path) {
            Ok(text) => serde_json::from_str(&text)
                .ok()
                .filter(|content: &Content| content.version == VERSION)
                .ok_or_else(|| CheckpointError::Foreign(path.to_owned()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            path: path.to_owned(),
            content,
            _lock: lock,
        })
    }

    /// What is known.
    #[must_use]
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.content.files
    }

    /// Where the output stood.
    #[must_use]
    pub fn output(&self) -> Option<&OutputMark> {
        self.content.output.as_ref()
    }

    /// When `name`, or a file rotated away from it, was last read.
    #[must_use]
    pub fn last_read(&self, name: &str) -> Option<i64> {
        let known = self.content.files.iter();
        known
            .filter(|point| point.name == name)
            .map(|point| point.read_at)
            .max()
    }

    /// Replaces the checkpoint at `index`, or adds one; gives its index.
    pub fn put(&mut self, index: Option<usize>, checkpoint: Checkpoint) -> usize {
        let files = &mut self.content.files;
        match index.and_then(|at| files.get_mut(at).map(|slot| (at, slot))) {
            Some((at, slot)) => {
                *slot = checkpoint;
                at
            }
            None => {
                files.push(checkpoint);
                files.len() - 1
            }
        }
    }

    /// Notes where the output stands.
    pub fn set_output(&mut self, output: Option<OutputMark>) {
        self.content.output = output;
    }

    /// Writes everything to disk. Old checkpoints beyond the bound are left
    /// out; indices stay valid.
    ///
    /// # Errors
    /// The file cannot be written; the old one is still there.
    pub fn save(&self) -> Result<(), CheckpointError> {
        let mut files: Vec<&Checkpoint> = self.content.files.iter().collect();
        files.sort_by_key(|point| std::cmp::Reverse(point.read_at));
        files.truncate(MOST);
        let content = serde_json::json!({
            "version": VERSION,
            "files": files,
            "output": self.content.output,
        });
        self.replace(&content.to_string())
            .map_err(|source| CheckpointError::File {
                path: self.path.clone(),
                source,
            })
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let new = beside(&self.path, ".new");
        let mut file = File::create(&new)?;
        file.write_all(text.as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        let directory = self.path.parent();
        let directory = directory.filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    File::open(path)?.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let mark = OutputMark {
            inode: (1, 2),
            length: 3,
        };
        let mut file = CheckpointFile::open(&path).unwrap();
        assert!(file.checkpoints().is_empty());
        let at = file.put(None, Checkpoint::new("log", b"a\n", 2, 1));
        let further = Checkpoint::new("log", b"a\nb\n", 4, 2);
        file.put(Some(at), further.clone());
        file.set_output(Some(mark.clone()));
        file.save().unwrap();
        drop(file);
        let file = CheckpointFile::open(&path).unwrap();
        assert_eq!(file.checkpoints(), [further]);
        assert_eq!(file.output(), Some(&mark));
        assert_eq!(file.last_read("log"), Some(0));
        assert_eq!(file.last_read("other"), None);
    }

    #[test]
    fn a_file_in_use_and_a_file_of_others_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let held = CheckpointFile::open(&path).unwrap();
        let error = CheckpointFile::open(&path).unwrap_err();
        assert!(matches!(error, CheckpointError::InUse(_)), "{error}");
        drop(held);
        for foreign in ["root:x:0:0", "{\"version\":9,\"files\":[]}"] {
            std::fs::write(&path, foreign).unwrap();
            let error = CheckpointFile::open(&path).unwrap_err();
            assert!(matches!(error, CheckpointError::Foreign(_)), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), foreign);
        }
    }
}
