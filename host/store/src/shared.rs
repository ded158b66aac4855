//! What the committing thread, the sinks' ends and the status share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::batch::Outgoing;
use crate::lost::{LossReason, Lost};
use crate::progress::{Cursor, Policy, Progress};
use crate::segment::Segment;

/// A committed frame that is still in memory.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) sequence: u64,
    pub(crate) records: Vec<Outgoing>,
    pub(crate) bytes: usize,
}

/// A record a sink has in its hands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    /// The place after it.
    pub(crate) after: Cursor,
    pub(crate) fate: Fate,
}

/// What becomes of such a record if the process ends before the sink finished
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is in the journal and given out again.
    Kept,
    /// Its place was dropped, but it was offered again and counted as moved.
    OfferedAgain,
    /// Its place was dropped: it is lost.
    Dropped(LossReason),
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// The newest frames, so that a sink that keeps up reads no file.
    pub(crate) window: VecDeque<Arc<Committed>>,
    pub(crate) window_bytes: usize,
    /// All records of frames from this one on are in the window.
    pub(crate) window_from: u64,
    /// The last committed frame.
    pub(crate) last: u64,
    pub(crate) progress: Vec<Progress>,
    /// By sink, the records it has in its hands, oldest first.
    pub(crate) given: Vec<VecDeque<Given>>,
    /// Progress not yet in any frame.
    pub(crate) progress_changed: bool,
    pub(crate) segments: VecDeque<Segment>,
    /// Findings to be offered again to the sinks of the mask.
    pub(crate) carried: Vec<Outgoing>,
    /// How many were ever put there.
    pub(crate) carried_total: u64,
    /// By sink, records it gets once more: by hand, or because they were
    /// offered again while it had them in its hands and finished them.
    pub(crate) again: Vec<u64>,
    /// How often what was left of a sink was given up.
    pub(crate) given_up: u64,
    /// By sink, what is to be said of its losses in the log.
    pub(crate) losses: Vec<Losses>,
}

/// What a sink lost because it was too far behind.
#[derive(Debug, Default, Clone)]
pub(crate) struct Losses {
    /// Records dropped since it was last said.
    pub(crate) untold: u64,
    /// Findings kept since it was last said.
    pub(crate) untold_kept: u64,
    /// When that was.
    pub(crate) told: Option<Instant>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) directory: std::path::PathBuf,
    /// Those of the configured sinks, then those of sinks something is left of.
    pub(crate) policies: Vec<Policy>,
    /// How many of them are configured.
    pub(crate) configured: usize,
    pub(crate) state: Mutex<State>,
    /// The last committed frame; closed when the committing thread ended.
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) closing: AtomicBool,
    pub(crate) closed: AtomicBool,
    /// Up to this frame the database knows the states.
    pub(crate) applied: AtomicU64,
    /// Records that were offered again and are committed.
    pub(crate) carried: AtomicU64,
    /// The newest frame that holds some.
    pub(crate) carried_in: AtomicU64,
    /// How many times of giving up are committed.
    pub(crate) given_up: AtomicU64,
    pub(crate) commits: AtomicU64,
    pub(crate) commit_nanoseconds: AtomicU64,
    pub(crate) blocked: AtomicBool,
    /// The disk was full a moment ago.
    pub(crate) disk_full: AtomicBool,
    /// Held by whoever brings the database up to the journal.
    pub(crate) bringing_up: Mutex<()>,
    pub(crate) trouble: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl State {
    /// Bytes of journal from the segment of this frame on.
    pub(crate) fn bytes_from(&self, sequence: u64) -> u64 {
        if sequence > self.last {
            return 0;
        }
        let skipped = self
            .segments
            .partition_point(|segment| segment.first <= sequence)
            .saturating_sub(1);
        self.segments.iter().skip(skipped).map(|it| it.bytes).sum()
    }

    /// Bytes of all segments.
    pub(crate) fn journal_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// First frame of the segment a frame is in.
    pub(crate) fn segment_of(&self, sequence: u64) -> u64 {
        let after = self
            .segments
            .partition_point(|segment| segment.first <= sequence);
        let segment = self.segments.get(after.saturating_sub(1));
        segment.map_or(0, |segment| segment.first)
    }

    /// Bytes of the segments from the one of a frame up to one that begins with
    /// `first`.
    pub(crate) fn bytes_between(&self, sequence: u64, first: u64) -> u64 {
        self.bytes_from(sequence)
            .saturating_sub(self.bytes_from(first))
    }

    /// A sink has these records in its hands, by the places after them.
    pub(crate) fn give(&mut self, sink: usize, records: Vec<Cursor>) {
        if let Some(given) = self.given.get_mut(sink) {
            given.extend(records.into_iter().map(|after| Given {
                after,
                fate: Fate::Kept,
            }));
        }
    }

    /// A sink will not say what became of the records it has in its hands.
    pub(crate) fn let_go(&mut self, sink: usize) {
        let hands = self.given.get_mut(sink).map(std::mem::take);
        let Some(progress) = self.progress.get_mut(sink) else {
            return;
        };
        let lost = lost_with(hands.iter().flatten());
        self.progress_changed |= lost.sum() > 0;
        progress.lose(&lost);
    }

    /// How far the sinks came as it is to be written down: what they have in
    /// their hands and the journal no longer has ends with the process.
    pub(crate) fn progress_to_write(&self) -> Vec<Progress> {
        let mut progress = self.progress.clone();
        for (progress, given) in progress.iter_mut().zip(&self.given) {
            progress.lose(&lost_with(given.iter()));
        }
        progress
    }

    pub(crate) fn publish(&mut self, frame: Committed, most: usize) {
        self.last = frame.sequence;
        if frame.records.is_empty() {
            return;
        }
        self.window_bytes += frame.bytes;
        self.window.push_back(Arc::new(frame));
        while self.window_bytes > most && self.window.len() > 1 {
            if let Some(oldest) = self.window.pop_front() {
                self.window_bytes -= oldest.bytes;
                self.window_from = oldest.sequence + 1;
            }
        }
    }
}

/// What would be lost with these records of a sink's hands.
fn lost_with<'a>(given: impl Iterator<Item = &'a Given>) -> Lost {
    let mut lost = Lost::default();
    for one in given {
        if let Fate::Dropped(reason) = one.fate {
            lost.add(reason, 1);
        }
    }
    lost
}
