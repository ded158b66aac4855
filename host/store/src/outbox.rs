//! One sink's end of the journal: gives out its records in order, from memory
//! while the sink keeps up and from the files when it does not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sidewatch_event::Delivery;
use tokio::sync::watch;

use crate::batch::{self, Outgoing, read_records, sections};
use crate::error::StoreError;
use crate::progress::{Cursor, Progress};
use crate::segment;
use crate::shared::{Shared, State};

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
    /// Places after the records given out and not settled.
    given: VecDeque<Cursor>,
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
            given: VecDeque::new(),
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
            match self.take_from_memory(limit, into) {
                Place::Found => return Ok(()),
                Place::End => {
                    if self.shared.closed.load(Ordering::Acquire) {
                        return Ok(());
                    }
                    // An error means that the store is gone: looked at above.
                    if self.committed.changed().await.is_err() {
                        return Ok(());
                    }
                }
                Place::Older => {
                    if self.take_from_file(limit, into)? {
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
                    if self.take_from_file(limit.max(1), into)? {
                        return Ok(());
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
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
                self.given.push_back(self.at);
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
        if into.len() > before {
            state.set_given(self.sink, self.given.len(), self.at);
            return Place::Found;
        }
        self.pass_over(&mut state);
        Place::End
    }

    /// Nothing before our place is for us any more: it need not be kept.
    fn pass_over(&self, state: &mut State) {
        if let Some(progress) = state.progress.get_mut(self.sink)
            && self.given.is_empty()
        {
            progress.cursor = self.at;
        }
    }

    /// Reads on in the files. Whether anything was given out.
    fn take_from_file(
        &mut self,
        limit: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<bool, StoreError> {
        if self
            .read
            .as_ref()
            .is_none_or(|read| read.sequence != self.at.sequence)
            && !self.read_frame()?
        {
            return Ok(false);
        }
        let Some(read) = &self.read else {
            return Ok(false);
        };
        let before = into.len();
        let skip = usize::try_from(self.at.record).unwrap_or(usize::MAX);
        let mut full = false;
        for (record, outgoing) in (0..).zip(&read.records).skip(skip) {
            if outgoing.sinks >> read.bit & 1 == 0 {
                continue;
            }
            full = into.len() - before == limit;
            if full {
                break;
            }
            into.push(outgoing.delivery.clone());
            self.at.record = record + 1;
            self.given.push_back(self.at);
        }
        if !full {
            self.at = Cursor {
                sequence: read.sequence + 1,
                record: 0,
            };
            self.read = None;
        }
        if into.len() > before {
            let mut state = self.shared.lock();
            state.set_given(self.sink, self.given.len(), self.at);
        }
        Ok(into.len() > before)
    }

    /// Reads the frame at our place, or the first one after it.
    fn read_frame(&mut self) -> Result<bool, StoreError> {
        // All frames before this one were written before we look.
        let window_from = self.shared.lock().window_from;
        let name = std::mem::take(&mut self.name);
        let found = self.next_frame(&name, window_from);
        self.name = name;
        match found? {
            Found::Before => Ok(false),
            Found::End => {
                self.walk = None;
                let next = self
                    .following_segment()
                    .map_or(window_from, |next| next.min(window_from));
                self.go_to(next.max(self.at.sequence));
                Ok(false)
            }
            Found::NotForUs(sequence) => {
                self.go_to(sequence + 1);
                Ok(false)
            }
            Found::Records(read) => {
                if read.sequence > self.at.sequence {
                    self.go_to(read.sequence);
                }
                self.account_for_damage(&read);
                self.read = Some(read);
                Ok(true)
            }
        }
    }

    fn go_to(&mut self, sequence: u64) {
        self.at = Cursor {
            sequence,
            record: 0,
        };
    }

    fn next_frame(&mut self, name: &str, window_from: u64) -> Result<Found, StoreError> {
        let directory = self.shared.directory.clone();
        let at = self.at.sequence;
        if self.is_segment_for_others() {
            return Ok(Found::End);
        }
        let Some((walk, end)) = self.walk_at()? else {
            return Ok(Found::End);
        };
        let end = end.min(window_from);
        let next = walk.frames.next();
        Ok(match next.map_err(crate::error::at("read", &directory))? {
            Some(frame) if frame.sequence < at => Found::Before,
            Some(frame) if frame.sequence < end => decode(frame.sequence, frame.payload, name)
                .map_or(Found::NotForUs(frame.sequence), Found::Records),
            _ => Found::End,
        })
    }

    /// Whether the segment we are in holds nothing for us.
    fn is_segment_for_others(&self) -> bool {
        let state = self.shared.lock();
        let after = state
            .segments
            .partition_point(|segment| segment.first <= self.at.sequence);
        let segment = after.checked_sub(1).and_then(|at| state.segments.get(at));
        segment.is_some_and(|segment| segment.addressees >> self.sink & 1 == 0)
    }

    /// First frame of the segment after ours.
    fn following_segment(&self) -> Option<u64> {
        let state = self.shared.lock();
        let after = state
            .segments
            .partition_point(|segment| segment.first <= self.at.sequence);
        state.segments.get(after).map(|segment| segment.first)
    }

    /// The walk over the segment our place is in, and where that segment ends
    /// by now: another may have been begun since the walk was.
    fn walk_at(&mut self) -> Result<Option<(&mut OwnedWalk, u64)>, StoreError> {
        let (segment, end) = {
            let state = self.shared.lock();
            let after = state
                .segments
                .partition_point(|segment| segment.first <= self.at.sequence);
            let segment = state.segments.get(after.saturating_sub(1)).cloned();
            let end = state
                .segments
                .get(after.max(1))
                .map_or(u64::MAX, |next| next.first);
            (segment, end)
        };
        let Some(segment) = segment else {
            return Ok(None);
        };
        if self
            .walk
            .as_ref()
            .is_none_or(|walk| walk.first != segment.first)
        {
            self.walk = None;
            let path = segment::path(&self.shared.directory, segment.first);
            match std::fs::File::open(&path) {
                Ok(file) => {
                    self.walk = Some(OwnedWalk {
                        frames: crate::frame::FrameReader::new(file),
                        first: segment.first,
                    });
                }
                // Dropped meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(crate::error::at("open", &path)(error)),
            }
        }
        Ok(self.walk.as_mut().map(|walk| (walk, end)))
    }

    /// Frames that could not be read are missing between what we had and what
    /// this frame says was offered.
    fn account_for_damage(&self, read: &FromFile) {
        if self.at.record > 0 {
            return;
        }
        let in_frame = read
            .records
            .iter()
            .filter(|it| it.sinks >> read.bit & 1 == 1)
            .count();
        self.account(
            &mut self.shared.lock(),
            read.offered.saturating_sub(in_frame as u64),
        );
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
        let Some(progress) = state.progress.get_mut(self.sink) else {
            return;
        };
        let seen = progress.offered - progress.waiting() + self.given.len() as u64;
        let missing = before.saturating_sub(seen);
        if missing > 0 {
            tracing::error!(
                sink = self.name,
                missing,
                "records were lost to damage of the journal"
            );
            progress.damaged += missing;
            state.progress_changed = true;
        }
    }

    /// Says what became of the oldest records given out.
    pub fn settle(&mut self, settled: Settled) {
        let finished = settled.finished.min(self.given.len());
        let Some(last) = self.given.drain(..finished).next_back() else {
            return;
        };
        let mut state = self.shared.lock();
        state.set_given(self.sink, self.given.len(), self.at);
        let Some(progress) = state.progress.get_mut(self.sink) else {
            return;
        };
        // What is older than these may have been dropped meanwhile.
        progress.cursor = progress.cursor.max(last);
        let finished = finished as u64;
        let filtered = (settled.filtered as u64).min(finished);
        let rejected = (settled.rejected as u64).min(finished - filtered);
        progress.filtered += filtered;
        progress.rejected += rejected;
        progress.delivered += finished - filtered - rejected;
        state.progress_changed = true;
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
