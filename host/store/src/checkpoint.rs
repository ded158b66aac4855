//! Bringing the database up to the journal, in the background.
//!
//! Reads the frames since the last time, keeps the last state of each key and
//! writes those in one transaction. A state that changed a thousand times in
//! between is written once.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, PoisonError};

use sidewatch_event::Origin;

use crate::batch::{self, read_states, sections};
use crate::error::StoreError;
use crate::index::{Changes, Index};
use crate::segment::{Segment, Walk};
use crate::shared::Shared;

/// How much is gathered before it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Bytes after which it is written.
    pub(crate) bytes: usize,
    /// Bytes a change counts beside its own.
    pub(crate) each: usize,
}

impl Step {
    /// Few transactions: there is room.
    pub(crate) const LARGE: Self = Self {
        bytes: 16 << 20,
        each: 64,
    };

    /// No more pages at a time than there is room for. A change may need one
    /// of its own and part of those above it, and pages that were left can be
    /// used again only by the next transaction.
    pub(crate) fn within(room: u64) -> Self {
        Self {
            bytes: usize::try_from(room / 4).unwrap_or(usize::MAX),
            each: 8192,
        }
    }
}

/// What a frame changed.
pub(crate) enum Change<'a> {
    /// A rule's state under a key; none when it was forgotten.
    State(&'a str, u64, Option<batch::StoredState<'a>>),
    /// Where reading of a file goes on.
    Position(Origin),
}

/// Tells the changes of the frames after `applied` up to `until`, in order.
pub(crate) fn changes(
    directory: &Path,
    segments: Vec<Segment>,
    applied: u64,
    until: u64,
    mut tell: impl FnMut(u64, Change<'_>),
) -> Result<(), StoreError> {
    let mut walk = Walk::new(directory, segments, applied + 1);
    let mut more = true;
    while more {
        let mut done = false;
        more = walk.next(|sequence, payload| {
            done = sequence > until;
            if done {
                return;
            }
            for (tag, reader) in sections(payload) {
                if matches!(tag, batch::POSITIONS | batch::CONTENTS) {
                    batch::read_positions(tag, reader, |position| {
                        tell(sequence, Change::Position(position));
                    });
                } else if tag == batch::STATES {
                    // A section that cannot be read ends there; its frame is
                    // whole, so it was written so.
                    let _complete = read_states(reader, |rule, key, state| {
                        tell(sequence, Change::State(rule, key, state));
                    });
                }
            }
        })? && !done;
    }
    Ok(())
}

/// Brings the database up to the frame `until`, one caller at a time.
pub(crate) fn bring_up(
    index: &Index,
    shared: &Shared,
    until: u64,
    step: Step,
) -> Result<(), StoreError> {
    let _one = shared
        .bringing_up
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let applied = shared.applied.load(Ordering::Acquire);
    if applied >= until {
        return Ok(());
    }
    let segments = shared.lock().segments.iter().cloned().collect();
    let mut gathered = Changes::default();
    let mut bytes = 0;
    let mut written = Ok(());
    let mut last = applied;
    changes(
        &shared.directory,
        segments,
        applied,
        until,
        |sequence, change| {
            if written.is_err() {
                return;
            }
            if bytes > step.bytes && sequence > last {
                // Complete up to the frame before this one.
                written = index.apply(&gathered, sequence - 1);
                if written.is_ok() {
                    shared.applied.store(sequence - 1, Ordering::Release);
                }
                gathered = Changes::default();
                bytes = 0;
            }
            last = sequence;
            let (rule, key, state) = match change {
                Change::State(rule, key, state) => (rule, key, state),
                Change::Position(position) => {
                    gathered.positions.insert(position.file, position);
                    return;
                }
            };
            let state = state.map(|state| {
                let mut encoded = Vec::with_capacity(state.bytes.len() + 16);
                state.write(&mut encoded);
                encoded
            });
            bytes += step.each + state.as_ref().map_or(0, Vec::len);
            gathered.states.insert((rule.to_owned(), key), state);
        },
    )?;
    written?;
    index.apply(&gathered, until)?;
    shared.applied.store(until, Ordering::Release);
    Ok(())
}

/// Serves requests until nobody is left to ask: each is the frame to come up to.
pub(crate) fn run(index: &Arc<Index>, shared: &Arc<Shared>, requests: &Receiver<u64>) {
    let mut failing = false;
    while let Ok(mut until) = requests.recv() {
        until = requests.try_iter().fold(until, u64::max);
        match bring_up(index, shared, until, Step::LARGE) {
            Ok(()) => failing = false,
            // The journal is kept until it works.
            Err(error) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!(%error, "the database of states cannot be brought up to date for now; the journal is kept until it can");
            }
            Err(error) => {
                tracing::debug!(%error, "the database of states cannot be brought up to date");
            }
        }
    }
}
