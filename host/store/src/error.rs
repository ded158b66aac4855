//! What can go wrong with the store, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// The store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused something.
    #[error("cannot {what} {}: {source}; the data directory must be on a writable disk with free space", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "{} is in use by another instance ({holder}); stop that one, or give this one a `data_directory` of its own", path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, as far as it is known.
        holder: String,
    },
    /// The database is gone, but what was written with it is there.
    #[error(
        "{} is gone or empty, but the journal beside it is not: what the rules knew and the refused records were in it; put it back, or begin without them, keeping what waits for the sinks: touch {}", path.display(), crate::index::consent(path).display()
    )]
    LostIndex {
        /// The file.
        path: PathBuf,
    },
    /// The journal is gone, but the database it belongs to is there.
    #[error(
        "there is no file of the journal (*.journal) in {} any more, but the database beside it is there: what waited for the sinks was in it; put the files back, or begin without them, keeping what the rules know: touch {}", path.display(), crate::index::consent(&path.join("journal")).display()
    )]
    LostJournal {
        /// The directory.
        path: PathBuf,
    },
    /// The database cannot be used as it is.
    #[error(
        "the database {} is damaged ({reason}); put a whole one back, or else the next start puts it aside and goes on with what the journal still holds: refused records and older states are lost then", path.display()
    )]
    DamagedIndex {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The database refuses.
    #[error("the database {}: {reason}", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// Why, in its words.
        reason: String,
    },
    /// More sinks than a record can be addressed to.
    #[error("{0} sinks are configured, but a record can go to at most 64: join some of them")]
    TooManySinks(usize),
}

impl StoreError {
    /// Whether there is no room on the disk, or no more than we may use.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else {
            return false;
        };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }
}

/// Says what was tried with which file.
pub(crate) fn at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |source| StoreError::Io {
        what,
        path: path.to_owned(),
        source,
    }
}
