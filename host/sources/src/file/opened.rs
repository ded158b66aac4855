//! One open file: read to its end, checked for having been cut.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use sidewatch_event::{Field, Origin};

use super::fingerprint::{self, Inode, read_at};
use super::open::{Permit, is_out_of_descriptors, open_regular};
use super::resting::{Resting, Slot};
use super::whence::{self, Whence};
use super::{LineSink, Start, content};
use crate::identity;
use crate::intake::Closed;
use crate::lines::{ENDING, Line, LineBuffer};

/// Reads before another file has its turn.
const READS_PER_TURN: usize = 32;

/// Bytes of a line without its end that are not worth copying again and again.
const LONG: u64 = 64 * 1024;

/// Lines between two looks for shutdown.
const LOOK: u64 = 64;

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

/// How a file begins, as in the upper half of a fingerprint, and its length.
pub(super) type Outline = (u64, u64);

/// What one turn of reading gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Nothing new.
    Nothing,
    /// All there was.
    Some,
    /// A turn's share; there is more.
    More,
}

pub(super) struct Opened {
    file: File,
    permit: Permit,
    pub(super) inode: Inode,
    lines: LineBuffer,
    limit: usize,
    fingerprint: Option<u128>,
    /// Where the next read starts.
    read_to: u64,
    /// How long the file was when last seen to be the one we read.
    length: u64,
    /// The last bytes read before `read_to`, by which it is seen whether the
    /// file was cut and written anew.
    tail: Vec<u8>,
    /// The next line is the rest of one whose beginning is not ours to read:
    /// it was handed over before its end came.
    splits_line: bool,
    last_read: Instant,
    /// What the file holds already is passed over, and nothing of it was read.
    pub(super) skips: bool,
}

impl Opened {
    /// Opens a file where its position says, else where `start` says. A file
    /// of no position goes on where another one ended that it is a copy of, if
    /// `is_there` says that the other one is gone.
    pub(super) fn open(
        file: File,
        path: &Path,
        limit: usize,
        start: Start,
        sink: &LineSink,
        is_there: impl Fn(u128) -> io::Result<bool>,
    ) -> io::Result<Self> {
        let permit = Permit::take()?;
        let metadata = file.metadata()?;
        let known = whence::position(path, &file, &metadata, sink, is_there)?;
        match (known, start) {
            // It may be known by what it held before anything was in it, by which
            // no copy of it would be found.
            (Whence::Read(position), _) if position.end == 0 => {
                let own = fingerprint::fingerprint(&file, false)?;
                Self::at(file, permit, limit, own, 0)
            }
            (Whence::Read(position), _) => {
                Self::at(file, permit, limit, Some(position.file), position.end)
            }
            (Whence::New(fingerprint), Start::End) => {
                let opened = Self::at(file, permit, limit, fingerprint, metadata.len())?;
                Ok(Self {
                    skips: true,
                    ..opened
                })
            }
            (Whence::New(fingerprint), Start::Beginning) => {
                Self::at(file, permit, limit, fingerprint, 0)
            }
        }
    }

    /// Goes on in a copy of a known file, under the name of the original; none
    /// when it is no copy or holds nothing new.
    pub(super) fn resume(file: File, limit: usize, original: &Origin) -> io::Result<Option<Self>> {
        let length = file.metadata()?.len();
        if original.end >= length || !content::goes_on(&file, length, original)? {
            return Ok(None);
        }
        let permit = Permit::take()?;
        Self::at(file, permit, limit, Some(original.file), original.end).map(Some)
    }

    /// Goes on in a file that was looked at only.
    pub(super) fn stirred(resting: Resting, limit: usize) -> io::Result<Self> {
        let Resting {
            file,
            permit,
            fingerprint,
            offset,
            ..
        } = resting;
        Self::at(file, permit, limit, fingerprint, offset)
    }

    fn at(
        file: File,
        permit: Permit,
        limit: usize,
        fingerprint: Option<u128>,
        offset: u64,
    ) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let tail = content::before(&file, offset)?;
        Ok(Self {
            inode: fingerprint::inode(&metadata),
            lines: LineBuffer::new(limit, 0, offset).preceded_by(&tail),
            limit,
            fingerprint,
            read_to: offset,
            length: metadata.len(),
            tail,
            splits_line: content::splits_line(&file, offset)?,
            last_read: Instant::now(),
            skips: false,
            file,
            permit,
        })
    }

    /// Takes what was written last for as old as the file says.
    pub(super) fn aged(mut self) -> Self {
        let modified = self
            .file
            .metadata()
            .and_then(|metadata| metadata.modified());
        let age = modified
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        if let Some(then) = age.and_then(|age| Instant::now().checked_sub(age)) {
            self.last_read = then;
        }
        self
    }

    /// It is no longer written under its name; a writer that has it open may
    /// go on for a while.
    pub(super) fn rotated(mut self) -> Self {
        self.last_read = Instant::now();
        self
    }

    /// Reads what there is, for one turn.
    pub(super) fn read(&mut self, path: &Path, sink: &LineSink) -> Result<Read, Stop> {
        // Thousands of files share what only the one being read needs.
        self.lines.borrow(sink.borrow_memory());
        let gave = self.read_turn(path, sink);
        // A long line without its end keeps what it needs.
        if self.lines.pending() <= LONG {
            sink.give_back(self.lines.give_up());
        }
        gave
    }

    fn read_turn(&mut self, path: &Path, sink: &LineSink) -> Result<Read, Stop> {
        let mut gave = Read::Nothing;
        for turn in 1..=READS_PER_TURN {
            sink.check_shutdown()?;
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
            if self.differs_from(&self.file)? || !self.begins_alike(&self.file)? {
                break;
            }
            gave = if turn == READS_PER_TURN {
                Read::More
            } else {
                Read::Some
            };
            self.lines.filled(count);
            self.read_to += count as u64;
            self.tail = tail;
            self.hand_over(path, sink)?;
        }
        if gave != Read::Nothing {
            self.last_read = Instant::now();
        }
        Ok(gave)
    }

    fn hand_over(&mut self, path: &Path, sink: &LineSink) -> Result<(), Stop> {
        let mut fingerprint = self.fingerprint;
        let mut last = None;
        while let Some(line) = self.lines.next_line() {
            if line.number % LOOK == 0 {
                sink.check_shutdown()?;
            }
            let known = match fingerprint {
                Some(known) => known,
                None => fingerprint::fingerprint(&self.file, true)?.unwrap_or_default(),
            };
            fingerprint = Some(known);
            let position = origin(known, &line);
            if std::mem::take(&mut self.splits_line) {
                sink.refuse_rest(line.number, line.bytes.len() as u64);
            } else {
                push(sink, path, position, line)?;
            }
            last = Some(position);
        }
        self.fingerprint = fingerprint;
        last.into_iter()
            .for_each(|position| sink.positions.store(position));
        Ok(())
    }

    /// Hands over a last line without its end: nothing more is expected.
    pub(super) fn finish(&mut self, path: &Path, sink: &LineSink) -> Result<(), Stop> {
        let known = match self.fingerprint {
            Some(known) => known,
            None => fingerprint::fingerprint(&self.file, true)?.unwrap_or_default(),
        };
        let Some(line) = self.lines.last_line() else {
            let read = self.fingerprint.map(|file| Origin {
                file,
                end: self.read_to,
                content: content::hash([&self.tail, &[]]),
            });
            read.into_iter()
                .for_each(|position| sink.positions.store(position));
            return Ok(());
        };
        self.fingerprint = Some(known);
        let position = origin(known, &line);
        if std::mem::replace(&mut self.splits_line, true) {
            sink.refuse_rest(line.number, line.bytes.len() as u64);
        } else {
            push(sink, path, position, line)?;
        }
        sink.positions.store(position);
        Ok(())
    }

    /// Keeps a finished file in sight until then; none when it is deleted,
    /// whose space would be pinned, or when too many are held.
    pub(super) fn rest(self, wait: Duration) -> Option<Resting> {
        let left = wait.checked_sub(self.last_read.elapsed())?;
        let deleted = self.file.metadata().map_or(true, |file| file.nlink() == 0);
        if deleted {
            return None;
        }
        Some(Resting {
            inode: self.inode,
            fingerprint: self.fingerprint,
            offset: self.read_to,
            tail: self.tail,
            until: Instant::now() + left,
            _slot: Slot::take()?,
            file: self.file,
            permit: self.permit,
        })
    }

    /// Whether nothing has come for `wait`.
    pub(super) fn is_quiet(&self, wait: Duration) -> bool {
        self.last_read.elapsed() >= wait
    }

    /// Whether the file is shorter than what we read of it, or differs from it.
    pub(super) fn was_cut(&mut self, metadata: &Metadata) -> io::Result<bool> {
        if metadata.len() < self.read_to {
            return Ok(true);
        }
        let differs = if self.is_untouched() {
            // Nothing was read that could be compared.
            metadata.len() < self.length || self.begins_otherwise()?
        } else {
            self.differs_from(&self.file)? || !self.begins_alike(&self.file)?
        };
        if !differs {
            self.length = metadata.len();
        }
        Ok(differs)
    }

    fn begins_otherwise(&self) -> io::Result<bool> {
        let Some(known) = self.fingerprint else {
            return Ok(false);
        };
        Ok(fingerprint::fingerprint(&self.file, true)? != Some(known))
    }

    /// Whether a file begins as ours did when it was first read.
    fn begins_alike(&self, file: &File) -> io::Result<bool> {
        self.fingerprint
            .map_or(Ok(true), |known| content::begins_as(file, known))
    }

    fn differs_from(&self, file: &File) -> io::Result<bool> {
        let mut now = [0; ENDING];
        let wanted = now.get_mut(..self.tail.len()).unwrap_or_default();
        let start = self.read_to.saturating_sub(self.tail.len() as u64);
        let length = read_at(file, wanted, start)?;
        Ok(wanted.get(..length) != Some(self.tail.as_slice()))
    }

    /// Remembers where reading begins in a file that has nothing to read yet,
    /// or else the next start would take what comes until then for history.
    pub(super) fn note_beginning(&self, sink: &LineSink) -> io::Result<()> {
        if self.skips || (self.fingerprint.is_none() && self.length == 0) {
            let known = fingerprint::fingerprint(&self.file, true)?;
            sink.positions.begin(Origin {
                file: known.unwrap_or_default(),
                end: self.read_to,
                content: content::hash([&content::before(&self.file, self.read_to)?, &[]]),
            });
        }
        Ok(())
    }

    /// What the file is known by, once that is known.
    pub(super) fn fingerprint(&self) -> Option<u128> {
        self.fingerprint
    }

    /// How the file begins, and how long it is, whether it was read or not.
    pub(super) fn outline(&self) -> Option<Outline> {
        let known = self.fingerprint;
        let known = known.or_else(|| fingerprint::fingerprint(&self.file, false).ok()?)?;
        let length = self.file.metadata().ok()?.len();
        Some((fingerprint::head(known), length))
    }

    /// Where the first line not handed over begins.
    pub(super) fn position(&self) -> Origin {
        Origin::new(self.fingerprint.unwrap_or_default(), self.lines.offset())
    }

    /// Bytes known to have been there that were not handed over.
    pub(super) fn unread(&self) -> u64 {
        let known = self.length.max(self.read_to);
        known.saturating_sub(self.lines.offset())
    }

    /// Starts anew after the file was cut.
    pub(super) fn restart(&mut self) {
        self.lines = LineBuffer::new(self.limit, 0, 0);
        self.read_to = 0;
        self.length = 0;
        self.tail.clear();
        self.fingerprint = None;
        self.splits_line = false;
    }

    /// Whether nothing of the file was read yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.read_to == 0
    }

    /// Goes on in a copy that was made before the file was cut, if `path` is
    /// one: it must continue exactly what was read. One that cannot be read is
    /// none.
    ///
    /// # Errors
    /// No descriptor is left, which says nothing about the copy.
    pub(super) fn switch_to_copy(&mut self, path: &Path) -> io::Result<bool> {
        match self.try_copy(path) {
            Err(error) if !is_out_of_descriptors(&error) => Ok(false),
            switched => switched,
        }
    }

    fn try_copy(&mut self, path: &Path) -> io::Result<bool> {
        let copy = open_regular(path)?;
        let metadata = copy.metadata()?;
        let is_copy = !self.tail.is_empty()
            && metadata.len() >= self.read_to
            && !self.differs_from(&copy)?
            && self.begins_alike(&copy)?;
        if is_copy {
            self.inode = fingerprint::inode(&metadata);
            self.file = copy;
            self.last_read = Instant::now();
        }
        Ok(is_copy)
    }
}

/// The last bytes of `tail` and `chunk` together.
fn tail_after(tail: &[u8], chunk: &[u8]) -> Vec<u8> {
    let from_tail = ENDING.saturating_sub(chunk.len()).min(tail.len());
    let kept = tail.get(tail.len() - from_tail..).unwrap_or_default();
    let new = chunk
        .get(chunk.len().saturating_sub(ENDING)..)
        .unwrap_or_default();
    [kept, new].concat()
}

/// Where reading goes on after a line.
pub(super) fn origin(file: u128, line: &Line<'_>) -> Origin {
    Origin {
        file,
        end: line.end,
        content: content::hash(line.ending),
    }
}

/// Decodes one line and hands its event over.
pub(super) fn push(
    sink: &LineSink,
    path: &Path,
    position: Origin,
    line: Line<'_>,
) -> Result<(), Closed> {
    let Some(mut event) = sink.records.decode(line.bytes, line.number, line.truncated) else {
        return Ok(());
    };
    event.id = identity::of_line(&position, line.offset);
    event.origin = Some(position);
    event.set(Field::LogFilePath, &path.to_string_lossy());
    sink.records.intake.push_blocking(event)
}
