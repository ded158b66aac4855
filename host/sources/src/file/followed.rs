//! Names that are followed, by any source of the process.
//!
//! Invariant: a file that is followed under its own name is nobody's older
//! file, or its lines would come twice.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::claims::{Claims, Readers};
use super::listing::directory_of;
use super::standing::identity;

/// How long what the names mean is taken for known.
const FRESH: Duration = Duration::from_secs(10);

/// The names all file sources of a process follow; share one among them.
#[derive(Debug, Default)]
pub struct Followed {
    names: Mutex<HashMap<PathBuf, usize>>,
    /// Fingerprints of the files that have those names, and when that was so.
    present: Mutex<Option<(Instant, HashSet<u128>)>>,
    /// Files that are gone, and who goes on in a copy of them.
    claimed: Mutex<HashMap<u128, PathBuf>>,
    readers: Arc<Readers>,
}

/// Keeps a name followed.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) followed: Arc<Followed>,
    name: PathBuf,
}

impl Followed {
    pub(super) fn register(self: &Arc<Self>, path: &Path) -> Registered {
        let directory = directory_of(path);
        let directory = directory
            .canonicalize()
            .or_else(|_| std::path::absolute(directory))
            .unwrap_or_else(|_| directory.to_owned());
        let name = directory.join(path.file_name().unwrap_or_default());
        *self.names().entry(name.clone()).or_default() += 1;
        Registered {
            followed: Arc::clone(self),
            name,
        }
    }

    /// What a new follower reads: nothing yet.
    pub(super) fn claims(&self) -> Claims {
        Claims::new(Arc::clone(&self.readers))
    }

    /// Whether a name in a directory (with links followed) is.
    pub(super) fn contains(&self, directory: &Path, name: &OsStr) -> bool {
        self.names().contains_key(&directory.join(name))
    }

    /// Whether the file of this fingerprint has a followed name.
    ///
    /// # Errors
    /// No descriptor is left to look.
    pub(super) fn is_present(&self, fingerprint: u128) -> io::Result<bool> {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(&*present, Some((when, _)) if when.elapsed() < FRESH) {
            let names: Vec<_> = self.names().keys().cloned().collect();
            let files = names
                .iter()
                .filter_map(|name| identity(name, false).transpose());
            *present = Some((Instant::now(), files.collect::<io::Result<_>>()?));
        }
        Ok(matches!(&*present, Some((_, files)) if files.contains(&fingerprint)))
    }

    /// Makes the copy under this name the one that goes on for a file that is
    /// gone; `false` when it is another one.
    pub(super) fn claim(&self, fingerprint: u128, name: &Path) -> bool {
        let mut claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner);
        let by = claimed
            .entry(fingerprint)
            .or_insert_with(|| name.to_owned());
        by == name
    }

    fn names(&self) -> MutexGuard<'_, HashMap<PathBuf, usize>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut names = self.followed.names();
        if let Some(count) = names.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                names.remove(&self.name);
            }
        }
    }
}
