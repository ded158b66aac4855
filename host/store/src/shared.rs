//! What the committing thread, the sinks' ends and the status share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::watch;

use crate::batch::Outgoing;
use crate::progress::{Cursor, Policy, Progress};
use crate::segment::Segment;

/// A committed frame that is still in memory.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) sequence: u64,
    pub(crate) records: Vec<Outgoing>,
    pub(crate) bytes: usize,
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
    /// Records a sink has in its hands, and the place after the last of them.
    pub(crate) given: Vec<(u64, Cursor)>,
    /// How many of those, the oldest, were offered again because their place in
    /// the journal went: findings, which must not be lost with the process.
    pub(crate) lifted: Vec<u64>,
    /// Progress not yet in any frame.
    pub(crate) progress_changed: bool,
    pub(crate) segments: VecDeque<Segment>,
    /// Findings to be offered again to the sinks of the mask.
    pub(crate) carried: Vec<Outgoing>,
    /// How many were ever put there.
    pub(crate) carried_total: u64,
    /// By sink, what was dropped in this run.
    pub(crate) losses: Vec<Losses>,
}

/// What a sink lost in this run because it was too far behind.
#[derive(Debug, Default, Clone)]
pub(crate) struct Losses {
    /// Records dropped because the disk was full.
    pub(crate) disk_full: u64,
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
    pub(crate) policies: Vec<Policy>,
    pub(crate) state: Mutex<State>,
    /// The last committed frame; closed when the committing thread ended.
    pub(crate) committed: watch::Sender<u64>,
    pub(crate) closing: AtomicBool,
    pub(crate) closed: AtomicBool,
    /// Up to this frame the database knows the states.
    pub(crate) applied: AtomicU64,
    /// Records that were offered again and are committed.
    pub(crate) carried: AtomicU64,
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

    /// A sink has these records in its hands.
    pub(crate) fn set_given(&mut self, sink: usize, records: usize, to: Cursor) {
        if let Some(given) = self.given.get_mut(sink) {
            *given = (records as u64, to);
        }
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
