//! The database beside the journal: states up to a certain frame, and dead
//! letters.
//!
//! It is never ahead of the journal and never needed to read it. When it
//! cannot be opened it is put aside under another name and begun anew: rules
//! then know what the remaining frames say, which is reported, and nothing
//! that was acknowledged is lost.
//!
//! After a failed read or write the library refuses everything, so the
//! database is opened anew before it is used again.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{OnceLock, PoisonError, RwLock};

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use sidewatch_event::Origin;
use sidewatch_event::wire::Reader;

use crate::batch::StoredState;
use crate::error::{StoreError, at};

const NAME: &str = "index.redb";
/// Bytes of pages kept in memory; the default of the library is a gigabyte.
const CACHE: usize = 4 << 20;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const RULES: TableDefinition<'_, &str, u32> = TableDefinition::new("rules");
const STATES: TableDefinition<'_, (u32, u64), &[u8]> = TableDefinition::new("states");
const POSITIONS: TableDefinition<'_, u128, u64> = TableDefinition::new("positions");
/// Hashes of what comes before the positions, with the offsets they are of: an
/// older release changes those and not these.
const CONTENTS: TableDefinition<'_, u128, (u64, u64)> = TableDefinition::new("contents");
const DEAD: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("dead_letters");
/// How many tables there are.
const TABLES: usize = 6;
const APPLIED: &str = "applied";
const LAST_DEAD: &str = "last_dead_letter";

/// Read positions kept; with more, those of files no longer followed go.
const MOST_POSITIONS: u64 = 20_000;

/// What the frames since the last time changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// States by rule and key; none for those forgotten.
    pub(crate) states: BTreeMap<(String, u64), Option<Vec<u8>>>,
    /// Offsets by file. States and positions have to be of the same frame, or
    /// a line would count twice where the end of the journal was damaged.
    pub(crate) positions: BTreeMap<u128, Origin>,
}

/// Whether a file is still followed.
pub(crate) type IsFollowed = Box<dyn Fn(u128) -> bool + Send + Sync>;

pub(crate) struct Index {
    /// None while it could not be opened anew.
    database: RwLock<Option<Database>>,
    /// Something failed since it was opened.
    failed: AtomicBool,
    /// Dead letters as of the last change.
    dead: AtomicU64,
    /// Dead letters that went for newer ones.
    dead_dropped: AtomicU64,
    is_followed: OnceLock<IsFollowed>,
    path: PathBuf,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Index").field(&self.path).finish()
    }
}

/// A file with which an operator agrees to begin a file anew that was lost.
pub(crate) fn consent(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".begin-anew");
    name.into()
}

impl Index {
    /// Whether a directory has one.
    pub(crate) fn exists(directory: &Path) -> bool {
        directory.join(NAME).exists()
    }

    /// Refuses to go on without a database that was there: states and refused
    /// records would be forgotten, and nobody would know. Whether that was
    /// agreed to.
    pub(crate) fn refuse_lost(directory: &Path, has_journal: bool) -> Result<bool, StoreError> {
        let path = directory.join(NAME);
        let is_there = std::fs::metadata(&path).is_ok_and(|found| found.len() > 0);
        if is_there || !has_journal {
            return Ok(false);
        }
        if !consent(&path).exists() {
            return Err(StoreError::LostIndex { path });
        }
        tracing::warn!(path = %path.display(), "the database is begun anew, as was agreed to; rules begin with what the journal still holds");
        Ok(true)
    }

    /// Refuses to go on without a journal that was there: what waited for the
    /// sinks would be gone from every sum.
    pub(crate) fn refuse_lost_journal(&self, directory: &Path) -> Result<(), StoreError> {
        let consent = consent(&directory.join("journal"));
        if self.applied()? > 0 && !consent.exists() {
            return Err(StoreError::LostJournal {
                path: directory.to_owned(),
            });
        }
        Ok(())
    }

    /// The journal is begun: agreeing to that was for once.
    pub(crate) fn forget_lost_journal(directory: &Path) -> Result<(), StoreError> {
        let consent = consent(&directory.join("journal"));
        if consent.exists() {
            std::fs::remove_file(&consent).map_err(at("remove", &consent))?;
            tracing::warn!(path = %directory.display(), "the journal is begun anew, as was agreed to; what waited for the sinks is lost");
        }
        Ok(())
    }

    /// Opens the database for whoever only looks: one that is damaged stays.
    ///
    /// # Errors
    /// Also that it is damaged.
    pub(crate) fn look(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(NAME);
        Self::open_whole(&path).map_err(|refusal| match refusal {
            Refusal::Damage(reason) => StoreError::DamagedIndex { path, reason },
            Refusal::Surroundings(reason) => StoreError::Index { path, reason },
        })
    }

    /// Opens the database; one that is damaged is put aside, and where to is
    /// told.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        let path = directory.join(NAME);
        let consent = consent(&path);
        match Self::open_whole(&path) {
            Ok(index) => {
                // For once.
                if consent.exists() {
                    std::fs::remove_file(&consent).map_err(at("remove", &consent))?;
                }
                Ok((index, None))
            }
            Err(Refusal::Surroundings(reason)) => Err(StoreError::Index { path, reason }),
            Err(Refusal::Damage(reason)) => {
                let aside = (1..)
                    .map(|number| directory.join(format!("{NAME}.damaged-{number}")))
                    .find(|aside| !aside.exists())
                    .unwrap_or_else(|| directory.join(format!("{NAME}.damaged")));
                tracing::error!(path = %path.display(), aside = %aside.display(), reason, "the database is damaged and put aside, refused records with it; rules begin with what the journal still holds");
                // Should we end in between, it is not taken for a lost one.
                std::fs::write(&consent, "").map_err(at("write", &consent))?;
                std::fs::rename(&path, &aside).map_err(at("rename", &path))?;
                let index = Self::open_whole(&path).map_err(|refusal| refusal.at(&path))?;
                std::fs::remove_file(&consent).map_err(at("remove", &consent))?;
                Ok((index, Some(aside)))
            }
        }
    }

    /// Opens and reads everything once: damage is found now or never.
    fn open_whole(path: &Path) -> Result<Self, Refusal> {
        guarded(|| {
            let database = open_database(path)?;
            let reading = database.begin_read()?;
            for entry in reading.open_table(STATES)?.iter()? {
                entry?;
            }
            let mut dead = 0;
            for entry in reading.open_table(DEAD)?.iter()? {
                entry?;
                dead += 1;
            }
            for entry in reading.open_table(POSITIONS)?.iter()? {
                entry?;
            }
            drop(reading);
            Ok(Self {
                database: RwLock::new(Some(database)),
                failed: AtomicBool::new(false),
                dead: AtomicU64::new(dead),
                dead_dropped: AtomicU64::new(0),
                is_followed: OnceLock::new(),
                path: path.to_owned(),
            })
        })
    }

    /// Takes the first answer for good.
    pub(crate) fn keep_positions(&self, is_followed: IsFollowed) {
        if self.is_followed.set(is_followed).is_err() {
            tracing::debug!("which files are followed was said before");
        }
    }

    pub(crate) fn is_followed(&self, file: u128) -> bool {
        self.is_followed
            .get()
            .is_some_and(|followed| followed(file))
    }

    fn attempt<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        if self.failed.load(Ordering::Acquire) {
            self.open_anew()?;
        }
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let result = guarded(|| match database.as_ref() {
            Some(database) => work(database),
            None => Err(redb::Error::PreviousIo),
        });
        result.map_err(|refusal| {
            self.failed.store(true, Ordering::Release);
            refusal.at(&self.path)
        })
    }

    fn open_anew(&self) -> Result<(), StoreError> {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        // It has to be closed first: there may be one owner at a time.
        *database = None;
        let opened = guarded(|| open_database(&self.path));
        *database = Some(opened.map_err(|refusal| refusal.at(&self.path))?);
        self.failed.store(false, Ordering::Release);
        Ok(())
    }

    /// The last frame whose states are in here.
    pub(crate) fn applied(&self) -> Result<u64, StoreError> {
        self.attempt(|database| {
            let meta = database.begin_read()?.open_table(META)?;
            Ok(meta.get(APPLIED)?.map_or(0, |value| value.value()))
        })
    }

    /// Takes up the changes of the frames up to `applied`.
    pub(crate) fn apply(&self, changes: &Changes, applied: u64) -> Result<(), StoreError> {
        self.attempt(|database| {
            let transaction = database.begin_write()?;
            {
                let mut rules = transaction.open_table(RULES)?;
                let mut states = transaction.open_table(STATES)?;
                let mut last: Option<(&str, u32)> = None;
                for ((rule, key), state) in &changes.states {
                    let number = match last.filter(|(known, _)| known == rule) {
                        Some((_, number)) => number,
                        None => rule_number(&mut rules, rule)?,
                    };
                    last = Some((rule, number));
                    match state {
                        Some(bytes) => drop(states.insert((number, *key), bytes.as_slice())?),
                        None => drop(states.remove((number, *key))?),
                    }
                }
                let mut positions = transaction.open_table(POSITIONS)?;
                let mut contents = transaction.open_table(CONTENTS)?;
                if redb::ReadableTableMetadata::len(&positions)? > MOST_POSITIONS {
                    positions.retain(|file, _| self.is_followed(file))?;
                    contents.retain(|file, _| self.is_followed(file))?;
                }
                for (file, position) in &changes.positions {
                    positions.insert(file, position.end)?;
                    contents.insert(file, (position.end, position.content))?;
                }
                transaction.open_table(META)?.insert(APPLIED, applied)?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// The read positions as of the last frame whose states are in here.
    pub(crate) fn positions(&self) -> Result<Vec<Origin>, StoreError> {
        self.attempt(|database| {
            let reading = database.begin_read()?;
            let positions = reading.open_table(POSITIONS)?;
            let contents = reading.open_table(CONTENTS)?;
            let mut found = Vec::new();
            for entry in positions.iter()? {
                let (file, end) = entry?;
                let mut position = Origin::new(file.value(), end.value());
                let content = contents.get(position.file)?.map(|known| known.value());
                if let Some((_, content)) = content.filter(|(of, _)| *of == position.end) {
                    position.content = content;
                }
                found.push(position);
            }
            Ok(found)
        })
    }

    /// Tells every state.
    pub(crate) fn states(
        &self,
        mut tell: impl FnMut(&str, u64, StoredState<'_>),
    ) -> Result<(), StoreError> {
        self.attempt(|database| {
            let reading = database.begin_read()?;
            let mut names = BTreeMap::new();
            for entry in reading.open_table(RULES)?.iter()? {
                let (name, number) = entry?;
                names.insert(number.value(), name.value().to_owned());
            }
            for entry in reading.open_table(STATES)?.iter()? {
                let (key, bytes) = entry?;
                let (number, key) = key.value();
                let state = StoredState::read(&mut Reader::new(bytes.value()));
                if let (Some(name), Some(state)) = (names.get(&number), state) {
                    tell(name, key, state);
                }
            }
            Ok(())
        })
    }

    /// Adds dead letters; beyond `most` the oldest go. Gives how many went.
    pub(crate) fn bury(&self, letters: &[Vec<u8>], most: u64) -> Result<u64, StoreError> {
        let (gone, left) = self.attempt(|database| {
            let transaction = database.begin_write()?;
            let mut gone = 0;
            let left;
            {
                let mut meta = transaction.open_table(META)?;
                let mut dead = transaction.open_table(DEAD)?;
                let mut last = meta.get(LAST_DEAD)?.map_or(0, |value| value.value());
                for letter in letters {
                    last += 1;
                    dead.insert(last, letter.as_slice())?;
                }
                meta.insert(LAST_DEAD, last)?;
                while redb::ReadableTableMetadata::len(&dead)? > most {
                    let Some(oldest) = dead.first()?.map(|(key, _)| key.value()) else {
                        break;
                    };
                    dead.remove(oldest)?;
                    gone += 1;
                }
                left = redb::ReadableTableMetadata::len(&dead)?;
            }
            transaction.commit()?;
            Ok((gone, left))
        })?;
        self.dead.store(left, Ordering::Relaxed);
        self.dead_dropped.fetch_add(gone, Ordering::Relaxed);
        Ok(gone)
    }

    /// Dead letters from number `from` on, as long as `tell` wants more.
    pub(crate) fn dead(
        &self,
        from: u64,
        mut tell: impl FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.attempt(|database| {
            let dead = database.begin_read()?.open_table(DEAD)?;
            for entry in dead.range(from..)? {
                let (number, letter) = entry?;
                if !tell(number.value(), letter.value()) {
                    break;
                }
            }
            Ok(())
        })
    }

    /// Removes dead letters.
    pub(crate) fn unbury(&self, numbers: &[u64]) -> Result<(), StoreError> {
        let left = self.attempt(|database| {
            let transaction = database.begin_write()?;
            let left;
            {
                let mut dead = transaction.open_table(DEAD)?;
                for number in numbers {
                    dead.remove(number)?;
                }
                left = redb::ReadableTableMetadata::len(&dead)?;
            }
            transaction.commit()?;
            Ok(left)
        })?;
        self.dead.store(left, Ordering::Relaxed);
        Ok(())
    }

    /// How many dead letters had to go for newer ones in this run.
    pub(crate) fn dead_dropped(&self) -> u64 {
        self.dead_dropped.load(Ordering::Relaxed)
    }

    /// How many dead letters there are.
    pub(crate) fn dead_count(&self) -> u64 {
        self.dead.load(Ordering::Relaxed)
    }
}

/// Opens or makes the database. One that is whole is not written to, since
/// there may be no room to.
fn open_database(path: &Path) -> Result<Database, redb::Error> {
    let database = Database::builder().set_cache_size(CACHE).create(path)?;
    let reading = database.begin_read()?;
    let known = reading.list_tables()?.count();
    drop(reading);
    if known < TABLES {
        let transaction = database.begin_write()?;
        transaction.open_table(META)?;
        transaction.open_table(RULES)?;
        transaction.open_table(STATES)?;
        transaction.open_table(POSITIONS)?;
        transaction.open_table(CONTENTS)?;
        transaction.open_table(DEAD)?;
        transaction.commit()?;
    }
    Ok(database)
}

fn rule_number(rules: &mut redb::Table<'_, &str, u32>, rule: &str) -> Result<u32, redb::Error> {
    if let Some(number) = rules.get(rule)? {
        return Ok(number.value());
    }
    let number = u32::try_from(redb::ReadableTableMetadata::len(rules)?).unwrap_or(u32::MAX);
    rules.insert(rule, number)?;
    Ok(number)
}

/// Why the database cannot be used.
enum Refusal {
    /// The file itself is damaged.
    Damage(String),
    /// The system or another process stands in the way; the file may be whole.
    Surroundings(String),
}

impl Refusal {
    fn at(self, path: &Path) -> StoreError {
        let (Self::Damage(reason) | Self::Surroundings(reason)) = self;
        StoreError::Index {
            path: path.to_owned(),
            reason,
        }
    }
}

/// Damaged pages may make the library give up in the middle of something.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, Refusal> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(match &error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::UpgradeRequired(_) => {
                Refusal::Surroundings(error.to_string())
            }
            // Reading beyond a file that was cut is damage; refusing is not.
            redb::Error::Io(io)
                if !matches!(
                    io.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
                ) =>
            {
                Refusal::Surroundings(error.to_string())
            }
            _ => Refusal::Damage(error.to_string()),
        }),
        Err(_) => Err(Refusal::Damage("its content makes no sense".to_owned())),
    }
}
