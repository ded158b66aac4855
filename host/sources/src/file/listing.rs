//! Directories as they are in one round of looks: each is read at most once,
//! however many followed files are beside each other.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The names in a directory.
#[derive(Debug)]
pub(super) struct Listing {
    /// In the order of their bytes.
    names: Vec<OsString>,
    /// The directory, with links followed.
    pub(super) canonical: PathBuf,
}

impl Listing {
    fn of(directory: &Path) -> io::Result<Self> {
        let entries = std::fs::read_dir(directory)?;
        let mut names = entries
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(Self {
            names,
            canonical: directory.canonicalize()?,
        })
    }

    /// The names that begin so.
    pub(super) fn beginning_with<'a>(
        &'a self,
        beginning: &'a str,
    ) -> impl Iterator<Item = &'a OsStr> {
        let from = self
            .names
            .partition_point(|name| name.as_bytes() < beginning.as_bytes());
        let after = self.names.get(from..).unwrap_or_default();
        after
            .iter()
            .map(OsString::as_os_str)
            .take_while(move |name| name.as_bytes().starts_with(beginning.as_bytes()))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &OsStr> {
        self.names.iter().map(OsString::as_os_str)
    }
}

/// The directories of a round.
#[derive(Debug, Default)]
pub(super) struct Listings(Mutex<HashMap<PathBuf, Arc<Listing>>>);

impl Listings {
    /// The directory as it was at one moment of this round.
    pub(super) fn of(&self, directory: &Path) -> io::Result<Arc<Listing>> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listing) = known.get(directory) {
            return Ok(Arc::clone(listing));
        }
        let listing = Arc::new(Listing::of(directory)?);
        known.insert(directory.to_owned(), Arc::clone(&listing));
        Ok(listing)
    }

    /// A new round begins.
    pub(super) fn forget(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}

/// The directory a path is in.
pub(super) fn directory_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}
