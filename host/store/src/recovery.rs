//! What an earlier run left: positions, waiting halves, how far the sinks came.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use sidewatch_event::{Event, Origin};

use crate::batch::{self, sections};
use crate::error::{StoreError, at};
use crate::frame::FrameReader;
use crate::progress::{Cursor, Progress};
use crate::segment::{self, Segment, Summary, Walk};

/// Most sinks: a record has a bit for each.
pub(crate) const MOST_SINKS: usize = 64;

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
    /// Where reading of files goes on.
    pub positions: Vec<Origin>,
    /// Halves of requests, in the order they came.
    pub parked: Vec<Parked>,
    /// Bytes of the journal that were no whole frame. A torn last frame, which
    /// was never acknowledged, is not counted.
    pub damaged_bytes: u64,
    /// Frames the database knows of and the journal no longer has.
    pub missing_frames: u64,
    /// Where a damaged database was put.
    pub damaged_database: Option<PathBuf>,
    /// Frames whose states an older database was put in place of.
    pub database_behind: u64,
    /// Sinks that are configured no more, and how many records wait for them.
    pub removed_sinks: Vec<(String, u64)>,
    /// Such sinks there was no place left for, and how many records were given
    /// up for it.
    pub given_up: Vec<(String, u64)>,
}

/// What the journal says.
#[derive(Debug, Default)]
pub(crate) struct Scanned {
    pub(crate) positions: HashMap<u128, Origin>,
    /// With the frame they were parked in.
    pub(crate) parked: Vec<(u64, Parked)>,
    pub(crate) summary: Summary,
    pub(crate) last: u64,
    pub(crate) damaged_bytes: u64,
}

/// Cuts off what a sync that never ended left behind a frame that is missing.
///
/// The disk writes in any order, so after a power loss a frame of the last
/// sync may be whole where one before it is not. None of them was
/// acknowledged, but a position in the later one would say that what became of
/// the earlier one is there.
pub(crate) fn cut_torn_group(directory: &Path, segments: &mut [Segment]) -> Result<(), StoreError> {
    for segment in segments.iter_mut().rev() {
        let path = segment::path(directory, segment.first);
        let file = File::open(&path).map_err(at("open", &path))?;
        let mut frames = FrameReader::new(file);
        let (mut group, mut hole, mut next, mut any) = (None, None, 0, false);
        let mut end = 0;
        while let Some(frame) = frames.next().map_err(at("read", &path))? {
            any = true;
            let its = segment::summary(frame.payload).group;
            if its != group {
                (group, hole) = (its, None);
                next = its.unwrap_or(frame.sequence);
            }
            if frame.sequence > next && group.is_some() {
                hole.get_or_insert(end);
            }
            next = frame.sequence + 1;
            end = frames.offset();
        }
        if let Some(hole) = hole {
            tracing::warn!(path = %path.display(), bytes = end - hole, "the end of the journal is torn and cut off; it was never acknowledged");
            let file = File::options().write(true).open(&path);
            let cut = file.and_then(|file| file.set_len(hole).and_then(|()| file.sync_all()));
            cut.map_err(at("cut", &path))?;
            segment.bytes = hole;
        }
        if any {
            break;
        }
    }
    Ok(())
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
                batch::POSITIONS | batch::CONTENTS if sequence >= positions_from => {
                    batch::read_positions(tag, reader, |position| {
                        scanned.positions.insert(position.file, position);
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

/// The sinks of a store as it goes on.
#[derive(Debug, Default)]
pub(crate) struct Sinks {
    /// Of the configured ones, then of those something is left of.
    pub(crate) progress: Vec<Progress>,
    /// The names of the latter.
    pub(crate) left: Vec<String>,
    /// Sinks there was no place left for, and how many records waited.
    pub(crate) given_up: Vec<(String, u64)>,
}

/// Gives every configured sink its progress. One that is configured no more
/// stays as long as something waits for it or a loss of it was not told.
pub(crate) fn assign_progress(summary: &Summary, names: &[&str], next: u64) -> Sinks {
    let end = Cursor {
        sequence: next,
        record: 0,
    };
    let known: HashMap<&str, &Progress> = summary
        .sinks
        .iter()
        .map(String::as_str)
        .zip(&summary.progress)
        .collect();
    let of = |name: &&str| {
        let known = known.get(name).map(|known| **known);
        known.unwrap_or(Progress {
            cursor: end,
            ..Progress::default()
        })
    };
    let mut sinks = Sinks {
        progress: names.iter().map(of).collect(),
        ..Sinks::default()
    };
    for (name, progress) in summary.sinks.iter().zip(&summary.progress) {
        let waiting = progress.waiting();
        if names.contains(&name.as_str()) || (waiting == 0 && !progress.has_untold()) {
            continue;
        }
        if sinks.progress.len() >= MOST_SINKS {
            sinks.given_up.push((name.clone(), waiting));
            continue;
        }
        sinks.left.push(name.clone());
        sinks.progress.push(Progress {
            cursor: if waiting == 0 { end } else { progress.cursor },
            ..*progress
        });
    }
    sinks
}
