//! Keeping the journal within its bounds: what a sink that is too far behind
//! loses, and which segments nobody needs any more.

use std::sync::atomic::Ordering;

use sidewatch_event::Delivery;

use crate::batch::{self, Outgoing, read_records, sections};
use crate::error::StoreError;
use crate::progress::{Cursor, WhenFull};
use crate::segment::{self, Segment, Walk};
use crate::shared::{Shared, State};

/// Bytes a finding takes beside its event, roughly.
const FINDING: usize = 1024;
/// Most bytes of findings kept at once: they go into one frame.
const MOST_KEPT: usize = 64 << 20;

/// What is to be done about a sink.
enum Excess {
    /// Nothing may be taken until it has caught up.
    Wait,
    /// Its records before this segment are to be dropped.
    DropBefore(u64),
}

/// Where a sink stands too far back, if it does. `pressed` asks for room
/// although the sink is within its bound: the disk is full.
fn excess(shared: &Shared, state: &State, sink: usize, pressed: bool) -> Option<Excess> {
    let policy = shared.policies.get(sink)?;
    let from = state.progress.get(sink)?.cursor.sequence;
    let held = state.bytes_from(from);
    if held <= policy.max_bytes && !pressed {
        return None;
    }
    if policy.when_full == WhenFull::Block {
        return (held > policy.max_bytes).then_some(Excess::Wait);
    }
    let begins = |segment: &&Segment| segment.first > from;
    let fits = |segment: &&Segment| pressed || state.bytes_from(segment.first) <= policy.max_bytes;
    let mut later = state.segments.iter().filter(begins);
    // The newest segment is always kept: it is being written.
    let target = later.find(fits).or_else(|| state.segments.back())?;
    (target.first > from).then_some(Excess::DropBefore(target.first))
}

/// Drops what has to be dropped. Whether a sink wants everybody to wait.
pub(crate) fn enforce(shared: &Shared, pressed: bool) -> Result<bool, StoreError> {
    let mut wait = false;
    for sink in 0..shared.policies.len() {
        let found = excess(shared, &shared.lock(), sink, pressed);
        match found {
            None => {}
            Some(Excess::Wait) => wait = true,
            Some(Excess::DropBefore(first)) => drop_before(shared, sink, first)?,
        }
    }
    Ok(wait)
}

fn drop_before(shared: &Shared, sink: usize, first: u64) -> Result<(), StoreError> {
    let Some(policy) = shared.policies.get(sink) else {
        return Ok(());
    };
    let (segments, from) = {
        let state = shared.lock();
        let Some(progress) = state.progress.get(sink) else {
            return Ok(());
        };
        let segments: Vec<_> = state.segments.iter().cloned().collect();
        (segments, progress.cursor)
    };
    let offered = offered_before(shared, &segments, first, &policy.name)?;
    let findings = if policy.when_full == WhenFull::DropByPriority {
        let dropped = shared.lock().bytes_between(from.sequence, first);
        let most = usize::try_from(dropped / 2)
            .unwrap_or(MOST_KEPT)
            .min(MOST_KEPT);
        findings(shared, &segments, from, first, &policy.name, most)?
    } else {
        Vec::new()
    };
    let mut state = shared.lock();
    // What the sink has in its hands is not dropped: it will say what became
    // of it.
    let (held, held_to) = state.given.get(sink).copied().unwrap_or_default();
    let Some(progress) = state.progress.get_mut(sink) else {
        return Ok(());
    };
    if progress.cursor.sequence >= first {
        return Ok(());
    }
    let ended = progress.offered - progress.waiting();
    let skipped = offered.map_or(0, |offered| offered.saturating_sub(ended + held));
    let from = progress.cursor.max(held_to);
    let kept: Vec<_> = findings
        .into_iter()
        .filter(|(cursor, _)| *cursor >= from)
        .map(|(_, delivery)| Outgoing {
            delivery,
            sinks: 1 << sink,
        })
        .collect();
    let moved = kept.len() as u64;
    progress.moved += moved;
    progress.dropped += skipped.saturating_sub(moved);
    progress.cursor = Cursor {
        sequence: first,
        record: 0,
    };
    tracing::warn!(
        sink = policy.name,
        dropped = skipped.saturating_sub(moved),
        findings_kept = moved,
        "too much waits for this sink; its oldest records were dropped"
    );
    state.progress_changed = true;
    state.carried_total += moved;
    state.carried.extend(kept);
    Ok(())
}

/// Records offered to a sink before the segment that begins with `first`.
fn offered_before(
    shared: &Shared,
    segments: &[Segment],
    first: u64,
    sink: &str,
) -> Result<Option<u64>, StoreError> {
    let mut offered = None;
    let mut walk = Walk::new(&shared.directory, segments.to_vec(), first);
    walk.next(|_, payload| {
        let summary = segment::summary(payload);
        let bit = summary.sinks.iter().position(|name| name == sink);
        offered = bit.and_then(|bit| Some(summary.progress.get(bit)?.offered));
    })?;
    Ok(offered)
}

/// Findings for a sink from a place up to a frame, the oldest first, because
/// the first reports of an incident matter most. At most `most` bytes of them:
/// keeping more would make no room.
fn findings(
    shared: &Shared,
    segments: &[Segment],
    from: Cursor,
    until: u64,
    sink: &str,
    most: usize,
) -> Result<Vec<(Cursor, Delivery)>, StoreError> {
    let mut found = Vec::new();
    let (mut bytes, mut more, mut full) = (0, true, false);
    let mut walk = Walk::new(&shared.directory, segments.to_vec(), from.sequence);
    while more {
        let mut done = false;
        more = walk.next(|sequence, payload| {
            done = sequence >= until;
            let summary = segment::summary(payload);
            let bit = summary.sinks.iter().position(|name| name == sink);
            for (_, reader) in sections(payload).filter(|(tag, _)| *tag == batch::RECORDS && !done)
            {
                for (record, outgoing) in (0..).zip(read_records(reader).unwrap_or_default()) {
                    if bit.is_none_or(|bit| outgoing.sinks & (1 << bit) == 0) {
                        continue;
                    }
                    let Delivery::Finding(finding) = &outgoing.delivery else {
                        continue;
                    };
                    bytes += FINDING + finding.event.heap_size();
                    if bytes > most {
                        full = true;
                        return;
                    }
                    found.push((Cursor { sequence, record }, outgoing.delivery));
                }
            }
        })? && !done
            && !full;
    }
    Ok(found)
}

/// The oldest frame somebody needs.
fn needed(shared: &Shared, state: &State, oldest_parked: u64) -> u64 {
    state
        .progress
        .iter()
        .map(|progress| progress.cursor.sequence)
        .chain([oldest_parked, shared.applied.load(Ordering::Acquire) + 1])
        .min()
        .unwrap_or(0)
}

/// Whether there are segments nobody needs.
pub(crate) fn has_unneeded(shared: &Shared, oldest_parked: u64) -> bool {
    let state = shared.lock();
    let needed = needed(shared, &state, oldest_parked);
    state
        .segments
        .get(1)
        .is_some_and(|next| next.first <= needed)
}

/// Takes the segments nobody needs out of the list and gives them.
pub(crate) fn unneeded(shared: &Shared, oldest_parked: u64) -> Vec<Segment> {
    let mut state = shared.lock();
    let needed = needed(shared, &state, oldest_parked);
    let mut gone = Vec::new();
    while let Some(next) = state.segments.get(1) {
        if next.first > needed {
            break;
        }
        gone.extend(state.segments.pop_front());
    }
    gone
}
