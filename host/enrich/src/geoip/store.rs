//! The databases in use, and their replacement while traffic flows.
//!
//! Workers hold a set of databases and ask the store's generation number,
//! one relaxed load per event, whether a newer set exists. A file that cannot
//! be used leaves the set as it is and is reported once per version of the
//! file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;

use super::{Database, DatabaseError, DatabaseKind, FileSignature};
use crate::settings::GeoipSettings;

/// One consistent set of databases.
#[derive(Debug, Default, Clone)]
pub(crate) struct Databases {
    pub(crate) generation: u64,
    pub(crate) city: Option<Arc<Database>>,
    pub(crate) asn: Option<Arc<Database>>,
    pub(crate) anonymous: Option<Arc<Database>>,
}

impl Databases {
    fn slot(&mut self, kind: DatabaseKind) -> &mut Option<Arc<Database>> {
        match kind {
            DatabaseKind::City => &mut self.city,
            DatabaseKind::Asn => &mut self.asn,
            DatabaseKind::Anonymous => &mut self.anonymous,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Database>> {
        [&self.city, &self.asn, &self.anonymous]
            .into_iter()
            .flatten()
    }
}

/// One database, for the start-up summary, metrics and the `doctor` command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseStatus {
    /// Path of the file.
    pub path: PathBuf,
    /// What it is asked for.
    pub kind: DatabaseKind,
    /// When the vendor built the version in use, seconds since the Unix epoch.
    pub build_epoch: u64,
    /// How long ago that is.
    pub age: Duration,
    /// What is wrong with the file: a newer version that is not in use, or
    /// damage found in this one.
    pub error: Option<String>,
}

/// What became of a file that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReloadOutcome {
    /// Path of the file.
    pub path: PathBuf,
    /// What it is asked for.
    pub kind: DatabaseKind,
    /// The build time of the new version, seconds since the Unix epoch; or
    /// why the old one stays in use.
    pub result: Result<u64, String>,
}

/// A version of a file that was found damaged.
#[derive(Debug)]
struct Rejected {
    kind: DatabaseKind,
    /// `None` when the file was missing.
    signature: Option<FileSignature>,
    error: String,
}

/// Owner of the databases in use.
#[derive(Debug)]
pub(crate) struct DatabaseStore {
    current: ArcSwap<Databases>,
    generation: AtomicU64,
    reload: bool,
    rejected: Mutex<Vec<Rejected>>,
    /// Whether what the start only sampled was verified since.
    caught_up: AtomicBool,
}

impl DatabaseStore {
    /// Loads every configured database.
    pub(crate) fn open(settings: &GeoipSettings) -> Result<Self, (PathBuf, DatabaseError)> {
        let mut databases = Databases::default();
        for (path, kind) in [
            (&settings.city, DatabaseKind::City),
            (&settings.asn, DatabaseKind::Asn),
            (&settings.anonymous, DatabaseKind::Anonymous),
        ] {
            if let Some(path) = path {
                let database =
                    Database::load_quickly(path, kind).map_err(|error| (path.clone(), error))?;
                *databases.slot(kind) = Some(Arc::new(database));
            }
        }
        Ok(Self {
            current: ArcSwap::from_pointee(databases),
            generation: AtomicU64::new(0),
            reload: settings.reload,
            rejected: Mutex::default(),
            caught_up: AtomicBool::new(false),
        })
    }

    /// The set in use.
    pub(crate) fn current(&self) -> Arc<Databases> {
        self.current.load_full()
    }

    /// A set of that generation is the newest one.
    pub(crate) fn is_current(&self, generation: u64) -> bool {
        self.generation.load(Ordering::Acquire) == generation
    }

    /// The state of every database.
    pub(crate) fn status(&self) -> Vec<DatabaseStatus> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        self.current()
            .all()
            .map(|database| DatabaseStatus {
                path: database.path.clone(),
                kind: database.kind,
                build_epoch: database.build_epoch(),
                age: now.saturating_sub(Duration::from_secs(database.build_epoch())),
                error: rejected
                    .iter()
                    .find(|entry| entry.kind == database.kind)
                    .map(|entry| entry.error.clone()),
            })
            .collect()
    }

    /// Verifies in full what the start only sampled. A damaged database stays
    /// in use, because most of its answers are right, and is reported.
    fn catch_up(&self) -> Vec<ReloadOutcome> {
        if self.caught_up.swap(true, Ordering::AcqRel) {
            return Vec::new();
        }
        let mut outcomes = Vec::new();
        for database in self
            .current()
            .all()
            .filter(|database| !database.is_verified())
        {
            let Err(error) = database.verify() else {
                continue;
            };
            let error = format!("{error}; it stays in use until it is replaced");
            let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
            rejected.push(Rejected {
                kind: database.kind,
                signature: Some(database.signature),
                error: error.clone(),
            });
            outcomes.push(ReloadOutcome {
                path: database.path.clone(),
                kind: database.kind,
                result: Err(error),
            });
        }
        outcomes
    }

    /// Loads files that were replaced; one outcome per file that changed.
    pub(crate) fn check(&self) -> Vec<ReloadOutcome> {
        let mut outcomes = self.catch_up();
        if !self.reload {
            return outcomes;
        }
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Databases::clone(&self.current());
        for database in self.current().all() {
            if let Some(result) = reload(database, &mut rejected) {
                let result = result.map(|replacement| {
                    let build_epoch = replacement.build_epoch();
                    *next.slot(database.kind) = Some(Arc::new(replacement));
                    build_epoch
                });
                outcomes.push(ReloadOutcome {
                    path: database.path.clone(),
                    kind: database.kind,
                    result,
                });
            }
        }
        if outcomes.iter().any(|outcome| outcome.result.is_ok()) {
            next.generation += 1;
            let generation = next.generation;
            self.current.store(Arc::new(next));
            self.generation.store(generation, Ordering::Release);
        }
        outcomes
    }
}

/// `None` when there is nothing new to say about the file.
fn reload(database: &Database, rejected: &mut Vec<Rejected>) -> Option<Result<Database, String>> {
    let kind = database.kind;
    let signature = signature_of(&database.path);
    if signature == Some(database.signature) {
        // The version in use is back; what was wrong with another is over.
        rejected.retain(|entry| entry.kind != kind || entry.signature == signature);
        return None;
    }
    if rejected
        .iter()
        .any(|entry| entry.kind == kind && entry.signature == signature)
    {
        return None;
    }
    let result = Database::load(&database.path, kind);
    rejected.retain(|entry| entry.kind != kind);
    if matches!(result, Err(DatabaseError::Unstable)) {
        return None;
    }
    Some(result.map_err(|error| {
        let error = error.to_string();
        rejected.push(Rejected {
            kind,
            signature,
            error: error.clone(),
        });
        error
    }))
}

fn signature_of(path: &Path) -> Option<FileSignature> {
    std::fs::metadata(path).ok().as_ref().map(FileSignature::of)
}
