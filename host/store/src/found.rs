//! What an earlier run left in a store's directory, and what a new run makes
//! of it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use crate::error::StoreError;
use crate::index::Index;
use crate::progress::{Policy, Progress, WhenFull};
use crate::recovery::{self, Scanned, Sinks};
use crate::reserve::Reserve;
use crate::segment::{self, Segment};
use crate::shared::{Shared, State};

/// What an earlier run left in a directory.
pub(crate) struct Found {
    pub(crate) segments: Vec<Segment>,
    pub(crate) index: Arc<Index>,
    pub(crate) reserve: Reserve,
    pub(crate) scanned: Scanned,
    pub(crate) damaged_database: Option<PathBuf>,
    /// Frames the database knows and the journal does not have any more.
    pub(crate) missing_frames: u64,
    /// Frames the database would have to know and does not.
    pub(crate) behind: u64,
    /// Up to this frame the database knows the states.
    pub(crate) applied: u64,
    /// Number of the next frame.
    pub(crate) next: u64,
}

impl Found {
    /// # Errors
    /// The directory cannot be read, or what is in it is beyond repair.
    pub(crate) fn in_directory(directory: &Path) -> Result<Self, StoreError> {
        let mut segments = segment::list(directory)?;
        let begins_anew = Index::refuse_lost(directory, !segments.is_empty())?;
        let mut reserve = Reserve::given_up(directory);
        let (index, damaged_database) = Index::open(directory)?;
        if segments.is_empty() {
            index.refuse_lost_journal(directory)?;
            Index::forget_lost_journal(directory)?;
        }
        if let Err(error) = reserve.take() {
            tracing::debug!(%error, "the disk is full at the start");
        }
        recovery::cut_torn_group(directory, &mut segments)?;
        let mut scanned = recovery::scan(directory, &segments)?;
        let applied = index.applied()?;
        let missing_frames = applied.saturating_sub(scanned.last);
        if missing_frames > 0 {
            // The end of the journal is gone. The states know lines of it, so
            // those must not be read again.
            let known = index.positions()?.into_iter();
            scanned
                .positions
                .extend(known.map(|position| (position.file, position)));
        }
        let needed = scanned.summary.replay_from.saturating_sub(1);
        let behind = match begins_anew || damaged_database.is_some() {
            true => 0,
            false => needed.saturating_sub(applied),
        };
        // A number used before is never used again, not even one that was
        // written and lost.
        let newest = segments.last().map_or(0, |segment| segment.first);
        let next = scanned.last.max(applied).max(newest) + 1;
        Ok(Self {
            segments,
            index: Arc::new(index),
            reserve,
            scanned,
            damaged_database,
            missing_frames,
            behind,
            applied,
            next,
        })
    }
}

/// Records by the sink they wait for.
pub(crate) type Waiting = Vec<(String, u64)>;

/// What the threads share at the start; sinks that are configured no more and
/// what waits for them; those that are given up.
pub(crate) fn share(
    directory: PathBuf,
    sinks: Vec<Policy>,
    left_bytes: u64,
    found: &mut Found,
) -> (Arc<Shared>, Waiting, Waiting) {
    let names: Vec<_> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    let Sinks {
        progress,
        left,
        given_up,
    } = recovery::assign_progress(&found.scanned.summary, &names, found.next);
    let configured = sinks.len();
    let removed_sinks = left
        .iter()
        .cloned()
        .zip(progress.iter().skip(configured).map(Progress::waiting))
        .collect();
    let mut policies = sinks;
    policies.extend(left.into_iter().map(|name| Policy {
        name,
        max_bytes: left_bytes,
        when_full: WhenFull::DropOldest,
    }));
    let shared = Shared {
        directory,
        policies,
        configured,
        state: Mutex::new(State {
            window_from: found.next,
            last: found.next - 1,
            given: vec![Default::default(); progress.len()],
            losses: vec![Default::default(); progress.len()],
            again: vec![0; progress.len()],
            progress,
            segments: std::mem::take(&mut found.segments).into(),
            ..State::default()
        }),
        committed: watch::Sender::new(found.next - 1),
        closing: AtomicBool::new(false),
        closed: AtomicBool::new(false),
        applied: AtomicU64::new(found.applied),
        carried: AtomicU64::new(0),
        carried_in: AtomicU64::new(0),
        given_up: AtomicU64::new(0),
        commits: AtomicU64::new(0),
        commit_nanoseconds: AtomicU64::new(0),
        blocked: AtomicBool::new(false),
        disk_full: AtomicBool::new(false),
        bringing_up: Mutex::new(()),
        trouble: Mutex::new(None),
    };
    (Arc::new(shared), removed_sinks, given_up)
}
