//! Bringing the database up to the journal, in the background.
//!
//! Reads the frames since the last time, keeps the last state of each key and
//! writes those in one transaction. A state that changed a thousand times in
//! between is written once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use crate::batch::{self, read_states, sections};
use crate::error::StoreError;
use crate::index::{Changes, Index};
use crate::segment::{Segment, Walk};
use crate::shared::Shared;

/// Bytes of changed states gathered before they are written.
const GATHERED: usize = 16 << 20;

/// What a frame changed.
pub(crate) enum Change<'a> {
    /// A rule's state under a key; none when it was forgotten.
    State(&'a str, u64, Option<batch::StoredState<'a>>),
    /// Where reading of a file goes on.
    Position(u128, u64),
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
                if tag == batch::POSITIONS {
                    batch::read_positions(reader, |file, offset| {
                        tell(sequence, Change::Position(file, offset));
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

/// Brings the database up to the frame `until`.
pub(crate) fn bring_up(index: &Index, shared: &Shared, until: u64) -> Result<(), StoreError> {
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
            if bytes > GATHERED && sequence > last && written.is_ok() {
                // Complete up to the frame before this one.
                written = index.apply(&gathered, sequence - 1);
                gathered = Changes::default();
                bytes = 0;
            }
            last = sequence;
            let (rule, key, state) = match change {
                Change::State(rule, key, state) => (rule, key, state),
                Change::Position(file, offset) => {
                    gathered.positions.insert(file, offset);
                    return;
                }
            };
            let state = state.map(|state| {
                let mut encoded = Vec::with_capacity(state.bytes.len() + 16);
                state.write(&mut encoded);
                encoded
            });
            bytes += 64 + state.as_ref().map_or(0, Vec::len);
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
    while let Ok(mut until) = requests.recv() {
        until = requests.try_iter().fold(until, u64::max);
        if let Err(error) = bring_up(index, shared, until) {
            // The journal is kept until it works.
            tracing::warn!(%error, "the database of states cannot be brought up to date for now");
        }
    }
}
