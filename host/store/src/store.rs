//! Opening and ending a store.

use std::collections::{HashSet, VecDeque};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use sidewatch_event::Delivery;

use crate::batch::{Batch, Outgoing, Scratch, StoredState};
use crate::checkpoint::{self, Change, Step};
use crate::commit::{Committer, OnCommit, POSITIONS, Worker};
use crate::dead_letters::DeadLetters;
use crate::error::{StoreError, at};
use crate::found::{Found, share};
use crate::index::Index;
use crate::journal::Journal;
use crate::lock::DirectoryLock;
use crate::outbox::Outbox;
use crate::progress::{Policy, Progress};
use crate::recovery::{self, Recovered};
use crate::room;
use crate::shared::Shared;

/// Batches that may wait to be committed.
const WAITING: usize = 8;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Where it is; made with mode 0700.
    pub directory: PathBuf,
    /// Bytes after which a journal file is full.
    pub segment_bytes: u64,
    /// Bytes of committed records kept in memory for sinks that keep up.
    pub window_bytes: usize,
    /// The sinks, in the order of the bits of a record.
    pub sinks: Vec<Policy>,
    /// Bytes of journal that may be kept for a sink that is configured no more.
    pub left_bytes: u64,
}

impl StoreSettings {
    /// Settings with sensible sizes.
    #[must_use]
    pub fn new(directory: PathBuf, sinks: Vec<Policy>) -> Self {
        Self {
            directory,
            segment_bytes: 32 << 20,
            window_bytes: 4 << 20,
            sinks,
            left_bytes: 1 << 30,
        }
    }
}

/// What the outside may know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreStatus {
    /// Bytes of journal kept.
    pub journal_bytes: u64,
    /// Its files.
    pub segments: u64,
    /// Syncs that acknowledged something.
    pub commits: u64,
    /// Time they took together.
    pub commit_nanoseconds: u64,
    /// A sink with the policy `block` holds everything up.
    pub blocked: bool,
    /// The disk is full, or was within the last seconds.
    pub disk_full: bool,
    /// Why nothing can be written at present.
    pub trouble: Option<String>,
    /// Dead letters kept.
    pub dead_letters: u64,
    /// Dead letters that had to go for newer ones, in this run.
    pub dead_letters_dropped: u64,
}

/// An open store.
#[derive(Debug)]
pub struct Store {
    shared: Arc<Shared>,
    index: Arc<Index>,
    batches: Mutex<Option<mpsc::SyncSender<Box<Batch>>>>,
    worker: Mutex<Option<(Worker, mpsc::Receiver<Box<Batch>>)>>,
    checkpoints: Mutex<Option<mpsc::Receiver<u64>>>,
    _lock: DirectoryLock,
}

impl Store {
    /// Opens a store and tells what an earlier run left.
    ///
    /// # Errors
    /// The directory cannot be used or is in use.
    pub fn open(settings: StoreSettings) -> Result<(Self, Recovered), StoreError> {
        if settings.sinks.len() > recovery::MOST_SINKS {
            return Err(StoreError::TooManySinks(settings.sinks.len()));
        }
        let StoreSettings {
            directory,
            segment_bytes,
            window_bytes,
            sinks,
            left_bytes,
        } = settings;
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&directory).map_err(at("make", &directory))?;
        let lock = DirectoryLock::take(&directory)?;
        let mut found = Found::in_directory(&directory)?;
        let (shared, removed_sinks, given_up) =
            share(directory.clone(), sinks, left_bytes, &mut found);
        let (batches, waiting) = mpsc::sync_channel(WAITING);
        let (ask, checkpoints) = mpsc::sync_channel(WAITING);
        let Found {
            index,
            reserve,
            scanned,
            damaged_database,
            missing_frames,
            behind,
            next,
            ..
        } = found;
        let parked = scanned.parked.iter();
        let parked: VecDeque<_> = parked
            .map(|(sequence, half)| (*sequence, half.event.id))
            .collect();
        let positions = scanned.positions.iter();
        let worker = Worker {
            shared: Arc::clone(&shared),
            journal: Journal::new(&directory),
            segment_bytes,
            window_bytes,
            positions: positions
                .map(|(file, position)| (*file, (*position, 0)))
                .collect(),
            most_positions: POSITIONS,
            live: parked.iter().map(|(_, id)| *id).collect::<HashSet<_>>(),
            parked,
            checkpoints: ask,
            index: Arc::clone(&index),
            reserve,
            next,
            carried: 0,
            in_group: 0,
            accepted: shared.lock().progress.clone(),
            on_commit: Box::new(|_| {}),
            scratch: Scratch::default(),
            buffer: Vec::new(),
            last_full: None,
            not_before: None,
        };
        let recovered = Recovered {
            positions: scanned.positions.into_values().collect(),
            parked: scanned.parked.into_iter().map(|(_, half)| half).collect(),
            damaged_bytes: scanned.damaged_bytes,
            missing_frames,
            damaged_database,
            database_behind: behind,
            removed_sinks,
            given_up,
        };
        let store = Self {
            shared,
            index,
            batches: Mutex::new(Some(batches)),
            worker: Mutex::new(Some((worker, waiting))),
            checkpoints: Mutex::new(Some(checkpoints)),
            _lock: lock,
        };
        Ok((store, recovered))
    }

    /// Tells every state of the earlier run: rule, key, state. One forgotten
    /// since it was first told comes again as none.
    ///
    /// # Errors
    /// Database or journal cannot be read.
    pub fn states(
        &self,
        mut tell: impl FnMut(&str, u64, Option<StoredState<'_>>),
    ) -> Result<(), StoreError> {
        self.index
            .states(|rule, key, state| tell(rule, key, Some(state)))?;
        let applied = self.shared.applied.load(Ordering::Acquire);
        let segments = self.shared.lock().segments.iter().cloned().collect();
        let directory = &self.shared.directory;
        checkpoint::changes(directory, segments, applied, u64::MAX, |_, change| {
            if let Change::State(rule, key, state) = change {
                tell(rule, key, state);
            }
        })
    }

    /// Says which files are followed: their positions are kept, however long
    /// nothing was read from them. Takes the first answer for good.
    pub fn keep_positions(&self, is_followed: impl Fn(u128) -> bool + Send + Sync + 'static) {
        self.index.keep_positions(Box::new(is_followed));
    }

    /// Starts the threads. `on_commit` is called with a batch's receipt once
    /// the batch is in safety. The threads end when the committer is dropped.
    ///
    /// # Errors
    /// A thread cannot be started, or they were started before.
    pub fn start(
        &self,
        on_commit: impl FnMut(u64) + Send + 'static,
    ) -> Result<(Committer, Running), StoreError> {
        let refused = || std::io::Error::other("it was started before");
        let start = |what: &'static str| at(what, &self.shared.directory);
        let taken = lock(&self.worker)
            .take()
            .zip(lock(&self.checkpoints).take());
        let Some(((mut worker, waiting), checkpoints)) = taken else {
            return Err(start("start the store in")(refused()));
        };
        let on_commit: OnCommit = Box::new(on_commit);
        worker.on_commit = on_commit;
        let (index, shared) = (Arc::clone(&self.index), Arc::clone(&self.shared));
        let checkpointing = std::thread::Builder::new()
            .name("checkpoint".to_owned())
            .spawn(move || checkpoint::run(&index, &shared, &checkpoints))
            .map_err(start("start a thread for"))?;
        let committing = std::thread::Builder::new()
            .name("commit".to_owned())
            .spawn(move || worker.run(&waiting))
            .map_err(start("start a thread for"))?;
        let Some(batches) = lock(&self.batches).clone() else {
            return Err(start("start the store in")(refused()));
        };
        let running = Running {
            committing,
            checkpointing,
        };
        Ok((Committer { batches }, running))
    }

    /// A sink's end, by its number among the sinks.
    #[must_use]
    pub fn outbox(&self, sink: usize) -> Outbox {
        Outbox::new(Arc::clone(&self.shared), sink)
    }

    /// The numbers of sinks that are configured no more, but something is left
    /// of.
    #[must_use]
    pub fn left(&self) -> Vec<(String, Progress)> {
        let mut progress = self.progress();
        progress.drain(..self.shared.configured.min(progress.len()));
        progress
    }

    /// Gives up what is kept for a sink that is configured no more. How many
    /// records that were; none when there is no such sink. It holds for good
    /// when [`Store::is_given_up`] says so.
    #[must_use]
    pub fn give_up_left(&self, sink: &str) -> Option<u64> {
        let policies = self.shared.policies.iter();
        let found = policies
            .skip(self.shared.configured)
            .position(|policy| policy.name == sink)?;
        Some(room::give_up(&self.shared, self.shared.configured + found))
    }

    /// Whether everything that was given up so far is committed as such.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        let asked = self.shared.lock().given_up;
        self.shared.given_up.load(Ordering::Acquire) >= asked
    }

    /// The numbers of the sinks, those that are configured no more at the end.
    #[must_use]
    pub fn progress(&self) -> Vec<(String, Progress)> {
        let names = self
            .shared
            .policies
            .iter()
            .map(|policy| policy.name.clone());
        names.zip(self.shared.lock().progress.clone()).collect()
    }

    /// What the outside may know.
    #[must_use]
    pub fn status(&self) -> StoreStatus {
        let (journal_bytes, segments) = {
            let state = self.shared.lock();
            (state.journal_bytes(), state.segments.len() as u64)
        };
        StoreStatus {
            journal_bytes,
            segments,
            commits: self.shared.commits.load(Ordering::Relaxed),
            commit_nanoseconds: self.shared.commit_nanoseconds.load(Ordering::Relaxed),
            blocked: self.shared.blocked.load(Ordering::Relaxed),
            disk_full: self.shared.disk_full.load(Ordering::Relaxed),
            trouble: self.shared.trouble(),
            dead_letters: self.index.dead_count(),
            dead_letters_dropped: self.index.dead_dropped(),
        }
    }

    /// The dead letters.
    #[must_use]
    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters {
            index: Arc::clone(&self.index),
        }
    }

    /// Offers a record to a sink again. Gives a number for
    /// [`Store::is_offered`], none when there is no such sink.
    #[must_use]
    pub fn offer_again(&self, sink: &str, delivery: Delivery) -> Option<u64> {
        let at = self
            .shared
            .policies
            .iter()
            .position(|policy| policy.name == sink)?;
        let mut state = self.shared.lock();
        state.carried.push(Outgoing {
            delivery,
            sinks: 1 << at,
        });
        state.carried_total += 1;
        if let Some(again) = state.again.get_mut(at) {
            *again += 1;
        }
        Some(state.carried_total)
    }

    /// Whether what was offered again under this number is committed.
    #[must_use]
    pub fn is_offered(&self, number: u64) -> bool {
        self.shared.carried.load(Ordering::Acquire) >= number
    }

    /// Gives up what a sink or disk holds up: shutdown takes too long.
    pub fn give_up(&self) {
        self.shared.closing.store(true, Ordering::Release);
    }

    /// From now on a sink or disk that holds everything up is not waited for,
    /// and nobody but the holder of the committer keeps the store running.
    pub fn close(&self) {
        self.shared.closing.store(true, Ordering::Release);
        lock(&self.batches).take();
    }

    /// Brings the database up to the journal's end. To be called when the
    /// threads have ended, so that the next start is quick.
    ///
    /// # Errors
    /// The database refuses; the journal is complete all the same.
    pub fn settle(&self) -> Result<(), StoreError> {
        let last = self.shared.lock().last;
        checkpoint::bring_up(&self.index, &self.shared, last, Step::LARGE)
    }
}

/// The threads of a store.
#[derive(Debug)]
pub struct Running {
    committing: JoinHandle<()>,
    checkpointing: JoinHandle<()>,
}

impl Running {
    /// Whether one of them has ended.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.committing.is_finished() || self.checkpointing.is_finished()
    }

    /// Waits until both have ended, which needs the committer to be dropped
    /// and the store to be closed.
    pub fn wait(self) {
        for thread in [self.committing, self.checkpointing] {
            if thread.join().is_err() {
                tracing::error!("a thread of the store broke");
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
