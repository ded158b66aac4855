//! Where reading of a file begins.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

use sidewatch_event::Origin;

use super::{LineSink, content, fingerprint};

/// Most files that begin alike a new one is compared with: among thousands
/// every one would be with every other.
const MOST_ALIKE: usize = 256;

/// What is known of a file that was opened.
pub(super) enum Whence {
    /// It was read so far.
    Read(Origin),
    /// It was never read; its fingerprint, once that is known.
    New(Option<u128>),
}

/// How far a file has been read. A file of no position goes on where another
/// one ended that it is a copy of, if `is_there` says that the other one is
/// gone.
pub(super) fn position(
    path: &Path,
    file: &File,
    metadata: &Metadata,
    sink: &LineSink,
    is_there: impl Fn(u128) -> io::Result<bool>,
) -> io::Result<Whence> {
    let length = metadata.len();
    let fingerprint = fingerprint::fingerprint(file, false)?;
    match fingerprint.and_then(|fingerprint| sink.positions.load(fingerprint)) {
        Some(known) if content::goes_on(file, length, &known)? => return Ok(Whence::Read(known)),
        Some(known) => {
            tracing::warn!(path = %path.display(), "file was written anew since it was last read; it is read from its beginning");
            return Ok(Whence::Read(Origin::new(known.file, 0)));
        }
        None => {}
    }
    if let Some(begun) = begun_within_line(file, metadata, sink)? {
        return Ok(Whence::Read(begun));
    }
    Ok(match moved(file, length, fingerprint, sink, is_there)? {
        Some(original) => {
            tracing::info!(path = %path.display(), offset = original.end, "file holds what was read from another one that is gone; reading goes on there");
            Whence::Read(original)
        }
        None => Whence::New(fingerprint),
    })
}

/// Where a file goes on whose fingerprint is new because its first line got
/// its end after its beginning had been handed over.
pub(super) fn begun_within_line(
    file: &File,
    metadata: &Metadata,
    sink: &LineSink,
) -> io::Result<Option<Origin>> {
    let mut furthest: Option<Origin> = None;
    for position in sink.positions.of_place(fingerprint::place(metadata)) {
        if furthest.is_none_or(|known| known.end < position.end)
            && content::was_beginning(file, position.file)?
            && content::goes_on(file, metadata.len(), &position)?
        {
            furthest = Some(position);
        }
    }
    Ok(furthest)
}

/// Where a file goes on that holds what was read from another one which is
/// gone: a restored copy, or a disk that got another number.
fn moved(
    file: &File,
    length: u64,
    fingerprint: Option<u128>,
    sink: &LineSink,
    is_there: impl Fn(u128) -> io::Result<bool>,
) -> io::Result<Option<Origin>> {
    let Some(head) = fingerprint.map(fingerprint::head) else {
        return Ok(None);
    };
    let mut alike = sink.positions.of_head(head);
    alike.retain(|position| position.end <= length);
    alike.sort_unstable_by_key(|position| std::cmp::Reverse(position.end));
    for position in alike.into_iter().take(MOST_ALIKE) {
        if content::is_proven(file, length, &position)? && !is_there(position.file)? {
            return Ok(Some(position));
        }
    }
    Ok(None)
}
