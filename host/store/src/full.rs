//! A disk that is full or fails: what is tried, and what is said of it.
//!
//! Nothing is written but on top of the room set aside (`reserve`), so that
//! there is always room to make room: to bring the database up to the journal,
//! and to write down how far the sinks came before segments go. Where that
//! does not help, the batches wait, and everybody upstream behind them.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::checkpoint::{self, Step};
use crate::commit::{Worker, Written};
use crate::error::StoreError;
use crate::room;

/// How long after it was last full a disk is called full.
const CALLED_FULL: Duration = Duration::from_secs(10);

/// Whether sinks may lose records to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shedding {
    Allowed,
    /// Nothing is urgent enough.
    Forbidden,
}

impl Worker {
    /// Writes a group once, on top of the room set aside.
    pub(crate) fn attempt_with_reserve(
        &mut self,
        group: &[Box<Batch>],
    ) -> Result<Written, StoreError> {
        self.reserve.take()?;
        self.attempt(group, true)
    }

    /// Makes room on a full disk. Whether there is some now.
    pub(crate) fn make_room(&mut self, shedding: Shedding) -> bool {
        let made = self.try_to_make_room(shedding);
        if made && self.last_full.is_none() {
            tracing::warn!(
                path = %self.shared.directory.display(),
                "the disk is full; room is made by removing what nobody needs and what sinks may lose"
            );
        }
        self.last_full = Some(Instant::now());
        self.shared.disk_full.store(true, Ordering::Release);
        made
    }

    fn try_to_make_room(&mut self, shedding: Shedding) -> bool {
        loop {
            let before = self.shared.lock().journal_bytes();
            let parked = self.oldest_parked();
            if let Some(until) = room::database_is_behind(&self.shared) {
                self.reserve.release();
                let step = Step::within(self.reserve.bytes());
                let brought = checkpoint::bring_up(&self.index, &self.shared, until, step);
                self.say_quietly(brought);
            }
            if shedding == Shedding::Allowed {
                let wanted = self.buffer.len() as u64 + self.reserve.bytes();
                let shed = room::shed(&self.shared, wanted.max(self.segment_bytes / 4), parked);
                self.say_quietly(shed);
            }
            let needed = room::needed_from(&self.shared, parked);
            if !room::has_before(&self.shared, needed) {
                let reserved = self.reserve.take();
                self.say_quietly(reserved);
                return false;
            }
            self.reserve.release();
            // When not even this can be written, records go all the same: they
            // were to be lost, or were delivered.
            let noted = self.note_progress(true);
            self.say_quietly(noted);
            self.remove_before(needed);
            let after = self.shared.lock().journal_bytes();
            let reserved = self.reserve.take();
            if after >= before {
                return false;
            }
            if reserved.is_ok() {
                return true;
            }
        }
    }

    /// What goes wrong while the trouble is known already.
    fn say_quietly(&self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            tracing::debug!(%error, "room cannot be made on the disk");
        }
    }

    /// The disk refuses, and there is nothing to be done about it. Said once.
    pub(crate) fn note_trouble(&self, error: &StoreError) {
        if self.shared.trouble().is_none() {
            tracing::error!(%error, "the journal cannot be written; nothing is acknowledged until it can");
        }
        self.shared.set_trouble(Some(error.to_string()));
    }

    /// The disk does what it should.
    pub(crate) fn note_success(&mut self) {
        if self.shared.trouble().is_some() {
            tracing::info!("the journal can be written again");
            self.shared.set_trouble(None);
        }
        let past = |last: Instant| last.elapsed() > CALLED_FULL;
        if self.last_full.is_some_and(past) && self.reserve.take().is_ok() {
            tracing::info!("the disk has room again");
            self.last_full = None;
            self.shared.disk_full.store(false, Ordering::Release);
        }
    }
}
