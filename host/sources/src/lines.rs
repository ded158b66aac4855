//! Bounded splitting of a byte stream into lines, without copying them.
//!
//! Invariants:
//! - memory never exceeds the line limit plus one read, whatever arrives;
//! - the lines are the same however the stream is cut into reads;
//! - a line longer than the limit is cut and flagged, and reading goes on;
//! - a line end is the delimiter, with one CR before it taken along when the
//!   delimiter is LF. NUL bytes at the start of such a line are skipped: a
//!   file cut while its writer held an old position begins with a hole.

use std::io::{self, Read};

/// Default longest line, in bytes.
pub const DEFAULT_LINE_LIMIT: usize = 256 * 1024;

/// Bytes before the end of a line that [`Line::ending`] gives.
pub const ENDING: usize = 64;

/// Least memory of a buffer.
const LEAST: usize = 512;

/// Room offered to a read once a line has grown the buffer to its limit.
const CHUNK: usize = 64 * 1024;

/// One line of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// The line without its end, cut to the limit.
    pub bytes: &'a [u8],
    /// Counted from 1.
    pub number: u64,
    /// Where it starts in the stream, in bytes.
    pub offset: u64,
    /// Where the next line starts.
    pub end: u64,
    /// It was longer than the limit.
    pub truncated: bool,
    /// The last bytes of the stream before `end`, in two parts: up to
    /// [`ENDING`] of them, fewer where the stream has no more.
    pub ending: [&'a [u8]; 2],
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    length: usize,
    number: u64,
    offset: u64,
    end: u64,
    truncated: bool,
}

/// Splits what is written into it; does no I/O itself.
#[derive(Debug)]
pub struct LineBuffer {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes after `start` known to hold no delimiter.
    scanned: usize,
    /// Bytes of the current line that were beyond the limit and are gone.
    dropped: u64,
    limit: usize,
    delimiter: u8,
    number: u64,
    offset: u64,
    /// The last bytes of the stream before those read last.
    recent: Vec<u8>,
    /// Where those read last begin in the buffer.
    fresh: usize,
    /// Where they end, also after some of them were dropped.
    fresh_end: usize,
}

impl LineBuffer {
    /// A buffer for lines of up to `limit` bytes that starts with `initial`
    /// bytes of memory. `offset` is the stream's position at its beginning.
    #[must_use]
    pub fn new(limit: usize, initial: usize, offset: u64) -> Self {
        Self {
            buffer: vec![0; initial.max(LEAST)],
            start: 0,
            end: 0,
            scanned: 0,
            dropped: 0,
            limit: limit.max(1),
            delimiter: b'\n',
            number: 0,
            offset,
            recent: Vec::new(),
            fresh: 0,
            fresh_end: 0,
        }
    }

    /// Says which bytes come before the first one in the stream.
    #[must_use]
    pub fn preceded_by(mut self, bytes: &[u8]) -> Self {
        self.recent.clear();
        keep_last(&mut self.recent, bytes);
        self
    }

    /// Counts lines as if so many had come before.
    #[must_use]
    pub fn after(mut self, lines: u64) -> Self {
        self.number = lines;
        self
    }

    /// Splits at `delimiter` instead of LF.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = delimiter;
        self
    }

    /// Room to read into; never empty. Tell [`LineBuffer::filled`] how much
    /// of it was used. Take all lines out first.
    pub fn spare(&mut self) -> &mut [u8] {
        self.remember();
        let quarter = self.buffer.len() / 4;
        if self.buffer.len() - self.end < quarter.max(1) {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            let most = (self.limit + 1 + CHUNK).max(self.buffer.len());
            if self.buffer.len() - self.end < quarter.max(1) {
                let more = (self.buffer.len() * 2).max(LEAST);
                self.buffer.resize(more.min(most), 0);
            }
        }
        (self.fresh, self.fresh_end) = (self.end, self.end);
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Gives its memory away but for what is held: for whoever is quiet.
    pub fn give_up(&mut self) -> Vec<u8> {
        self.remember();
        let held = self.buffer.get(self.start..self.end);
        let held = held.unwrap_or_default().to_vec();
        (self.start, self.end) = (0, held.len());
        (self.fresh, self.fresh_end) = (self.end, self.end);
        std::mem::replace(&mut self.buffer, held)
    }

    /// Uses other memory, if it is larger than its own.
    pub fn borrow(&mut self, mut memory: Vec<u8>) {
        if memory.len() <= self.buffer.len() {
            return;
        }
        self.remember();
        let held = self.buffer.get(self.start..self.end).unwrap_or_default();
        if let Some(room) = memory.get_mut(..held.len()) {
            room.copy_from_slice(held);
        }
        (self.start, self.end) = (0, held.len());
        (self.fresh, self.fresh_end) = (self.end, self.end);
        self.buffer = memory;
    }

    /// Keeps the end of what was read last before it may be overwritten.
    fn remember(&mut self) {
        let fresh = self.buffer.get(self.fresh..self.fresh_end);
        keep_last(&mut self.recent, fresh.unwrap_or_default());
        (self.fresh, self.fresh_end) = (self.end, self.end);
    }

    /// Says that the first `count` bytes of the room were read into.
    pub fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
        self.fresh_end = self.end;
    }

    /// The next whole line.
    pub fn next_line(&mut self) -> Option<Line<'_>> {
        let span = self.next_span()?;
        Some(self.line(&span))
    }

    /// What is left at the end of the stream: a line without its end.
    pub fn last_line(&mut self) -> Option<Line<'_>> {
        self.skip_holes();
        let length = self.end - self.start;
        if length == 0 {
            return None;
        }
        let span = self.consume(length, 0);
        Some(self.line(&span))
    }

    /// Stream position of the first byte not yet given out as a line.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes held that are no whole line yet, those beyond the limit included.
    #[must_use]
    pub fn pending(&self) -> u64 {
        (self.end - self.start) as u64 + self.dropped
    }

    fn next_span(&mut self) -> Option<Span> {
        self.skip_holes();
        let unseen = self.buffer.get(self.start + self.scanned..self.end)?;
        if let Some(at) = memchr::memchr(self.delimiter, unseen) {
            return Some(self.consume(self.scanned + at, 1));
        }
        // One byte above the limit is kept: it may be a CR.
        let held = self.end - self.start;
        let surplus = held.saturating_sub(self.limit + 1);
        self.end -= surplus;
        self.dropped += surplus as u64;
        self.scanned = held - surplus;
        None
    }

    /// Takes a line of `length` bytes and its `terminator` out.
    fn consume(&mut self, length: usize, terminator: usize) -> Span {
        let whole = self
            .buffer
            .get(self.start..self.start + length)
            .unwrap_or_default();
        let ends_in_cr = terminator > 0
            && self.delimiter == b'\n'
            && self.dropped == 0
            && whole.ends_with(b"\r");
        let content = length - usize::from(ends_in_cr);
        self.number += 1;
        let end = self.offset + (length + terminator) as u64 + self.dropped;
        let span = Span {
            start: self.start,
            length: content.min(self.limit),
            number: self.number,
            offset: self.offset,
            end,
            truncated: content > self.limit || self.dropped > 0,
        };
        self.start += length + terminator;
        self.offset = end;
        self.scanned = 0;
        self.dropped = 0;
        span
    }

    fn skip_holes(&mut self) {
        if self.scanned > 0 || self.delimiter != b'\n' {
            return;
        }
        let held = self.buffer.get(self.start..self.end).unwrap_or_default();
        if held.first() != Some(&0) {
            return;
        }
        let holes = held.iter().take_while(|byte| **byte == 0).count();
        self.start += holes;
        self.offset += holes as u64;
    }

    fn line(&self, span: &Span) -> Line<'_> {
        Line {
            bytes: self
                .buffer
                .get(span.start..span.start + span.length)
                .unwrap_or_default(),
            number: span.number,
            offset: span.offset,
            end: span.end,
            truncated: span.truncated,
            ending: self.ending(),
        }
    }

    /// The last bytes before the line that comes next.
    fn ending(&self) -> [&[u8]; 2] {
        let whole = if self.start == self.end {
            self.fresh..self.fresh_end
        } else {
            self.fresh..self.start
        };
        let fresh = last(self.buffer.get(whole).unwrap_or_default(), ENDING);
        [last(&self.recent, ENDING - fresh.len()), fresh]
    }
}

fn last(bytes: &[u8], count: usize) -> &[u8] {
    bytes
        .get(bytes.len().saturating_sub(count)..)
        .unwrap_or_default()
}

/// Makes `kept` the last bytes of `kept` and `more` together.
fn keep_last(kept: &mut Vec<u8>, more: &[u8]) {
    let more = last(more, ENDING);
    let surplus = (kept.len() + more.len()).saturating_sub(ENDING);
    kept.drain(..surplus.min(kept.len()));
    kept.extend_from_slice(more);
}

/// Reads lines from anything that can be read.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    buffer: LineBuffer,
    ended: bool,
}

impl<R: Read> LineReader<R> {
    /// Reads lines of up to `limit` bytes.
    #[must_use]
    pub fn new(reader: R, limit: usize) -> Self {
        Self {
            reader,
            buffer: LineBuffer::new(limit, 4 * CHUNK, 0),
            ended: false,
        }
    }

    /// Goes on at `offset`, where `reader` stands, with `lines` lines before
    /// it.
    #[must_use]
    pub fn resumed(reader: R, limit: usize, offset: u64, lines: u64) -> Self {
        Self {
            reader,
            buffer: LineBuffer::new(limit, 4 * CHUNK, offset).after(lines),
            ended: false,
        }
    }

    /// What the lines are read from.
    pub fn reader(&self) -> &R {
        &self.reader
    }

    /// Bytes held that are no whole line yet.
    #[must_use]
    pub fn pending(&self) -> u64 {
        self.buffer.pending()
    }

    /// Stream position of the next line.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.buffer.offset()
    }

    /// Lines before it.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.buffer.number
    }

    /// The next line that has its end; nothing when there is none for now.
    ///
    /// # Errors
    /// Whatever the reader reports, except interruptions.
    pub fn next_whole_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            if let Some(span) = self.buffer.next_span() {
                return Ok(Some(self.buffer.line(&span)));
            }
            if self.ended || !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads once; false at the end of the stream.
    fn fill(&mut self) -> io::Result<bool> {
        loop {
            match self.reader.read(self.buffer.spare()) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(count) => {
                    self.buffer.filled(count);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next line; at the end of the stream also one without its line end,
    /// then nothing.
    ///
    /// # Errors
    /// Whatever the reader reports, except interruptions.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            if let Some(span) = self.buffer.next_span() {
                return Ok(Some(self.buffer.line(&span)));
            }
            if self.ended || !self.fill()? {
                return Ok(self.buffer.last_line());
            }
        }
    }
}
