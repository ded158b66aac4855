//! The files of the journal: `<first sequence number>.journal`.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::batch::{self, sections};
use crate::error::{StoreError, at};
use crate::frame::FrameReader;
use crate::progress::Progress;

const SUFFIX: &str = ".journal";

/// A file of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Sequence number of its first frame.
    pub(crate) first: u64,
    /// Its length.
    pub(crate) bytes: u64,
    /// The sinks its records go to; all, when it is of an earlier run.
    pub(crate) addressees: u64,
}

pub(crate) fn path(directory: &Path, first: u64) -> PathBuf {
    directory.join(format!("{first:020}{SUFFIX}"))
}

/// The segments of a directory, oldest first.
pub(crate) fn list(directory: &Path) -> Result<Vec<Segment>, StoreError> {
    let entries = std::fs::read_dir(directory).map_err(at("read", directory))?;
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at("read", directory))?;
        let name = entry.file_name();
        let first = name
            .to_str()
            .and_then(|name| name.strip_suffix(SUFFIX))
            .and_then(|number| number.parse().ok());
        if let (Some(first), Ok(metadata)) = (first, entry.metadata()) {
            let bytes = metadata.len();
            segments.push(Segment {
                first,
                bytes,
                addressees: u64::MAX,
            });
        }
    }
    segments.sort_by_key(|segment| segment.first);
    Ok(segments)
}

/// What every frame says of the journal as a whole.
#[derive(Debug, Default, Clone)]
pub(crate) struct Summary {
    /// Names of the sinks, in the order of the bits of a record.
    pub(crate) sinks: Vec<String>,
    pub(crate) progress: Vec<Progress>,
    /// Oldest frame that is needed for more than the sinks.
    pub(crate) replay_from: u64,
    /// The sinks its records go to, together.
    pub(crate) addressees: Option<u64>,
    /// The first frame written with it under one sync; older releases did not
    /// say.
    pub(crate) group: Option<u64>,
}

pub(crate) fn summary(payload: &[u8]) -> Summary {
    let mut summary = Summary::default();
    for (tag, mut reader) in sections(payload) {
        match tag {
            batch::SINKS => summary.sinks = batch::read_sinks(reader),
            batch::PROGRESS => summary.progress = batch::read_progress(reader),
            batch::LOSSES => batch::read_losses(reader, &mut summary.progress),
            batch::REPLAY_FROM => summary.replay_from = reader.integer().unwrap_or(0),
            batch::GROUP => summary.group = reader.integer(),
            batch::ADDRESSEES => summary.addressees = reader.integer(),
            _ => {}
        }
    }
    summary
}

/// Walks over frames, segment by segment, each sequence number once.
pub(crate) struct Walk<'a> {
    directory: &'a Path,
    segments: Vec<Segment>,
    next_segment: usize,
    reader: Option<(FrameReader, u64)>,
    from: u64,
    /// Bytes passed over because they are no whole frame.
    pub(crate) damaged_bytes: u64,
}

impl<'a> Walk<'a> {
    /// From the frame `from` on, as far as it is still there.
    pub(crate) fn new(directory: &'a Path, segments: Vec<Segment>, from: u64) -> Self {
        let next_segment = segments
            .partition_point(|segment| segment.first <= from)
            .saturating_sub(1);
        Self {
            directory,
            segments,
            next_segment,
            reader: None,
            from,
            damaged_bytes: 0,
        }
    }

    /// Hands the next frame to `look`; `false` when there is none.
    pub(crate) fn next(&mut self, mut look: impl FnMut(u64, &[u8])) -> Result<bool, StoreError> {
        loop {
            let Some((reader, end)) = &mut self.reader else {
                let Some(segment) = self.segments.get(self.next_segment) else {
                    return Ok(false);
                };
                let path = path(self.directory, segment.first);
                self.next_segment += 1;
                let next = self.segments.get(self.next_segment);
                let end = next.map_or(u64::MAX, |next| next.first);
                let file = match File::open(&path) {
                    Ok(file) => file,
                    // Nobody can bring it back; what sinks miss is counted.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                        tracing::error!(path = %path.display(), "a file of the journal is gone");
                        continue;
                    }
                    Err(error) => return Err(at("open", &path)(error)),
                };
                self.reader = Some((FrameReader::new(file), end));
                continue;
            };
            let found = reader.next();
            match found.map_err(at("read", self.directory))? {
                Some(frame) if frame.sequence >= *end => {}
                Some(frame) if frame.sequence < self.from => continue,
                Some(frame) => {
                    self.from = frame.sequence + 1;
                    look(frame.sequence, frame.payload);
                    return Ok(true);
                }
                None => {}
            }
            if let Some((reader, _)) = self.reader.take() {
                self.damaged_bytes += reader.damaged;
            }
        }
    }
}
