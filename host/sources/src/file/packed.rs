//! Gzip files: read once from end to end.

use std::fs::File;
use std::path::Path;

use super::LineSink;
use super::fingerprint;
use super::opened::{Stop, push};
use super::position::Position;
use crate::lines::LineReader;
use crate::replay::unpack;

/// Lines between two stored positions.
const STRIDE: u64 = 4096;
/// Lines between two looks for shutdown; the rest is read by the next run.
const LOOK: u64 = 64;

/// Reads a gzip file to its end, skipping what a stored position says was
/// handed over before.
pub(super) fn read(path: &Path, limit: usize, sink: &LineSink) -> Result<(), Stop> {
    let file = File::open(path)?;
    let known = fingerprint::fingerprint(&file, true)?.unwrap_or_default();
    let done = sink.positions.load(known).unwrap_or(0);
    read_as(file, path, limit, sink, (known, done))
}

/// Reads a gzip file to its end under the name of the file it was packed from,
/// beginning where that one had been read to.
pub(super) fn read_as(
    file: File,
    path: &Path,
    limit: usize,
    sink: &LineSink,
    (known, done): (u128, u64),
) -> Result<(), Stop> {
    let mut lines = LineReader::new(unpack(file), limit);
    let mut offset = 0;
    while let Some(line) = lines.next_line()? {
        offset = line.end;
        if line.offset < done {
            continue;
        }
        let number = line.number;
        if number % LOOK == 0 && sink.shutdown.is_triggered() {
            return Err(Stop::Closed);
        }
        push(sink, path, known, line)?;
        if number % STRIDE == 0 {
            sink.positions.store(Position {
                fingerprint: known,
                offset,
            });
        }
    }
    sink.positions.store(Position {
        fingerprint: known,
        offset: offset.max(done),
    });
    Ok(())
}
