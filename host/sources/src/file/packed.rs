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

/// Reads a gzip file to its end, skipping what a stored position says was
/// handed over before.
pub(super) fn read(path: &Path, limit: usize, sink: &LineSink) -> Result<(), Stop> {
    let file = File::open(path)?;
    let known = fingerprint::fingerprint(&file, true)?.unwrap_or_default();
    let done = sink.positions.load(known).unwrap_or(0);
    let mut lines = LineReader::new(unpack(file), limit);
    let mut offset = 0;
    while let Some(line) = lines.next_line()? {
        offset = line.end;
        if line.offset < done {
            continue;
        }
        let number = line.number;
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
