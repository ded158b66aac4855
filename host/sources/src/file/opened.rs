//! One open file: read to its end, checked for having been cut.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use sidewatch_event::{Field, Origin};

use super::fingerprint::{self, Inode, read_at};
use super::position::Position;
use super::{LineSink, Start};
use crate::identity;
use crate::intake::Closed;
use crate::lines::{Line, LineBuffer};

/// Bytes asked of a file at a time.
const CHUNK: usize = 256 * 1024;

/// Reads before another file has its turn.
const READS_PER_TURN: usize = 32;

/// Bytes before the read position that are compared to see whether the file
/// was cut and written anew.
const TAIL: usize = 64;

/// Why reading stopped.
pub(super) enum Stop {
    /// The pipeline has ended.
    Closed,
    /// The system refused.
    Failed(io::Error),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

pub(super) struct Opened {
    file: File,
    pub(super) inode: Inode,
    lines: LineBuffer,
    limit: usize,
    fingerprint: Option<u128>,
    /// Where the next read starts.
    read_to: u64,
    /// The last bytes read before `read_to`.
    tail: Vec<u8>,
    pub(super) last_read: Instant,
}

impl Opened {
    /// Opens a file where its position says, else where `start` says.
    pub(super) fn open(
        path: &Path,
        limit: usize,
        start: Start,
        sink: &LineSink,
    ) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let fingerprint = fingerprint::fingerprint(&file, false)?;
        let known = fingerprint.and_then(|fingerprint| sink.positions.load(fingerprint));
        let offset = match (known, start) {
            (Some(offset), _) if ends_line(&file, offset, length)? => offset,
            (Some(_), _) => {
                tracing::warn!(path = %path.display(), "file was written anew since it was last read; it is read from its beginning");
                0
            }
            (None, Start::End) => length,
            (None, Start::Beginning) => 0,
        };
        Self::at(file, limit, fingerprint, offset)
    }

    /// Goes on in a copy of a known file, under the name of the original; none
    /// when it is no copy or holds nothing new.
    pub(super) fn resume(
        path: &Path,
        limit: usize,
        original: u128,
        offset: u64,
    ) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        if offset >= length || !ends_line(&file, offset, length)? {
            return Ok(None);
        }
        Self::at(file, limit, Some(original), offset).map(Some)
    }

    fn at(file: File, limit: usize, fingerprint: Option<u128>, offset: u64) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let mut opened = Self {
            inode: fingerprint::inode(&metadata),
            lines: LineBuffer::new(limit, 2 * CHUNK, offset),
            limit,
            fingerprint,
            read_to: offset,
            tail: Vec::new(),
            last_read: Instant::now(),
            file,
        };
        opened.remember_tail()?;
        Ok(opened)
    }

    /// Reads what there is, for one turn; whether there was anything.
    pub(super) fn read(&mut self, path: &Path, sink: &LineSink) -> Result<bool, Stop> {
        let mut moved = false;
        for _ in 0..READS_PER_TURN {
            let spare = self.lines.spare();
            let count = match self.file.read_at(spare, self.read_to) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let tail = tail_after(&self.tail, spare.get(..count).unwrap_or_default());
            // Cut and written anew since it was checked: what was just read
            // belongs to the new content. The next look finds out.
            if self.differs_from(&self.file)? {
                break;
            }
            moved = true;
            self.lines.filled(count);
            self.read_to += count as u64;
            self.tail = tail;
            self.hand_over(path, sink)?;
        }
        if moved {
            self.last_read = Instant::now();
        }
        Ok(moved)
    }

    fn hand_over(&mut self, path: &Path, sink: &LineSink) -> Result<(), Stop> {
        let before = self.lines.offset();
        let mut fingerprint = self.fingerprint;
        while let Some(line) = self.lines.next_line() {
            let known = match fingerprint {
                Some(known) => known,
                None => fingerprint::fingerprint(&self.file, true)?.unwrap_or_default(),
            };
            fingerprint = Some(known);
            push(sink, path, known, line)?;
        }
        self.fingerprint = fingerprint;
        if let Some(fingerprint) = fingerprint.filter(|_| self.lines.offset() > before) {
            sink.positions.store(Position {
                fingerprint,
                offset: self.lines.offset(),
            });
        }
        Ok(())
    }

    /// Hands over a last line without its end: nothing more will come.
    pub(super) fn finish(&mut self, path: &Path, sink: &LineSink) -> Result<(), Stop> {
        let known = match self.fingerprint {
            Some(known) => known,
            None => fingerprint::fingerprint(&self.file, true)?.unwrap_or_default(),
        };
        if let Some(line) = self.lines.last_line() {
            push(sink, path, known, line)?;
        }
        sink.positions.store(Position {
            fingerprint: known,
            offset: self.lines.offset(),
        });
        Ok(())
    }

    /// Whether nothing has come for `wait`.
    pub(super) fn is_quiet(&self, wait: Duration) -> bool {
        self.last_read.elapsed() >= wait
    }

    /// Whether the file is shorter than what we read of it, or differs from it.
    pub(super) fn was_cut(&self, metadata: &Metadata) -> io::Result<bool> {
        if metadata.len() < self.read_to {
            return Ok(true);
        }
        self.differs_from(&self.file)
    }

    fn differs_from(&self, file: &File) -> io::Result<bool> {
        let mut now = [0; TAIL];
        let wanted = now.get_mut(..self.tail.len()).unwrap_or_default();
        let start = self.read_to.saturating_sub(self.tail.len() as u64);
        let length = read_at(file, wanted, start)?;
        Ok(wanted.get(..length) != Some(self.tail.as_slice()))
    }

    /// What the file is known by, once that is known.
    pub(super) fn fingerprint(&self) -> Option<u128> {
        self.fingerprint
    }

    /// Where the first line not handed over begins.
    pub(super) fn offset(&self) -> u64 {
        self.lines.offset()
    }

    /// Bytes read that were no complete line.
    pub(super) fn pending(&self) -> u64 {
        self.lines.pending()
    }

    /// Starts anew after the file was cut.
    pub(super) fn restart(&mut self) {
        self.lines = LineBuffer::new(self.limit, 2 * CHUNK, 0);
        self.read_to = 0;
        self.tail.clear();
        self.fingerprint = None;
    }

    /// Goes on in a copy that was made before the file was cut, if `path` is
    /// one: it must continue exactly what was read.
    pub(super) fn switch_to_copy(&mut self, path: &Path) -> io::Result<bool> {
        let copy = File::open(path)?;
        let metadata = copy.metadata()?;
        let is_copy =
            !self.tail.is_empty() && metadata.len() >= self.read_to && !self.differs_from(&copy)?;
        if is_copy {
            self.inode = fingerprint::inode(&metadata);
            self.file = copy;
            self.last_read = Instant::now();
        }
        Ok(is_copy)
    }

    fn remember_tail(&mut self) -> io::Result<()> {
        let length = usize::try_from(self.read_to).unwrap_or(TAIL).min(TAIL);
        self.tail.resize(length, 0);
        let start = self.read_to - length as u64;
        let read = read_at(&self.file, &mut self.tail, start)?;
        self.tail.truncate(read);
        Ok(())
    }
}

/// Whether a line can end at this offset of a file of that length: stored
/// offsets are ends of lines, or of the file.
fn ends_line(file: &File, offset: u64, length: u64) -> io::Result<bool> {
    if offset == 0 || offset >= length {
        return Ok(offset <= length);
    }
    let mut last = [0];
    read_at(file, &mut last, offset - 1)?;
    Ok(last == [b'\n'])
}

/// The last bytes of `tail` and `chunk` together.
fn tail_after(tail: &[u8], chunk: &[u8]) -> Vec<u8> {
    let from_tail = TAIL.saturating_sub(chunk.len()).min(tail.len());
    let kept = tail.get(tail.len() - from_tail..).unwrap_or_default();
    let new = chunk
        .get(chunk.len().saturating_sub(TAIL)..)
        .unwrap_or_default();
    [kept, new].concat()
}

/// Decodes one line and hands its event over.
pub(super) fn push(
    sink: &LineSink,
    path: &Path,
    fingerprint: u128,
    line: Line<'_>,
) -> Result<(), Closed> {
    let Some(mut event) = sink.records.decode(line.bytes, line.number, line.truncated) else {
        return Ok(());
    };
    event.id = identity::of_position(fingerprint, line.offset);
    event.origin = Some(Origin {
        file: fingerprint,
        end: line.end,
    });
    event.set(Field::LogFilePath, &path.to_string_lossy());
    sink.records.intake.push_blocking(event)
}
