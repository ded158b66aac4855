//! Frames: the unit that is whole or not there.
//!
//! `SWJ1`, length of the payload (4 bytes), sequence number (8), CRC-32 over
//! length, number and payload (4), payload; all little-endian. The checksum
//! decides: a torn or damaged frame reads as none, and reading goes on at the
//! next whole one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 20;
const MAGIC: [u8; 4] = *b"SWJ1";
/// Largest payload ever read. A writer's batches are far smaller.
const LARGEST: usize = 256 << 20;
/// Bytes looked through at a time for the next whole frame.
const RESYNC: usize = 64 * 1024;

/// Makes room for a frame's header and gives its place.
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    start
}

/// Completes the frame begun at `start`.
pub(crate) fn finish(out: &mut [u8], start: usize, sequence: u64) {
    let Some(frame) = out.get_mut(start..) else {
        return;
    };
    let Some((header, payload)) = frame.split_at_mut_checked(HEADER) else {
        return;
    };
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let sum = checksum(length, sequence, payload);
    let parts: [&[u8]; 4] = [
        &MAGIC,
        &length.to_le_bytes(),
        &sequence.to_le_bytes(),
        &sum.to_le_bytes(),
    ];
    header
        .iter_mut()
        .zip(parts.into_iter().flatten())
        .for_each(|(byte, value)| *byte = *value);
}

fn checksum(length: u32, sequence: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length.to_le_bytes());
    hasher.update(&sequence.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

struct Header {
    length: usize,
    sequence: u64,
    sum: u32,
}

fn header(bytes: &[u8]) -> Option<Header> {
    let mut reader = sidewatch_event::wire::Reader::new(bytes);
    if reader.array()? != MAGIC {
        return None;
    }
    let length = u32::from_le_bytes(reader.array()?);
    let sequence = u64::from_le_bytes(reader.array()?);
    let sum = u32::from_le_bytes(reader.array()?);
    let length = usize::try_from(length).ok().filter(|it| *it <= LARGEST)?;
    Some(Header {
        length,
        sequence,
        sum,
    })
}

/// A frame as read.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) sequence: u64,
    pub(crate) payload: &'a [u8],
}

/// Reads the frames of one file in order, passing over what is damaged.
#[derive(Debug)]
pub(crate) struct FrameReader {
    file: File,
    offset: u64,
    payload: Vec<u8>,
    /// Bytes that belong to no whole frame.
    pub(crate) damaged: u64,
}

impl FrameReader {
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            offset: 0,
            payload: Vec::new(),
            damaged: 0,
        }
    }

    /// Where the last frame that was read ends.
    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The next whole frame; none at the end of what is there. A torn last
    /// frame is no frame, and is looked at again by the next call.
    pub(crate) fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        let Some((start, sequence)) = self.find()? else {
            return Ok(None);
        };
        self.damaged += start - self.offset;
        self.offset = start + (HEADER + self.payload.len()) as u64;
        Ok(Some(Frame {
            sequence,
            payload: &self.payload,
        }))
    }

    fn find(&mut self) -> io::Result<Option<(u64, u64)>> {
        if let Some(sequence) = self.whole_at(self.offset)? {
            return Ok(Some((self.offset, sequence)));
        }
        let mut window = vec![0; RESYNC];
        let mut from = self.offset + 1;
        loop {
            let count = read_at(&self.file, &mut window, from)?;
            let read = window.get(..count).unwrap_or_default();
            let mut at = 0;
            while let Some(found) = read.get(at..).and_then(find_magic) {
                at += found;
                if let Some(sequence) = self.whole_at(from + at as u64)? {
                    return Ok(Some((from + at as u64, sequence)));
                }
                at += 1;
            }
            if count < RESYNC {
                return Ok(None);
            }
            from += (count - MAGIC.len()) as u64;
        }
    }

    /// Reads the frame at `offset` into the buffer if it is whole.
    fn whole_at(&mut self, offset: u64) -> io::Result<Option<u64>> {
        let mut bytes = [0; HEADER];
        if read_at(&self.file, &mut bytes, offset)? < HEADER {
            return Ok(None);
        }
        let Some(header) = header(&bytes) else {
            return Ok(None);
        };
        // A damaged length must not make us allocate what is not there.
        let end = offset + (HEADER + header.length) as u64;
        if self.file.metadata()?.len() < end {
            return Ok(None);
        }
        self.payload.resize(header.length, 0);
        let read = read_at(&self.file, &mut self.payload, offset + HEADER as u64)?;
        let length = u32::try_from(header.length).unwrap_or(u32::MAX);
        let whole =
            read == header.length && checksum(length, header.sequence, &self.payload) == header.sum;
        Ok(whole.then_some(header.sequence))
    }
}

fn find_magic(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(MAGIC.len())
        .position(|window| window == MAGIC)
}

fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn frames(payloads: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for (sequence, payload) in (1..).zip(payloads) {
            let start = begin(&mut out);
            out.extend_from_slice(payload);
            finish(&mut out, start, sequence);
        }
        out
    }

    fn read(bytes: &[u8]) -> (Vec<(u64, Vec<u8>)>, u64) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut reader = FrameReader::new(file);
        let mut found = Vec::new();
        while let Some(frame) = reader.next().unwrap() {
            found.push((frame.sequence, frame.payload.to_vec()));
        }
        (found, reader.damaged)
    }

    #[test]
    fn whole_frames_come_back_in_order() {
        let (found, damaged) = read(&frames(&[b"one", b"", b"three"]));
        let expected = [(1, b"one".to_vec()), (2, vec![]), (3, b"three".to_vec())];
        assert_eq!((found.as_slice(), damaged), (expected.as_slice(), 0));
    }

    #[test]
    fn one_flipped_bit_costs_one_frame_wherever_it_is() {
        let whole = frames(&[b"first frame", b"second frame", b"third frame"]);
        let length = HEADER + 11;
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << (at % 8);
            let (found, _) = read(&damaged);
            let sequences: Vec<_> = found.iter().map(|(sequence, _)| *sequence).collect();
            let lost = if at < length {
                1
            } else if at < 2 * length + 1 {
                2
            } else {
                3
            };
            let expected: Vec<u64> = (1..=3).filter(|one| *one != lost).collect();
            assert_eq!(sequences, expected, "byte {at}");
        }
    }

    #[test]
    fn a_torn_end_is_no_frame() {
        let whole = frames(&[b"first", b"second"]);
        for length in 0..whole.len() {
            let (found, _) = read(&whole[..length]);
            assert_eq!(found.len(), usize::from(length >= HEADER + 5), "{length}");
        }
    }
}
