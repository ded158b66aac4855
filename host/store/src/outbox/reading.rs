//! A sink that fell behind what is in memory: its records are read from the
//! journal, frame by frame and segment by segment, and what damage took is
//! counted.

use std::sync::Arc;

use sidewatch_event::Delivery;

use super::{Found, FromFile, Outbox, OwnedWalk, decode};
use crate::error::StoreError;
use crate::progress::Cursor;
use crate::segment;

/// Frames read before others have a turn.
const FRAMES_AT_ONCE: usize = 16;

impl Outbox {
    /// Reads on in the files, over several frames where they are small: a sink
    /// pays for every batch. Whether anything was given out.
    pub(super) fn take_from_files(
        &mut self,
        limit: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<bool, StoreError> {
        let before = into.len();
        for _ in 0..FRAMES_AT_ONCE {
            let left = limit.saturating_sub(into.len() - before);
            if left == 0 {
                break;
            }
            match self.take_from_file(left, into) {
                Ok(true) => {}
                Ok(false) => break,
                // What was given out goes first; the next call meets it again.
                Err(_) if into.len() > before => break,
                Err(error) => return Err(error),
            }
        }
        Ok(into.len() > before)
    }

    /// Reads on in the files, at most to the end of a frame. Whether anything
    /// was given out.
    fn take_from_file(
        &mut self,
        limit: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<bool, StoreError> {
        if self
            .read
            .as_ref()
            .is_none_or(|read| read.sequence != self.at.sequence)
            && !self.read_frame()?
        {
            return Ok(false);
        }
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        let Some(read) = &self.read else {
            return Ok(false);
        };
        let progress = state.progress.get(self.sink);
        if progress.is_none_or(|progress| progress.cursor > self.at) {
            // Dropped while we read, and counted as such.
            return Ok(false);
        }
        let before = into.len();
        let mut places = Vec::new();
        let skip = usize::try_from(self.at.record).unwrap_or(usize::MAX);
        let mut full = false;
        for (record, outgoing) in (0..).zip(&read.records).skip(skip) {
            if outgoing.sinks >> read.bit & 1 == 0 {
                continue;
            }
            full = into.len() - before == limit;
            if full {
                break;
            }
            into.push(outgoing.delivery.clone());
            self.at.record = record + 1;
            places.push(self.at);
        }
        if !full {
            self.at = Cursor {
                sequence: read.sequence + 1,
                record: 0,
            };
            self.read = None;
        }
        let any = !places.is_empty();
        state.give(self.sink, places);
        Ok(any)
    }

    /// Reads the frame at our place, or the first one after it.
    fn read_frame(&mut self) -> Result<bool, StoreError> {
        // All frames before this one were written before we look.
        let window_from = self.shared.lock().window_from;
        let name = std::mem::take(&mut self.name);
        let found = self.next_frame(&name, window_from);
        self.name = name;
        match found? {
            Found::Before => Ok(false),
            Found::End => {
                self.walk = None;
                let next = self
                    .following_segment()
                    .map_or(window_from, |next| next.min(window_from));
                self.go_to(next.max(self.at.sequence));
                Ok(false)
            }
            Found::NotForUs(sequence) => {
                self.go_to(sequence + 1);
                Ok(false)
            }
            Found::Records(read) => {
                if read.sequence > self.at.sequence {
                    self.go_to(read.sequence);
                }
                self.account_for_damage(&read);
                self.read = Some(read);
                Ok(true)
            }
        }
    }

    fn go_to(&mut self, sequence: u64) {
        self.at = Cursor {
            sequence,
            record: 0,
        };
    }

    fn next_frame(&mut self, name: &str, window_from: u64) -> Result<Found, StoreError> {
        let directory = self.shared.directory.clone();
        let at = self.at.sequence;
        if self.is_segment_for_others() {
            return Ok(Found::End);
        }
        let Some((walk, end)) = self.walk_at()? else {
            return Ok(Found::End);
        };
        let end = end.min(window_from);
        let next = walk.frames.next();
        Ok(match next.map_err(crate::error::at("read", &directory))? {
            Some(frame) if frame.sequence < at => Found::Before,
            Some(frame) if frame.sequence < end => decode(frame.sequence, frame.payload, name)
                .map_or(Found::NotForUs(frame.sequence), Found::Records),
            _ => Found::End,
        })
    }

    /// Whether the segment we are in holds nothing for us.
    fn is_segment_for_others(&self) -> bool {
        let state = self.shared.lock();
        let after = state
            .segments
            .partition_point(|segment| segment.first <= self.at.sequence);
        let segment = after.checked_sub(1).and_then(|at| state.segments.get(at));
        segment.is_some_and(|segment| segment.addressees >> self.sink & 1 == 0)
    }

    /// First frame of the segment after ours.
    fn following_segment(&self) -> Option<u64> {
        let state = self.shared.lock();
        let after = state
            .segments
            .partition_point(|segment| segment.first <= self.at.sequence);
        state.segments.get(after).map(|segment| segment.first)
    }

    /// The walk over the segment our place is in, and where that segment ends
    /// by now: another may have been begun since the walk was.
    fn walk_at(&mut self) -> Result<Option<(&mut OwnedWalk, u64)>, StoreError> {
        let (segment, end) = {
            let state = self.shared.lock();
            let after = state
                .segments
                .partition_point(|segment| segment.first <= self.at.sequence);
            let segment = state.segments.get(after.saturating_sub(1)).cloned();
            let end = state
                .segments
                .get(after.max(1))
                .map_or(u64::MAX, |next| next.first);
            (segment, end)
        };
        let Some(segment) = segment else {
            return Ok(None);
        };
        if self
            .walk
            .as_ref()
            .is_none_or(|walk| walk.first != segment.first)
        {
            self.walk = None;
            let path = segment::path(&self.shared.directory, segment.first);
            match std::fs::File::open(&path) {
                Ok(file) => {
                    self.walk = Some(OwnedWalk {
                        frames: crate::frame::FrameReader::new(file),
                        first: segment.first,
                    });
                }
                // Dropped meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(crate::error::at("open", &path)(error)),
            }
        }
        Ok(self.walk.as_mut().map(|walk| (walk, end)))
    }

    /// Frames that could not be read are missing between what we had and what
    /// this frame says was offered.
    fn account_for_damage(&self, read: &FromFile) {
        if self.at.record > 0 {
            return;
        }
        let in_frame = read
            .records
            .iter()
            .filter(|it| it.sinks >> read.bit & 1 == 1)
            .count();
        self.account(
            &mut self.shared.lock(),
            read.offered.saturating_sub(in_frame as u64),
        );
    }
}
