//! One sink's end of the journal: gives out its records in order, from memory
//! while the sink keeps up and from the files when it does not.

mod reading;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sidewatch_event::Delivery;
use tokio::sync::watch;

use crate::batch::{self, Outgoing, read_records, sections};
use crate::error::StoreError;
use crate::lost::LossReason;
use crate::progress::{Cursor, Progress};
use crate::segment;
use crate::shared::{Fate, Shared, State};

/// Frames for others that are passed over while something is at hand.
const STEPS_AT_HAND: usize = 64;

/// What became of records that were given out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Records finished, from the oldest on.
    pub finished: usize,
    /// How many of them the sink's settings left out.
    pub filtered: usize,
    /// How many of them were refused for good.
    pub rejected: usize,
}

/// Records of a frame that was read from a file.
#[derive(Debug)]
struct FromFile {
    sequence: u64,
    records: Vec<Outgoing>,
    /// The sink's bit in them.
    bit: u32,
    /// Records offered to the sink up to and with this frame.
    offered: u64,
}

/// One sink's end.
pub struct Outbox {
    shared: Arc<Shared>,
    sink: usize,
    name: String,
    committed: watch::Receiver<u64>,
    /// The next record to give out.
    at: Cursor,
    walk: Option<OwnedWalk>,
    read: Option<FromFile>,
    /// Records were last looked for in the files.
    behind: bool,
}

/// A walk over one segment that goes on where it stopped.
#[derive(Debug)]
struct OwnedWalk {
    frames: crate::frame::FrameReader,
    /// First frame of the segment.
    first: u64,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Outbox")
            .field("name", &self.name)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Outbox {
    pub(crate) fn new(shared: Arc<Shared>, sink: usize) -> Self {
        let committed = shared.committed.subscribe();
        let name = shared.policies.get(sink).map(|policy| policy.name.clone());
        let at = shared
            .lock()
            .progress
            .get(sink)
            .map(|progress| progress.cursor);
        Self {
            shared,
            sink,
            name: name.unwrap_or_default(),
            committed,
            at: at.unwrap_or_default(),
            walk: None,
            read: None,
            behind: true,
        }
    }

    /// Name of the sink.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sink's numbers.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let state = self.shared.lock();
        state.progress.get(self.sink).copied().unwrap_or_default()
    }

    /// Records of this run it gets once more.
    #[must_use]
    pub fn again(&self) -> u64 {
        let state = self.shared.lock();
        state.again.get(self.sink).copied().unwrap_or_default()
    }

    /// Waits for records and appends up to `limit` of them, oldest first. Adds
    /// none only when the store has ended and everything was given out.
    ///
    /// # Errors
    /// The journal cannot be read for now.
    pub async fn receive(
        &mut self,
        limit: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<(), StoreError> {
        let limit = limit.max(1);
        loop {
            self.committed.mark_unchanged();
            // Looked at first: what came before the end is there then.
            let closed = self.shared.closed.load(Ordering::Acquire);
            match self.take_from_memory(limit, into) {
                Place::Found => return Ok(()),
                Place::End => {
                    if closed {
                        return Ok(());
                    }
                    // An error means that the store is gone: looked at above.
                    if self.committed.changed().await.is_err() {
                        return Ok(());
                    }
                }
                Place::Older => {
                    if self.take_from_files(limit, into)? {
                        return Ok(());
                    }
                    // Long stretches for other sinks: let others have a turn.
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// As [`Outbox::receive`], but adds none when there are none for now. Long
    /// stretches for other sinks are passed over first.
    ///
    /// # Errors
    /// The journal cannot be read for now.
    pub async fn receive_available(
        &mut self,
        limit: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<(), StoreError> {
        loop {
            match self.take_from_memory(limit.max(1), into) {
                Place::Found | Place::End => return Ok(()),
                Place::Older => {
                    if self.take_from_files(limit.max(1), into)? {
                        return Ok(());
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    /// As [`Outbox::receive_available`], but does not pass over long stretches
    /// for other sinks: whoever has something else to do comes back.
    ///
    /// # Errors
    /// The journal cannot be read for now.
    pub fn receive_at_hand(
        &mut self,
        limit: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<(), StoreError> {
        for _ in 0..STEPS_AT_HAND {
            match self.take_from_memory(limit.max(1), into) {
                Place::Found | Place::End => return Ok(()),
                Place::Older => {
                    if self.take_from_files(limit.max(1), into)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// What is there without waiting, from memory.
    fn take_from_memory(&mut self, limit: usize, into: &mut Vec<Delivery>) -> Place {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let Some(progress) = state.progress.get(self.sink) else {
            return Place::End;
        };
        // Records were dropped before we came to them.
        if progress.cursor > self.at {
            self.at = progress.cursor;
            self.walk = None;
            self.read = None;
        }
        if self.at.sequence < state.window_from {
            self.behind = true;
            return Place::Older;
        }
        if std::mem::take(&mut self.behind) {
            // When we fall behind again, it will be elsewhere.
            self.walk = None;
            self.read = None;
            self.account_before_window(&mut state);
        }
        if self.at.sequence > state.last {
            self.pass_over(&mut state);
            return Place::End;
        }
        let before = into.len();
        let mut places = Vec::new();
        let first = state
            .window
            .partition_point(|frame| frame.sequence < self.at.sequence);
        let mut full = false;
        for frame in state.window.iter().skip(first) {
            let skip = if frame.sequence == self.at.sequence {
                self.at.record
            } else {
                0
            };
            for (record, outgoing) in (0..)
                .zip(&frame.records)
                .skip(usize::try_from(skip).unwrap_or(usize::MAX))
            {
                if outgoing.sinks >> self.sink & 1 == 0 {
                    continue;
                }
                full = into.len() - before == limit;
                if full {
                    break;
                }
                into.push(outgoing.delivery.clone());
                self.at = Cursor {
                    sequence: frame.sequence,
                    record: record + 1,
                };
                places.push(self.at);
            }
            if full {
                break;
            }
            self.at = Cursor {
                sequence: frame.sequence + 1,
                record: 0,
            };
        }
        if !full {
            self.at = Cursor {
                sequence: state.last + 1,
                record: 0,
            };
        }
        if !places.is_empty() {
            state.give(self.sink, places);
            return Place::Found;
        }
        self.pass_over(&mut state);
        Place::End
    }

    /// Nothing before our place is for us any more: it need not be kept.
    fn pass_over(&self, state: &mut State) {
        let free_hands = state.given.get(self.sink).is_none_or(VecDeque::is_empty);
        if let Some(progress) = state.progress.get_mut(self.sink)
            && free_hands
        {
            progress.cursor = self.at;
        }
    }

    /// The same where the records in memory begin.
    fn account_before_window(&self, state: &mut State) {
        let in_window = state
            .window
            .iter()
            .filter(|frame| frame.sequence >= self.at.sequence)
            .flat_map(|frame| &frame.records)
            .filter(|record| record.sinks >> self.sink & 1 == 1)
            .count();
        let offered = state
            .progress
            .get(self.sink)
            .map_or(0, |progress| progress.offered);
        self.account(state, offered.saturating_sub(in_window as u64));
    }

    /// `before` records were offered before our place.
    fn account(&self, state: &mut State, before: u64) {
        let hands = state.given.get(self.sink).into_iter().flatten();
        let held = hands.filter(|one| one.fate != Fate::OfferedAgain).count();
        let Some(progress) = state.progress.get_mut(self.sink) else {
            return;
        };
        let seen = progress.ended() + held as u64;
        let missing = before.saturating_sub(seen);
        if missing > 0 {
            tracing::error!(
                sink = self.name,
                missing,
                "records were lost to damage of the journal"
            );
            progress.lost.add(LossReason::Damaged, missing);
            state.progress_changed = true;
        }
    }

    /// Says what became of the oldest records given out.
    pub fn settle(&mut self, settled: Settled) {
        let mut state = self.shared.lock();
        let Some(given) = state.given.get_mut(self.sink) else {
            return;
        };
        let mut last = None;
        let (mut finished, mut again) = (0, 0);
        for one in given.drain(..settled.finished.min(given.len())) {
            last = Some(one.after);
            // Those offered again are counted when they come again.
            match one.fate {
                Fate::OfferedAgain => again += 1,
                Fate::Kept | Fate::Dropped(_) => finished += 1,
            }
        }
        let (Some(last), Some(progress)) = (last, state.progress.get_mut(self.sink)) else {
            return;
        };
        // What is older than these may have been dropped meanwhile.
        progress.cursor = progress.cursor.max(last);
        let filtered = (settled.filtered as u64).min(finished);
        let rejected = (settled.rejected as u64).min(finished - filtered);
        progress.filtered += filtered;
        progress.rejected += rejected;
        progress.delivered += finished - filtered - rejected;
        state.progress_changed = true;
        if let Some(all) = state.again.get_mut(self.sink) {
            *all += again;
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.shared.lock().let_go(self.sink);
    }
}

enum Found {
    /// A frame before our place.
    Before,
    /// One with records, of which some may be for us.
    Records(FromFile),
    /// One without records for any sink, or without us.
    NotForUs(u64),
    /// The segment holds no more.
    End,
}

enum Place {
    Found,
    End,
    Older,
}

fn decode(sequence: u64, payload: &[u8], name: &str) -> Option<FromFile> {
    let summary = segment::summary(payload);
    let at = summary.sinks.iter().position(|sink| sink == name)?;
    let bit = u32::try_from(at).ok()?;
    if summary
        .addressees
        .is_some_and(|sinks| sinks >> bit & 1 == 0)
    {
        return None;
    }
    let mut records = Vec::new();
    for (_, reader) in sections(payload).filter(|(tag, _)| *tag == batch::RECORDS) {
        records = read_records(reader)?;
    }
    if records.is_empty() {
        return None;
    }
    Some(FromFile {
        sequence,
        records,
        bit,
        offered: summary.progress.get(at)?.offered,
    })
}
