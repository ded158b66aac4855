//! Looking through a store that is not running: is everything whole, and does
//! every record have its place?

use std::collections::HashMap;
use std::path::Path;

use crate::batch::{self, Outgoing, read_records, sections};
use crate::error::StoreError;
use crate::index::Index;
use crate::lock::DirectoryLock;
use crate::progress::{Cursor, Progress};
use crate::recovery;
use crate::segment::{self, Walk};

/// What was found.
#[derive(Debug, Default, Clone)]
pub struct Verified {
    /// Journal files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that are no whole frame.
    pub damaged_bytes: u64,
    /// Read positions kept.
    pub positions: u64,
    /// Halves of requests that wait.
    pub parked: u64,
    /// States in the database.
    pub states: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// By sink: its numbers, and records waiting as counted one by one.
    pub sinks: Vec<(String, Progress, u64)>,
}

impl Verified {
    /// Sinks whose numbers do not add up.
    pub fn unbalanced(&self) -> impl Iterator<Item = &(String, Progress, u64)> {
        self.sinks
            .iter()
            .filter(|(_, progress, counted)| progress.waiting() != *counted)
    }
}

/// Looks through the store in a directory; changes nothing but cuts off a torn
/// end as a start would. None when nothing was ever kept there.
///
/// # Errors
/// The directory is in use or cannot be read, or the database or the journal
/// is gone or damaged.
pub fn verify(directory: &Path) -> Result<Option<Verified>, StoreError> {
    if !directory.exists() {
        return Ok(None);
    }
    let mut segments = segment::list(directory)?;
    if segments.is_empty() && !Index::exists(directory) {
        return Ok(None);
    }
    Index::refuse_lost(directory, !segments.is_empty())?;
    let _lock = DirectoryLock::take(directory)?;
    recovery::cut_torn_group(directory, &mut segments)?;
    let scanned = recovery::scan(directory, &segments)?;
    // Opening one makes it; whether it is begun anew is a start's decision.
    let index = Index::exists(directory).then(|| Index::look(directory));
    let index = index.transpose()?;
    if segments.is_empty()
        && let Some(index) = &index
    {
        index.refuse_lost_journal(directory)?;
    }
    let mut found = Verified {
        segments: segments.len() as u64,
        bytes: segments.iter().map(|segment| segment.bytes).sum(),
        positions: scanned.positions.len() as u64,
        parked: scanned.parked.len() as u64,
        dead_letters: index.as_ref().map_or(0, Index::dead_count),
        ..Verified::default()
    };
    if let Some(index) = &index {
        index.states(|_, _, _| found.states += 1)?;
    }
    let mut counted: HashMap<String, u64> = HashMap::new();
    let cursors: HashMap<&str, Cursor> = scanned
        .summary
        .sinks
        .iter()
        .map(String::as_str)
        .zip(
            scanned
                .summary
                .progress
                .iter()
                .map(|progress| progress.cursor),
        )
        .collect();
    let mut walk = Walk::new(directory, segments, 0);
    each_record(&mut walk, &mut |sequence, record, outgoing, sinks| {
        for (bit, name) in sinks.iter().enumerate() {
            let here = Cursor { sequence, record };
            let waits = cursors
                .get(name.as_str())
                .is_some_and(|cursor| here >= *cursor);
            if outgoing.sinks >> bit & 1 == 1 && waits {
                *counted.entry(name.clone()).or_default() += 1;
            }
        }
    })?;
    found.damaged_bytes = walk.damaged_bytes;
    found.sinks = scanned
        .summary
        .sinks
        .iter()
        .zip(&scanned.summary.progress)
        .map(|(name, progress)| {
            let waiting = counted.get(name).copied().unwrap_or(0);
            (name.clone(), *progress, waiting)
        })
        .collect();
    Ok(Some(found))
}

/// Looks at a record: frame, place in it, the record, names of the sinks.
type Look<'a> = dyn FnMut(u64, u64, &Outgoing, &[String]) + 'a;

/// Walks over every record.
fn each_record(walk: &mut Walk<'_>, tell: &mut Look<'_>) -> Result<(), StoreError> {
    while walk.next(|sequence, payload| {
        let summary = segment::summary(payload);
        for (_, reader) in sections(payload).filter(|(tag, _)| *tag == batch::RECORDS) {
            for (record, outgoing) in (0..).zip(read_records(reader).unwrap_or_default()) {
                tell(sequence, record, &outgoing, &summary.sinks);
            }
        }
    })? {}
    Ok(())
}
