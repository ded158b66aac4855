//! What an earlier run left: positions, waiting halves, how far the sinks came.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use sidewatch_event::Event;

use crate::batch::{self, sections};
use crate::error::StoreError;
use crate::progress::Progress;
use crate::segment::{self, Segment, Summary, Walk};

/// Half of a request that waited for the other one.
#[derive(Debug)]
pub struct Parked {
    /// The half.
    pub event: Box<Event>,
    /// Whether it is the mirrored request.
    pub mirrored: bool,
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Files by fingerprint, and where reading goes on.
    pub positions: Vec<(u128, u64)>,
    /// Halves of requests, in the order they came.
    pub parked: Vec<Parked>,
    /// Bytes of the journal that were no whole frame. A torn last frame, which
    /// was never acknowledged, is not counted.
    pub damaged_bytes: u64,
    /// Frames the database knows of and the journal no longer has.
    pub missing_frames: u64,
    /// Where a damaged database was put.
    pub damaged_database: Option<PathBuf>,
    /// Sinks that are configured no more, and how many records waited.
    pub removed_sinks: Vec<(String, u64)>,
}

/// What the journal says.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) positions: HashMap<u128, u64>,
    /// With the frame they were parked in.
    pub(crate) parked: Vec<(u64, Parked)>,
    pub(crate) summary: Summary,
    pub(crate) last: u64,
    pub(crate) damaged_bytes: u64,
}

/// Reads as much of the journal as is needed to go on.
pub(crate) fn scan(directory: &Path, segments: &[Segment]) -> Result<Scanned, StoreError> {
    let mut scanned = Scanned::default();
    let (from, positions_from) = beginning(directory, segments)?;
    let mut walk = Walk::new(directory, segments.to_vec(), from);
    while walk.next(|sequence, payload| {
        let found = segment::summary(payload);
        if !found.progress.is_empty() {
            scanned.summary = found;
        }
        scanned.last = sequence;
        for (tag, reader) in sections(payload) {
            match tag {
                batch::POSITIONS if sequence >= positions_from => {
                    batch::read_positions(reader, |file, offset| {
                        scanned.positions.insert(file, offset);
                    });
                }
                batch::PARKED => {
                    let parked = batch::read_parked(reader).unwrap_or_default();
                    scanned
                        .parked
                        .extend(parked.into_iter().map(|it| (sequence, it)));
                }
                batch::UNPARKED => unpark(&mut scanned.parked, reader.remaining()),
                _ => {}
            }
        }
    })? {}
    scanned.damaged_bytes = walk.damaged_bytes;
    Ok(scanned)
}

fn unpark(parked: &mut Vec<(u64, Parked)>, ids: &[u8]) {
    let (ids, _) = ids.as_chunks::<16>();
    let gone: std::collections::HashSet<u128> =
        ids.iter().map(|id| u128::from_le_bytes(*id)).collect();
    parked.retain(|(_, half)| !gone.contains(&half.event.id));
}

/// Where scanning has to begin, and from where on the positions are complete:
/// the newest segment whose first frame can be read knows both.
fn beginning(directory: &Path, segments: &[Segment]) -> Result<(u64, u64), StoreError> {
    for (at, segment) in segments.iter().enumerate().rev() {
        let mut found = None;
        let rest = segments.get(at..=at).unwrap_or_default().to_vec();
        Walk::new(directory, rest, segment.first).next(|sequence, payload| {
            if sequence == segment.first {
                found = Some(segment::summary(payload).replay_from);
            }
        })?;
        if let Some(replay_from) = found {
            return Ok((replay_from.min(segment.first), segment.first));
        }
    }
    Ok((0, 0))
}

/// Gives every configured sink its progress, and names those that are gone.
pub(crate) fn assign_progress(
    summary: &Summary,
    names: &[&str],
    next: u64,
) -> (Vec<Progress>, Vec<(String, u64)>) {
    let known: HashMap<&str, &Progress> = summary
        .sinks
        .iter()
        .map(String::as_str)
        .zip(&summary.progress)
        .collect();
    let progress = names
        .iter()
        .map(|name| {
            known.get(name).map_or_else(
                || {
                    let mut fresh = Progress::default();
                    fresh.cursor.sequence = next;
                    fresh
                },
                |progress| **progress,
            )
        })
        .collect();
    let removed = summary
        .sinks
        .iter()
        .zip(&summary.progress)
        .filter(|(name, _)| !names.contains(&name.as_str()))
        .map(|(name, progress)| (name.clone(), progress.waiting()))
        .collect();
    (progress, removed)
}
