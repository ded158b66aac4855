//! What makes a file the same file.
//!
//! A name is not enough (rotation), an inode neither (it is used again). The
//! upper half of a fingerprint is a hash of the beginning (the first line, or
//! its first 1024 bytes), the lower half one of device, inode and time of
//! birth. So it survives renaming, changes when a file is cut and written anew,
//! and its upper half knows copies and packed files.

use std::fs::{File, Metadata};
use std::hash::Hasher;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use siphasher::sip::SipHasher13;

/// Most bytes of a beginning that count.
pub(super) const HEAD: usize = 1024;

/// Device and inode: tells whether a name still means the file we hold.
pub(super) type Inode = (u64, u64);

pub(super) fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}

/// The fingerprint; none while the first line is not complete, unless the file
/// is `final_` and will not grow any more.
pub(super) fn fingerprint(file: &File, final_: bool) -> io::Result<Option<u128>> {
    let mut head = [0; HEAD];
    let length = read_at(file, &mut head, 0)?;
    let head = head.get(..length).unwrap_or_default();
    let Some(head) = hash_of_head(head, final_) else {
        return Ok(None);
    };
    let place = place(&file.metadata()?);
    Ok(Some(u128::from(head) << 64 | u128::from(place)))
}

/// The lower half of a fingerprint: device, inode and time of birth.
pub(super) fn place(metadata: &Metadata) -> u64 {
    let born = metadata
        .created()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos());
    let mut hasher = SipHasher13::new();
    hasher.write(&metadata.dev().to_le_bytes());
    hasher.write(&metadata.ino().to_le_bytes());
    hasher.write(&born.to_le_bytes());
    hasher.finish()
}

/// The hash of a beginning, as in the upper half of a fingerprint.
pub(super) fn hash_of_head(head: &[u8], final_: bool) -> Option<u64> {
    // A hole at the beginning is filled by nobody, so NULs count like others.
    let first_line = memchr::memchr(b'\n', head).and_then(|end| head.get(..=end));
    let beginning = match first_line {
        Some(line) => line,
        None if head.len() == HEAD || final_ => head,
        None => return None,
    };
    let mut hasher = SipHasher13::new();
    hasher.write(beginning);
    Some(hasher.finish())
}

/// The upper half of the fingerprint of content read from its beginning.
pub(super) fn head_of(content: impl Read) -> io::Result<Option<u64>> {
    let mut head = Vec::with_capacity(HEAD);
    content.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(hash_of_head(&head, true))
}

/// What a name is remembered by, as if it were a file: since when it is
/// followed.
pub(super) fn of_name(path: &Path) -> u128 {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    [b"name", b"NAME"].into_iter().fold(0, |hash, kind| {
        let mut hasher = SipHasher13::new();
        hasher.write(kind);
        hasher.write(path.as_os_str().as_bytes());
        hash << 64 | u128::from(hasher.finish())
    })
}

/// The upper half of a fingerprint.
pub(super) fn head(fingerprint: u128) -> u64 {
    (fingerprint >> 64) as u64
}

/// The lower half of a fingerprint.
pub(super) fn place_of(fingerprint: u128) -> u64 {
    fingerprint as u64
}

/// Reads at a position until `buffer` is full or the file ends.
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
