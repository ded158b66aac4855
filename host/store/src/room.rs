//! Keeping the journal within its bounds: what a sink that is too far behind
//! loses, and which segments nobody needs any more.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use sidewatch_event::Delivery;

use crate::batch::{self, Outgoing, read_records, sections};
use crate::error::StoreError;
use crate::lost::LossReason;
use crate::progress::{Cursor, WhenFull};
use crate::segment::{self, Segment, Walk};
use crate::shared::{Fate, Given, Losses, Shared, State};

/// Bytes a finding takes beside its event, roughly.
const FINDING: usize = 1024;
/// Most bytes of findings kept at once: they go into one frame.
const MOST_KEPT: usize = 64 << 20;
/// How often losses of a sink are said.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What is to be done about a sink.
enum Excess {
    /// Nothing may be taken until it has caught up.
    Wait,
    /// Its records before this segment are to be dropped.
    DropBefore(u64),
}

/// Where a sink stands too far back, if it does.
fn excess(shared: &Shared, state: &State, sink: usize) -> Option<Excess> {
    let policy = shared.policies.get(sink)?;
    let from = state.progress.get(sink)?.cursor.sequence;
    if state.bytes_from(from) <= policy.max_bytes {
        return None;
    }
    if policy.when_full == WhenFull::Block {
        return Some(Excess::Wait);
    }
    let begins = |segment: &&Segment| segment.first > from;
    let fits = |segment: &&Segment| state.bytes_from(segment.first) <= policy.max_bytes;
    let mut later = state.segments.iter().filter(begins);
    // The newest segment is always kept: it is being written.
    let target = later.find(fits).or_else(|| state.segments.back())?;
    (target.first > from).then_some(Excess::DropBefore(target.first))
}

/// Drops what has to be dropped. Whether a sink wants everybody to wait.
pub(crate) fn enforce(shared: &Shared) -> Result<bool, StoreError> {
    let mut wait = false;
    for sink in 0..shared.policies.len() {
        let is_configured = sink < shared.configured;
        let found = {
            let mut state = shared.lock();
            if !is_configured {
                pass_to_end(&mut state, sink);
            }
            excess(shared, &state, sink)
        };
        let reason = match is_configured {
            true => LossReason::BufferFull,
            false => LossReason::SinkRemoved,
        };
        match found {
            None => {}
            Some(Excess::Wait) => wait = true,
            Some(Excess::DropBefore(first)) => drop_before(shared, sink, first, reason)?,
        }
    }
    Ok(wait)
}

/// A sink that is configured no more and has nothing left keeps no file back.
fn pass_to_end(state: &mut State, sink: usize) {
    let end = state.last + 1;
    if let Some(progress) = state.progress.get_mut(sink)
        && progress.waiting() == 0
    {
        progress.cursor = Cursor {
            sequence: end,
            record: 0,
        };
    }
}

/// Gives up what waits for a sink that is configured no more. How much it was.
pub(crate) fn give_up(shared: &Shared, sink: usize) -> u64 {
    let mut state = shared.lock();
    let Some(progress) = state.progress.get_mut(sink) else {
        return 0;
    };
    let waiting = progress.waiting();
    progress.lost.add(LossReason::SinkRemoved, waiting);
    state.progress_changed = true;
    state.given_up += 1;
    pass_to_end(&mut state, sink);
    waiting
}

/// The disk is full: sinks that may lose records lose the oldest, `bytes` of
/// journal if there are as many, but only what really makes room: nothing that
/// somebody else keeps anyway.
pub(crate) fn shed(shared: &Shared, bytes: u64, oldest_parked: u64) -> Result<(), StoreError> {
    let (target, behind) = {
        let state = shared.lock();
        let target = shed_before(shared, &state, bytes, oldest_parked);
        // To write the same findings once more makes no room.
        let kept = shared.carried_in.load(Ordering::Acquire);
        let is_there = state.segments.front().is_some_and(|it| it.first <= kept);
        let after = state.segments.iter().find(|it| it.first > kept);
        if is_there && after.is_none_or(|after| target <= after.first) {
            return Ok(());
        }
        let behind = |sink: &usize| {
            let progress = state.progress.get(*sink);
            progress.is_some_and(|progress| progress.cursor.sequence < target)
        };
        let behind: Vec<_> = (0..shared.policies.len()).filter(behind).collect();
        (target, behind)
    };
    for sink in behind {
        drop_before(shared, sink, target, LossReason::DiskFull)?;
    }
    Ok(())
}

/// The segment before which records can be dropped.
fn shed_before(shared: &Shared, state: &State, bytes: u64, oldest_parked: u64) -> u64 {
    let mut before = 0;
    let mut target = 0;
    for segment in &state.segments {
        target = segment.first;
        if before >= bytes {
            break;
        }
        before += segment.bytes;
    }
    let applied = shared.applied.load(Ordering::Acquire);
    let kept = shared
        .policies
        .iter()
        .zip(&state.progress)
        .filter(|(policy, _)| policy.when_full == WhenFull::Block)
        .map(|(_, progress)| progress.cursor.sequence)
        .chain([oldest_parked, applied + 1])
        .min();
    target.min(state.segment_of(kept.unwrap_or(u64::MAX)))
}

/// A sink loses its records before the segment that begins with `first`.
fn drop_before(
    shared: &Shared,
    sink: usize,
    first: u64,
    reason: LossReason,
) -> Result<(), StoreError> {
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
    let State {
        given, progress, ..
    } = &mut *state;
    let (Some(given), Some(progress)) = (given.get_mut(sink), progress.get_mut(sink)) else {
        return Ok(());
    };
    if progress.cursor.sequence >= first {
        return Ok(());
    }
    let (held, held_findings) = drop_from_under(given, first, &findings, reason);
    let skipped = offered.map_or(0, |offered| offered.saturating_sub(progress.ended() + held));
    let cursor = progress.cursor;
    let kept: Vec<_> = findings
        .into_iter()
        .filter(|(place, _)| *place >= cursor)
        .map(|(_, delivery)| Outgoing {
            delivery,
            sinks: 1 << sink,
        })
        .collect();
    let moved = kept.len() as u64;
    let dropped = skipped.saturating_sub(moved - held_findings);
    progress.moved += moved;
    progress.lost.add(reason, dropped);
    progress.cursor = Cursor {
        sequence: first,
        record: 0,
    };
    state.progress_changed = true;
    state.carried_total += moved;
    state.carried.extend(kept);
    if let Some(losses) = state.losses.get_mut(sink) {
        tell(losses, &policy.name, dropped, moved, reason);
    }
    Ok(())
}

/// What the sink has in its hands is not dropped yet: it will say what became
/// of it, or it is lost with the process. Findings are offered again all the
/// same; at worst they are delivered twice. How many it has that were not
/// offered again before, and how many findings are by now.
fn drop_from_under(
    given: &mut VecDeque<Given>,
    first: u64,
    findings: &[(Cursor, Delivery)],
    reason: LossReason,
) -> (u64, u64) {
    let (mut held, mut again) = (0, 0);
    for one in given.iter_mut().filter(|one| one.after.sequence < first) {
        held += u64::from(one.fate != Fate::OfferedAgain);
        if one.fate != Fate::Kept {
            continue;
        }
        let finding = findings.binary_search_by_key(&one.after, |(place, _)| place.after());
        one.fate = match finding {
            Ok(_) => Fate::OfferedAgain,
            Err(_) => Fate::Dropped(reason),
        };
        again += u64::from(finding.is_ok());
    }
    (held, again)
}

/// Counts a loss, and says so, though not for every segment that goes.
fn tell(losses: &mut Losses, sink: &str, dropped: u64, kept: u64, reason: LossReason) {
    losses.untold += dropped;
    losses.untold_kept += kept;
    if losses.untold == 0 || losses.told.is_some_and(|told| told.elapsed() < TOLD_EVERY) {
        return;
    }
    losses.told = Some(Instant::now());
    let dropped = std::mem::take(&mut losses.untold);
    let findings_kept = std::mem::take(&mut losses.untold_kept);
    let why = match reason {
        LossReason::DiskFull => "the disk is full",
        LossReason::SinkRemoved => "this sink is configured no more",
        LossReason::BufferFull | LossReason::Damaged => "too much waits for this sink",
    };
    tracing::warn!(
        sink,
        dropped,
        findings_kept,
        "{why}; its oldest records were dropped"
    );
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
        let Some(bit) = summary.sinks.iter().position(|name| name == sink) else {
            return;
        };
        // Its first frame has none of its own; should that be damaged, we are
        // at another one.
        let own = sections(payload)
            .filter(|(tag, _)| *tag == batch::RECORDS)
            .flat_map(|(_, reader)| read_records(reader).unwrap_or_default())
            .filter(|record| record.sinks >> bit & 1 == 1)
            .count();
        let known = summary.progress.get(bit);
        offered = known.map(|known| known.offered.saturating_sub(own as u64));
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
pub(crate) fn needed_from(shared: &Shared, oldest_parked: u64) -> u64 {
    let applied = shared.applied.load(Ordering::Acquire);
    shared
        .lock()
        .progress
        .iter()
        .map(|progress| progress.cursor.sequence)
        .chain([oldest_parked, applied + 1])
        .min()
        .unwrap_or(0)
}

/// Whether there are segments that hold nothing from this frame on.
pub(crate) fn has_before(shared: &Shared, needed: u64) -> bool {
    let state = shared.lock();
    let second = state.segments.get(1);
    second.is_some_and(|second| second.first <= needed)
}

/// Whether older segments than the newest are needed for the states, and up to
/// where the database is to be brought then.
pub(crate) fn database_is_behind(shared: &Shared) -> Option<u64> {
    let applied = shared.applied.load(Ordering::Acquire);
    let state = shared.lock();
    let newest = state.segments.back()?.first;
    (applied + 1 < newest).then_some(state.last)
}

/// Takes the segments that hold nothing from this frame on out of the list and
/// gives them.
pub(crate) fn take_before(shared: &Shared, needed: u64) -> Vec<Segment> {
    let mut state = shared.lock();
    let mut gone = Vec::new();
    while let Some(next) = state.segments.get(1) {
        if next.first > needed {
            break;
        }
        gone.extend(state.segments.pop_front());
    }
    gone
}
