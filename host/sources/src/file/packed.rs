//! Gzip files: read once from end to end.

use std::fs::File;
use std::path::Path;

use sidewatch_event::Origin;

use super::LineSink;
use super::fingerprint;
use super::open::open_regular;
use super::opened::{Stop, origin, push};
use crate::lines::LineReader;
use crate::replay::unpack;

/// Lines between two stored positions.
const STRIDE: u64 = 4096;
/// Lines between two looks for shutdown; the rest is read by the next run.
const LOOK: u64 = 64;

/// Reads a gzip file to its end, skipping what a stored position says was
/// handed over before.
pub(super) fn read(path: &Path, limit: usize, sink: &LineSink) -> Result<(), Stop> {
    let file = open_regular(path)?;
    let known = fingerprint::fingerprint(&file, true)?.unwrap_or_default();
    let done = sink.positions.load(known);
    let from = done.unwrap_or(Origin::new(known, 0));
    read_as(file, path, limit, sink, from)
}

/// Reads a gzip file to its end under the name of the file it was packed from,
/// beginning where that one had been read to.
pub(super) fn read_as(
    file: File,
    path: &Path,
    limit: usize,
    sink: &LineSink,
    from: Origin,
) -> Result<(), Stop> {
    let mut last = from;
    let read = read_lines(file, path, limit, sink, &mut last);
    // However it ended: what was handed over is not handed over again.
    sink.positions.store(last);
    read
}

fn read_lines(
    file: File,
    path: &Path,
    limit: usize,
    sink: &LineSink,
    last: &mut Origin,
) -> Result<(), Stop> {
    let from = *last;
    let mut lines = LineReader::new(unpack(file), limit);
    while let Some(line) = lines.next_line()? {
        let number = line.number;
        if number % LOOK == 0 && sink.shutdown.is_triggered() {
            return Err(Stop::Closed);
        }
        if line.offset < from.end {
            // The beginning of this line was handed over; so is its rest.
            let end = line.offset + line.bytes.len() as u64;
            sink.refuse_rest(number, end.saturating_sub(from.end));
            continue;
        }
        let position = origin(from.file, &line);
        push(sink, path, position, line)?;
        *last = position;
        if number % STRIDE == 0 {
            sink.positions.store(position);
        }
    }
    Ok(())
}
