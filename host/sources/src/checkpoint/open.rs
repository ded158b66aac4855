//! Opens a file where a checkpoint says, packed or not.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use super::{Candidate, Checkpoint, HEAD, HeadKeeper, digested, read_head};
use crate::lines::LineReader;
use crate::replay::{Input, is_gzip, unpack};

/// Lines of a file whose beginning is kept.
pub type Lines = LineReader<HeadKeeper<Input>>;

/// A file opened to be read on.
pub struct Opened {
    /// Its lines from the checkpoint on.
    pub lines: Lines,
    /// The file's own.
    pub metadata: Metadata,
    /// Nothing is ever added to it, so a last line without its end is one.
    pub complete: bool,
}

/// What tells a file from others.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub fn look_at(path: &Path) -> io::Result<Candidate> {
    let mut file = File::open(path)?;
    let metadata = regular(&file)?;
    let packed = is_gzip(&file);
    let head = if packed {
        read_head(&mut unpack(file))?
    } else {
        read_head(&mut file)?
    };
    let length = (!packed).then_some(metadata.len());
    Ok(Candidate::new(&metadata, head, length))
}

/// Opens a file behind `checkpoint`, or at its beginning.
///
/// # Errors
/// It cannot be read, is no regular file, or has become shorter meanwhile.
pub fn open(path: &Path, limit: usize, checkpoint: Option<&Checkpoint>) -> io::Result<Opened> {
    let mut file = File::open(path)?;
    let metadata = regular(&file)?;
    let (offset, lines) = checkpoint.map_or((0, 0), |point| (point.offset, point.lines));
    let complete = is_gzip(&file);
    let reader: HeadKeeper<Input> = if complete {
        let mut reader = HeadKeeper::new(Box::new(unpack(file)) as Input);
        let skipped = io::copy(&mut (&mut reader).take(offset), &mut io::sink())?;
        if skipped < offset {
            let text = "it is shorter than when it was last read";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        reader
    } else {
        let mut head = read_head(&mut file)?;
        head.truncate(digested(offset).min(HEAD));
        file.seek(SeekFrom::Start(offset))?;
        HeadKeeper::behind(Box::new(file) as Input, head)
    };
    Ok(Opened {
        lines: LineReader::resumed(reader, limit, offset, lines),
        metadata,
        complete,
    })
}

fn regular(file: &File) -> io::Result<Metadata> {
    let metadata = file.metadata()?;
    if metadata.is_file() {
        Ok(metadata)
    } else {
        Err(io::Error::other(
            "it is no regular file, so reading cannot go on where it stopped",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write as _;

    fn rest(opened: &mut Opened) -> Vec<(u64, String)> {
        let mut lines = Vec::new();
        while let Some(line) = opened.lines.next_whole_line().unwrap() {
            lines.push((line.number, String::from_utf8(line.bytes.to_vec()).unwrap()));
        }
        lines
    }

    #[test]
    fn reading_goes_on_in_a_file_that_was_packed_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let mut opened = open(&path, 100, None).unwrap();
        assert_eq!(rest(&mut opened), [(1, "one".into()), (2, "two".into())]);
        assert_eq!(opened.lines.pending(), 3, "the third line has no end yet");
        let point = Checkpoint::new("log", opened.lines.reader().head(), 8, 2);

        std::fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert!(point.is_of(&look_at(&path).unwrap().head));
        let mut opened = open(&path, 100, Some(&point)).unwrap();
        assert_eq!(rest(&mut opened), [(3, "three".into())]);
        assert_eq!(opened.lines.reader().head(), b"one\ntwo\nthree\n");

        let packed = directory.path().join("log.1.gz");
        let mut encoder = GzEncoder::new(File::create(&packed).unwrap(), Compression::fast());
        encoder.write_all(b"one\ntwo\nthree\n").unwrap();
        encoder.finish().unwrap();
        assert!(point.is_of(&look_at(&packed).unwrap().head));
        let mut opened = open(&packed, 100, Some(&point)).unwrap();
        assert!(opened.complete);
        assert_eq!(rest(&mut opened), [(3, "three".into())]);
    }
}
