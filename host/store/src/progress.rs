//! How far one sink came, and what may happen when it falls behind.
//!
//! `offered = delivered + filtered + rejected + dropped + moved + waiting`:
//! the numbers are part of every frame, so the identity holds across restarts.

use sidewatch_event::wire::{Reader, put_integer};

/// A place in the journal: a frame and a record in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Cursor {
    pub(crate) sequence: u64,
    pub(crate) record: u64,
}

/// What to do when a sink's records would take more room than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Nothing more is taken from any source until there is room.
    Block,
    /// The sink loses its oldest records, whatever they are.
    DropOldest,
    /// The sink loses its oldest events, but keeps its findings.
    #[default]
    DropByPriority,
}

/// How much may wait for a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Name of the sink.
    pub name: String,
    /// Bytes of journal that may be kept for it.
    pub max_bytes: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
}

/// The numbers of one sink since it was first configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    pub(crate) cursor: Cursor,
    /// Records put into the journal for it.
    pub offered: u64,
    /// Records it took.
    pub delivered: u64,
    /// Records its settings left out.
    pub filtered: u64,
    /// Records refused for good; they are among the dead letters.
    pub rejected: u64,
    /// Records dropped because too many waited.
    pub dropped: u64,
    /// Findings kept from among dropped records by offering them again.
    pub moved: u64,
    /// Records lost to damage of the journal.
    pub damaged: u64,
}

impl Progress {
    /// Records that wait for the sink.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let ended = self.delivered
            + self.filtered
            + self.rejected
            + self.dropped
            + self.moved
            + self.damaged;
        self.offered.saturating_sub(ended)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for number in [
            self.cursor.sequence,
            self.cursor.record,
            self.offered,
            self.delivered,
            self.filtered,
            self.rejected,
            self.dropped,
            self.moved,
            self.damaged,
        ] {
            put_integer(out, number);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            cursor: Cursor {
                sequence: reader.integer()?,
                record: reader.integer()?,
            },
            offered: reader.integer()?,
            delivered: reader.integer()?,
            filtered: reader.integer()?,
            rejected: reader.integer()?,
            dropped: reader.integer()?,
            moved: reader.integer()?,
            damaged: reader.integer()?,
        })
    }
}
