//! Opens what `replay` and the file source read once: plain files, gzip files
//! and standard input.
//!
//! Invariant: a gzip file may expand to at most [`MAX_RATIO`] times its size
//! (beyond a floor), so that a small hostile file cannot keep us busy for ever.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use crate::lines::LineReader;

/// Most bytes a gzip file may give per byte of its own.
pub const MAX_RATIO: u64 = 100;

/// Bytes a gzip file may give whatever its size.
const FREE: u64 = 16 * 1024 * 1024;

const GZIP_MAGIC: [u8; 2] = [0x1F, 0x8B];

/// What [`open`] gives.
pub type Input = Box<dyn Read + Send>;

/// Opens a file, unpacking it when its first bytes say gzip (of any number of
/// members); `-` is standard input, never unpacked.
///
/// # Errors
/// The file cannot be opened or read.
pub fn open(path: &Path) -> io::Result<Input> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path)?;
    if is_gzip(&file) {
        Ok(Box::new(unpack(file)))
    } else {
        Ok(Box::new(file))
    }
}

/// Whether a file's first bytes say gzip. A pipe cannot be read at a position,
/// and is not unpacked.
pub(crate) fn is_gzip(file: &File) -> bool {
    use std::os::unix::fs::FileExt;
    let mut start = [0; 2];
    matches!(file.read_at(&mut start, 0), Ok(2)) && start == GZIP_MAGIC
}

/// Lines of a file, a gzip file or (`-`) standard input.
///
/// # Errors
/// The file cannot be opened or read.
pub fn open_lines(path: &Path, limit: usize) -> io::Result<LineReader<Input>> {
    Ok(LineReader::new(open(path)?, limit))
}

/// Unpacks gzip data within the ratio.
pub(crate) fn unpack<R: Read>(packed: R) -> Unpacker<R> {
    let counted = Counted {
        inner: packed,
        count: 0,
    };
    let decoder = MultiGzDecoder::new(BufReader::with_capacity(64 * 1024, counted));
    Unpacker { decoder, given: 0 }
}

pub(crate) struct Unpacker<R> {
    decoder: MultiGzDecoder<BufReader<Counted<R>>>,
    given: u64,
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.given += count as u64;
        let taken = self.decoder.get_ref().get_ref().count;
        if self.given > FREE.max(taken.saturating_mul(MAX_RATIO)) {
            let text = "gzip data expands more than 100 times; unpack it by hand if it is genuine";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(count)
    }
}

struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn pack(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_member_of_a_gzip_file_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log.gz");
        let mut content = pack(b"one\ntwo\n");
        content.extend(pack(b"three\n"));
        std::fs::write(&path, content).unwrap();
        let mut lines = open_lines(&path, 100).unwrap();
        let mut seen = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            seen.push(String::from_utf8(line.bytes.to_vec()).unwrap());
        }
        assert_eq!(seen, ["one", "two", "three"]);
    }

    #[test]
    fn a_decompression_bomb_is_refused_after_a_bounded_amount() {
        let packed = pack(&vec![b'a'; 64 * 1024 * 1024]);
        let mut unpacker = unpack(packed.as_slice());
        let mut total = 0;
        let mut buffer = vec![0; 64 * 1024];
        let error = loop {
            match unpacker.read(&mut buffer) {
                Ok(0) => panic!("the bomb was read to its end"),
                Ok(count) => total += count as u64,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(total <= FREE.max(packed.len() as u64 * MAX_RATIO));
    }
}
