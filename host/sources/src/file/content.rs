//! Whether the same content goes on at a stored offset.
//!
//! A position carries a hash of the last bytes before it. So it is known again
//! whether a line ends there or not, and also in a copy of the file or on a
//! disk that got another number. Positions of older releases carry none: for
//! those a line, or the file, has to end at the offset.

use std::fs::File;
use std::hash::Hasher;
use std::io;

use sidewatch_event::Origin;
use siphasher::sip::SipHasher13;

use super::fingerprint::{self, HEAD, read_at};
use crate::lines::ENDING;

/// The hash of the bytes before an offset, given in parts; never 0.
///
/// It is stored with positions: how it is made may never change.
pub(super) fn hash(parts: [&[u8]; 2]) -> u64 {
    let mut hasher = SipHasher13::new();
    parts.iter().for_each(|part| hasher.write(part));
    hasher.finish().max(1)
}

/// The last bytes before an offset of a file.
pub(super) fn before(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let length = usize::try_from(offset).unwrap_or(ENDING).min(ENDING);
    let mut bytes = vec![0; length];
    let read = read_at(file, &mut bytes, offset - length as u64)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Whether the file, of that length, goes on where a position says.
pub(super) fn goes_on(file: &File, length: u64, position: &Origin) -> io::Result<bool> {
    if position.content == 0 {
        return ends_line(file, position.end, length);
    }
    is_same(file, length, position)
}

/// Whether a file is proven to hold what was read elsewhere: an ending too
/// short to tell contents apart proves nothing.
pub(super) fn is_proven(file: &File, length: u64, position: &Origin) -> io::Result<bool> {
    Ok(position.content != 0 && position.end >= ENDING as u64 && is_same(file, length, position)?)
}

fn is_same(file: &File, length: u64, position: &Origin) -> io::Result<bool> {
    Ok(position.end <= length && hash([&before(file, position.end)?, &[]]) == position.content)
}

/// Whether a file begins as the one of this fingerprint did. Endings alone do
/// not tell contents apart: lines of one length may end alike.
pub(super) fn begins_as(file: &File, fingerprint: u128) -> io::Result<bool> {
    let (head, wanted) = (beginning(file)?, fingerprint::head(fingerprint));
    Ok(fingerprint::hash_of_head(&head, true) == Some(wanted) || was_all_of(&head, wanted))
}

/// Whether a file was first handed over when its first line had no end yet, or
/// not even begun: its fingerprint is one of what there was then.
pub(super) fn was_beginning(file: &File, fingerprint: u128) -> io::Result<bool> {
    Ok(was_all_of(
        &beginning(file)?,
        fingerprint::head(fingerprint),
    ))
}

fn beginning(file: &File) -> io::Result<Vec<u8>> {
    let mut head = vec![0; HEAD];
    let length = read_at(file, &mut head, 0)?;
    head.truncate(length);
    Ok(head)
}

/// Whether this is the hash of a part of the first line, from its beginning on.
fn was_all_of(head: &[u8], wanted: u64) -> bool {
    let mut hasher = SipHasher13::new();
    let line = head.iter().take_while(|byte| **byte != b'\n');
    hasher.finish() == wanted
        || line.into_iter().any(|byte| {
            hasher.write(&[*byte]);
            hasher.finish() == wanted
        })
}

/// Whether reading from here on begins in the middle of a line.
pub(super) fn splits_line(file: &File, offset: u64) -> io::Result<bool> {
    if offset == 0 {
        return Ok(false);
    }
    let mut last = [0];
    let read = read_at(file, &mut last, offset - 1)?;
    // Holes before a line do not belong to it.
    Ok(read == 1 && last != [b'\n'] && last != [0])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_stored_positions_never_changes() {
        assert_eq!(hash([b"one\n", b"two\n"]), hash([b"one\ntwo\n", b""]));
        assert_ne!(hash([b"one\n", b""]), hash([b"two\n", b""]));
        assert_eq!(hash([b"one\ntwo\n", b""]), 6_288_864_812_790_767_274);
    }
}
