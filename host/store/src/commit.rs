//! The committing thread: takes batches, writes them as frames of one sync,
//! and only then says so.
//!
//! What arrives during a sync shares the next one. A disk that refuses is
//! tried again until it gives in; meanwhile the batches wait here, in order,
//! and everybody upstream waits behind them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use sidewatch_event::Origin;

use crate::batch::{self, Batch, Scratch, section};
use crate::error::StoreError;
use crate::frame;
use crate::full::Shedding;
use crate::index::Index;
use crate::journal::Journal;
use crate::progress::Progress;
use crate::reserve::Reserve;
use crate::room;
use crate::segment::Segment;
use crate::shared::{Committed, Shared};

/// Records under one sync after which no further batch joins.
const GROUP_RECORDS: usize = 4096;
/// Batches under one sync: large records make small batches.
const GROUP_BATCHES: usize = 16;
/// How often progress of the sinks is noted when nothing is committed.
const IDLE: Duration = Duration::from_millis(50);
/// Longest wait between two attempts on a disk that refuses.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How often room is made for one group before its writers wait.
const MOST_ROUNDS: u32 = 64;
/// How long a refusing disk is still tried once shutdown has begun.
const LAST_ATTEMPTS: Duration = Duration::from_secs(3);
/// Files whose positions are kept; with more, the longest untouched go, but
/// none that is still followed.
pub(crate) const POSITIONS: usize = 10_000;

/// The committing thread has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store has ended")]
pub struct Closed;

/// Where batches are handed in. The store ends when it is dropped.
#[derive(Debug)]
pub struct Committer {
    pub(crate) batches: SyncSender<Box<Batch>>,
}

impl Committer {
    /// Hands a batch in; waits while many are being committed.
    ///
    /// # Errors
    /// The store ended; the batch is lost, and was never acknowledged.
    pub fn commit(&self, batch: Box<Batch>) -> Result<(), Closed> {
        self.batches.send(batch).map_err(|_| Closed)
    }
}

/// Called with a batch's receipt once it is in safety.
pub(crate) type OnCommit = Box<dyn FnMut(u64) + Send>;

pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) journal: Journal,
    pub(crate) segment_bytes: u64,
    pub(crate) window_bytes: usize,
    /// Where reading goes on by file, with the frame it last changed in.
    pub(crate) positions: HashMap<u128, (Origin, u64)>,
    /// With more of them, those that can go are looked for.
    pub(crate) most_positions: usize,
    pub(crate) parked: VecDeque<(u64, u128)>,
    pub(crate) live: HashSet<u128>,
    pub(crate) checkpoints: SyncSender<u64>,
    pub(crate) index: Arc<Index>,
    pub(crate) reserve: Reserve,
    pub(crate) next: u64,
    /// Records taken to be offered again.
    pub(crate) carried: u64,
    /// Records at the end of a group's first batch that are offered again.
    pub(crate) in_group: usize,
    /// What the last frame in safety says of the sinks.
    pub(crate) accepted: Vec<Progress>,
    pub(crate) on_commit: OnCommit,
    pub(crate) scratch: Scratch,
    pub(crate) buffer: Vec<u8>,
    /// When the disk was last full.
    pub(crate) last_full: Option<Instant>,
    /// The disk refused when nothing was urgent: it is left alone until then.
    pub(crate) not_before: Option<Instant>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Worker")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

/// What an attempt to write a group made.
pub(crate) struct Written {
    segment: Option<Segment>,
    length: u64,
    sizes: Vec<usize>,
    first: u64,
    progress: Vec<Progress>,
    /// What was given up by then, if the frames were forced to the disk.
    given_up: Option<u64>,
}

impl Worker {
    pub(crate) fn run(mut self, batches: &Receiver<Box<Batch>>) {
        let mut group = Vec::new();
        loop {
            match batches.recv_timeout(IDLE) {
                Ok(batch) => {
                    let mut records = batch.records.len();
                    group.push(batch);
                    while records < GROUP_RECORDS
                        && group.len() < GROUP_BATCHES
                        && let Ok(batch) = batches.try_recv()
                    {
                        records += batch.records.len().max(1);
                        group.push(batch);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if !self.work(&mut group) {
                break;
            }
        }
        // Dropping the receiver refuses whoever still hands in.
        self.shared.closing.store(true, Ordering::Release);
        if let Err(error) = self.note_progress(true) {
            tracing::warn!(%error, "the progress of the sinks cannot be written; some records will be delivered again");
        }
        self.shared.closed.store(true, Ordering::Release);
        let last = self.shared.lock().last;
        self.shared.committed.send_replace(last);
    }

    /// Commits a group, or notes progress when there is none. `false` when the
    /// store has to end with the group uncommitted.
    fn work(&mut self, group: &mut Vec<Box<Batch>>) -> bool {
        if !group.is_empty() && !self.wait_for_room() {
            return false;
        }
        if group.is_empty() {
            self.tidy();
            return true;
        }
        self.take_carried(group);
        let started = Instant::now();
        let Some(written) = self.write_until_done(group) else {
            return false;
        };
        let elapsed = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared
            .commit_nanoseconds
            .fetch_add(elapsed, Ordering::Relaxed);
        self.accept(group, written);
        if let Err(error) = self.clear_away() {
            tracing::debug!(%error, "journal segments that are no longer needed stay for now");
        }
        true
    }

    /// Makes room where policies say so; waits where they say that. `false`
    /// when shutdown came meanwhile.
    fn wait_for_room(&self) -> bool {
        loop {
            match room::enforce(&self.shared) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(%error, "no room can be made in the journal");
                    break;
                }
            }
            self.shared.blocked.store(true, Ordering::Release);
            if self.shared.closing.load(Ordering::Acquire) {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.shared.blocked.store(false, Ordering::Release);
        true
    }

    fn write_until_done(&mut self, group: &mut Vec<Box<Batch>>) -> Option<Written> {
        let mut wait = Duration::from_millis(10);
        let mut closing_since = None;
        let mut rounds = 0;
        loop {
            let error = match self.attempt_with_reserve(group) {
                Ok(written) => {
                    self.note_success();
                    return Some(written);
                }
                Err(error) => error,
            };
            self.leave_carried(group);
            let made = error.is_full() && rounds < MOST_ROUNDS && self.make_room(Shedding::Allowed);
            rounds = if made { rounds + 1 } else { 0 };
            if !made {
                self.note_trouble(&error);
            }
            if !made && self.shared.closing.load(Ordering::Acquire) {
                let since = *closing_since.get_or_insert_with(Instant::now);
                if since.elapsed() > LAST_ATTEMPTS {
                    return None;
                }
            }
            // What was shed, even if it did not help, goes with the rest.
            self.take_carried(group);
            if made {
                continue;
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Writes the group's frames once.
    pub(crate) fn attempt(
        &mut self,
        group: &[Box<Batch>],
        sync: bool,
    ) -> Result<Written, StoreError> {
        self.buffer.clear();
        let mut written = {
            let state = self.shared.lock();
            Written {
                segment: None,
                length: 0,
                sizes: Vec::with_capacity(group.len()),
                first: self.next,
                progress: state.progress_to_write(),
                given_up: sync.then_some(state.given_up),
            }
        };
        let replay_from = self.replay_from();
        if self.journal.needs_segment(self.segment_bytes) {
            written.segment = Some(self.journal.begin(self.next)?);
            let start = frame::begin(&mut self.buffer);
            // A write may be torn after this frame: that findings were moved
            // is told by the one that holds them.
            let accepted = std::mem::take(&mut self.accepted);
            self.summarise(&accepted, replay_from);
            self.accepted = accepted;
            let positions = self.positions.values().map(|(position, _)| position);
            batch::put_positions(&mut self.buffer, positions);
            frame::finish(&mut self.buffer, start, self.next);
            written.first += 1;
        }
        for (sequence, batch) in (written.first..).zip(group) {
            let start = frame::begin(&mut self.buffer);
            for outgoing in &batch.records {
                for (bit, progress) in written.progress.iter_mut().enumerate() {
                    progress.offered += (outgoing.sinks >> bit) & 1;
                }
            }
            for (sink, reason, records) in &batch.told {
                let of_sinks = self.shared.policies.iter().zip(&mut written.progress);
                for (_, progress) in of_sinks.filter(|(policy, _)| policy.name == *sink) {
                    progress.told.add(*reason, *records);
                }
            }
            self.summarise(&written.progress, replay_from);
            batch.write(&mut self.scratch, &mut self.buffer);
            frame::finish(&mut self.buffer, start, sequence);
            written.sizes.push(self.buffer.len() - start);
        }
        written.length = self.journal.append(&self.buffer, sync)?;
        Ok(written)
    }

    fn summarise(&mut self, progress: &[Progress], replay_from: u64) {
        let names = self
            .shared
            .policies
            .iter()
            .map(|policy| policy.name.as_str());
        section(&mut self.buffer, batch::SINKS, |out| {
            batch::put_sinks(out, names)
        });
        section(&mut self.buffer, batch::PROGRESS, |out| {
            progress.iter().for_each(|progress| progress.write(out));
        });
        section(&mut self.buffer, batch::LOSSES, |out| {
            progress
                .iter()
                .for_each(|progress| progress.write_losses(out));
        });
        section(&mut self.buffer, batch::REPLAY_FROM, |out| {
            sidewatch_event::wire::put_integer(out, replay_from);
        });
        let group = self.next;
        section(&mut self.buffer, batch::GROUP, |out| {
            sidewatch_event::wire::put_integer(out, group);
        });
    }

    /// The oldest frame that is needed for states or waiting halves.
    fn replay_from(&self) -> u64 {
        (self.shared.applied.load(Ordering::Acquire) + 1).min(self.oldest_parked())
    }

    /// The frames are in safety: everybody may know.
    fn accept(&mut self, group: &mut Vec<Box<Batch>>, written: Written) {
        let mut sequence = written.first;
        let last = group.iter().any(|batch| batch.last);
        let mut receipts = Vec::with_capacity(group.len());
        let mut frames = Vec::with_capacity(group.len());
        for (batch, bytes) in group.drain(..).zip(written.sizes) {
            self.take_over(&batch, sequence);
            receipts.push(batch.receipt);
            frames.push(Committed {
                sequence,
                records: batch.records,
                bytes,
            });
            sequence += 1;
        }
        self.next = sequence;
        let in_group = std::mem::take(&mut self.in_group);
        if in_group > 0 {
            let carried_in = &self.shared.carried_in;
            carried_in.store(written.first, Ordering::Release);
        }
        self.carried += in_group as u64;
        self.accepted.clone_from(&written.progress);
        let new_segment = written.segment.is_some();
        let records = frames.iter().flat_map(|frame| &frame.records);
        let addressees = records.fold(0, |all, one| all | one.sinks);
        {
            let mut state = self.shared.lock();
            state.segments.extend(written.segment);
            if let Some(open) = state.segments.back_mut() {
                open.bytes = written.length;
                open.addressees |= addressees;
            }
            // Sinks have gone on meanwhile; only what was offered and told is
            // ours.
            for (progress, written) in state.progress.iter_mut().zip(&written.progress) {
                progress.offered = written.offered;
                progress.told = written.told;
            }
            for frame in frames {
                state.publish(frame, self.window_bytes);
            }
            state.last = sequence - 1;
        }
        self.shared.carried.store(self.carried, Ordering::Release);
        if let Some(given_up) = written.given_up {
            self.shared.given_up.store(given_up, Ordering::Release);
        }
        self.shared.committed.send_replace(sequence - 1);
        for receipt in receipts.into_iter().filter(|receipt| *receipt > 0) {
            (self.on_commit)(receipt);
        }
        // A busy one will be asked again with the next segment.
        let before = written.first.saturating_sub(1);
        if new_segment && self.checkpoints.try_send(before).is_err() {
            tracing::debug!("the database of states is behind");
        }
        if last {
            self.shared.closed.store(true, Ordering::Release);
            self.shared.committed.send_replace(sequence - 1);
        }
    }

    /// Remembers what the next segment has to say of a batch.
    fn take_over(&mut self, batch: &Batch, sequence: u64) {
        for position in &batch.positions {
            self.positions.insert(position.file, (*position, sequence));
        }
        if self.positions.len() > self.most_positions {
            let mut touched: Vec<u64> = self
                .positions
                .values()
                .map(|(_, touched)| *touched)
                .collect();
            let too_many = touched.len() - POSITIONS / 10 * 9;
            let (_, oldest, _) = touched.select_nth_unstable(too_many);
            let oldest = *oldest;
            let index = &self.index;
            self.positions
                .retain(|file, (_, touched)| *touched > oldest || index.is_followed(*file));
            // Where all are followed none goes: not looked at with every batch.
            self.most_positions = POSITIONS.max(self.positions.len() + POSITIONS / 10);
        }
        for id in batch.parked() {
            self.parked.push_back((sequence, *id));
            self.live.insert(*id);
        }
        for id in &batch.unparked {
            self.live.remove(id);
        }
        while self
            .parked
            .front()
            .is_some_and(|(_, id)| !self.live.contains(id))
        {
            self.parked.pop_front();
        }
    }

    /// Writes down how far the sinks came, if that is news, with what is
    /// offered again.
    pub(crate) fn note_progress(&mut self, sync: bool) -> Result<(), StoreError> {
        let (news, awaited, carried) = {
            let mut state = self.shared.lock();
            let news = std::mem::take(&mut state.progress_changed);
            let given_up = self.shared.given_up.load(Ordering::Acquire);
            let awaited = state.given_up > given_up || !state.carried.is_empty();
            (news, awaited, std::mem::take(&mut state.carried))
        };
        // Somebody waits for it to be in safety.
        let sync = sync || awaited;
        if !news && !sync {
            return Ok(());
        }
        self.in_group = carried.len();
        let mut group = vec![Box::new(Batch::of(carried, 0))];
        match self.attempt(&group, sync) {
            Ok(written) => {
                self.accept(&mut group, written);
                Ok(())
            }
            Err(error) => {
                // At worst records are delivered again, with the same ids.
                self.leave_carried(&mut group);
                self.shared.lock().progress_changed = true;
                Err(error)
            }
        }
    }

    /// Notes progress while nothing is committed.
    fn tidy(&mut self) {
        if self.not_before.is_some_and(|then| Instant::now() < then) {
            return;
        }
        self.not_before = None;
        let noted = self.note_progress(false).and_then(|()| self.clear_away());
        match noted {
            Ok(()) => self.note_success(),
            // Whether anything has to be refused a commit will show: it may
            // shed, and perhaps none comes.
            Err(error) if error.is_full() => {
                if !self.make_room(Shedding::Forbidden) {
                    self.not_before = Some(Instant::now() + LONGEST_WAIT);
                }
            }
            Err(error) => {
                self.note_trouble(&error);
                self.not_before = Some(Instant::now() + LONGEST_WAIT);
            }
        }
    }

    /// Removes segments nobody needs, once the disk knows that: after a power
    /// loss a sink must not be sent back to records that are gone.
    fn clear_away(&mut self) -> Result<(), StoreError> {
        // Sinks go on meanwhile; what they finish then is not on the disk yet.
        let needed = room::needed_from(&self.shared, self.oldest_parked());
        if room::has_before(&self.shared, needed) {
            self.note_progress(true)?;
            self.remove_before(needed);
        }
        Ok(())
    }

    pub(crate) fn oldest_parked(&self) -> u64 {
        let oldest = self.parked.front();
        oldest.map_or(u64::MAX, |(sequence, _)| *sequence)
    }

    /// Removes the segments that hold nothing from this frame on.
    pub(crate) fn remove_before(&self, needed: u64) {
        for segment in room::take_before(&self.shared, needed) {
            if let Err(error) = self.journal.remove(&segment) {
                tracing::warn!(%error, "a journal segment that is no longer needed stays");
            }
        }
    }
}
