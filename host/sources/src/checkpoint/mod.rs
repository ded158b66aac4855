//! How far a file was read, told by the file's content.
//!
//! Names, inodes and sizes change when a log is rotated, copied or packed; what
//! it begins with does not. A [`Checkpoint`] therefore keeps a digest of the
//! beginning of what was read, and is found again whatever the file is called
//! by then, packed or not. [`CheckpointFile`] keeps checkpoints on disk.
//!
//! Invariants:
//! - a file that was cut, replaced or rewritten matches no checkpoint;
//! - offsets count bytes of content (of the unpacked content for gzip), and
//!   always stand at the start of a record.

mod file;
mod find;
mod open;

use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub use file::{CheckpointError, CheckpointFile, OutputMark};
pub use find::{Candidate, assign, rotated_since};
pub use open::{Lines, Opened, look_at, open};

/// Most bytes of a file's beginning that are digested.
pub const HEAD: usize = 64 * 1024;

/// How far one file was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The path that was asked for; a rotated file keeps that of its log.
    pub name: String,
    /// Where the next record starts, in bytes of content.
    pub offset: u64,
    /// Records before it.
    pub lines: u64,
    /// Digest of the first `min(offset, HEAD)` bytes, in hexadecimal.
    pub head: String,
    /// Device and inode it had: decides between files that begin alike.
    pub inode: (u64, u64),
    /// When reading began, in milliseconds since the Unix epoch.
    pub read_at: i64,
}

impl Checkpoint {
    /// A checkpoint at `offset` of a file that begins with `head`.
    #[must_use]
    pub fn new(name: &str, head: &[u8], offset: u64, lines: u64) -> Self {
        Self {
            name: name.to_owned(),
            offset,
            lines,
            head: digest(head.get(..digested(offset)).unwrap_or(head)),
            inode: (0, 0),
            read_at: 0,
        }
    }

    /// Notes which file it was, and when.
    #[must_use]
    pub fn of(mut self, metadata: &Metadata, read_at: i64) -> Self {
        self.inode = (metadata.dev(), metadata.ino());
        self.read_at = read_at;
        self
    }

    /// Whether a file that begins with `head` (its first [`HEAD`] bytes, fewer
    /// only when it is shorter) is the one that was read.
    #[must_use]
    pub fn is_of(&self, head: &[u8]) -> bool {
        self.offset > 0
            && head
                .get(..digested(self.offset))
                .is_some_and(|head| digest(head) == self.head)
    }
}

fn digested(offset: u64) -> usize {
    usize::try_from(offset).map_or(HEAD, |offset| offset.min(HEAD))
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Keeps the beginning of what is read through it.
#[derive(Debug)]
pub struct HeadKeeper<R> {
    reader: R,
    head: Vec<u8>,
}

impl<R: Read> HeadKeeper<R> {
    /// Starts at the beginning of `reader`.
    #[must_use]
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            head: Vec::new(),
        }
    }

    /// Goes on in a reader that stands behind `head`.
    #[must_use]
    pub fn behind(reader: R, head: Vec<u8>) -> Self {
        Self { reader, head }
    }

    /// The first bytes read so far, up to [`HEAD`].
    #[must_use]
    pub fn head(&self) -> &[u8] {
        &self.head
    }
}

impl<R: Read> Read for HeadKeeper<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        let room = HEAD.saturating_sub(self.head.len());
        if room > 0 {
            let read = buffer.get(..count.min(room)).unwrap_or_default();
            self.head.extend_from_slice(read);
        }
        Ok(count)
    }
}

/// Reads up to [`HEAD`] bytes.
///
/// # Errors
/// Whatever the reader reports.
pub fn read_head(reader: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    reader.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_only_grew_is_known_again() {
        let content = b"one\ntwo\nthree\n";
        let checkpoint = Checkpoint::new("a", content, 8, 2);
        assert!(checkpoint.is_of(b"one\ntwo\n"));
        assert!(checkpoint.is_of(b"one\ntwo\nand more\n"));
        assert!(!checkpoint.is_of(b"one\ntwo"), "it was cut");
        assert!(!checkpoint.is_of(b"one\n2wo\nthree\n"), "it was rewritten");
    }

    #[test]
    fn only_the_beginning_of_a_long_file_is_compared() {
        let mut content = vec![b'x'; 3 * HEAD];
        let offset = content.len() as u64;
        let mut keeper = HeadKeeper::new(content.as_slice());
        io::copy(&mut keeper, &mut io::sink()).unwrap();
        let checkpoint = Checkpoint::new("a", keeper.head(), offset, 1);
        let head = read_head(&mut content.as_slice()).unwrap();
        assert_eq!(head.len(), HEAD);
        assert!(checkpoint.is_of(&head));
        content[HEAD - 1] = b'y';
        assert!(!checkpoint.is_of(&read_head(&mut content.as_slice()).unwrap()));
    }

    #[test]
    fn nothing_read_matches_nothing() {
        assert!(!Checkpoint::new("a", b"", 0, 0).is_of(b"anything"));
    }
}
