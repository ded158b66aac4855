//! How far one sink came, and what may happen when it falls behind.
//!
//! `offered = delivered + filtered + rejected + lost + moved + waiting`: the
//! numbers are part of every frame, so the identity holds across restarts.

use sidewatch_event::wire::{Reader, put_integer};

use crate::lost::{LossReason, Lost};

/// A place in the journal: a frame and a record in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Cursor {
    pub(crate) sequence: u64,
    pub(crate) record: u64,
}

impl Cursor {
    /// The place after the record here.
    pub(crate) const fn after(self) -> Self {
        Self {
            record: self.record + 1,
            ..self
        }
    }
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
    /// Findings kept from among dropped records by offering them again.
    pub moved: u64,
    /// Records it will never get, by reason.
    pub lost: Lost,
    /// How many of those were told.
    pub told: Lost,
}

impl Progress {
    /// Records that wait for the sink.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.offered.saturating_sub(self.ended())
    }

    /// Records whose fate is known.
    pub(crate) fn ended(&self) -> u64 {
        self.delivered + self.filtered + self.rejected + self.moved + self.lost.sum()
    }

    /// Records that were dropped, for whatever reason.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lost.sum() - self.lost.damaged
    }

    /// Counts records it will never get.
    pub(crate) fn lose(&mut self, lost: &Lost) {
        for reason in LossReason::ALL {
            self.lost.add(reason, lost.by(reason));
        }
    }

    /// Whether there is a loss that was not told yet.
    pub(crate) fn has_untold(&self) -> bool {
        let untold = |reason| self.lost.by(reason) > self.told.by(reason);
        LossReason::ALL.into_iter().any(untold)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for number in [
            self.cursor.sequence,
            self.cursor.record,
            self.offered,
            self.delivered,
            self.filtered,
            self.rejected,
            self.dropped(),
            self.moved,
            self.lost.damaged,
        ] {
            put_integer(out, number);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut progress = Self {
            cursor: Cursor {
                sequence: reader.integer()?,
                record: reader.integer()?,
            },
            offered: reader.integer()?,
            delivered: reader.integer()?,
            filtered: reader.integer()?,
            rejected: reader.integer()?,
            ..Self::default()
        };
        progress.lost.buffer_full = reader.integer()?;
        progress.moved = reader.integer()?;
        progress.lost.damaged = reader.integer()?;
        // An older release does not tell reasons, and told what it lost.
        progress.told = progress.lost;
        Some(progress)
    }

    /// The reasons of the losses, which [`Progress::write`] has as sums.
    pub(crate) fn write_losses(&self, out: &mut Vec<u8>) {
        self.lost.write(out);
        self.told.write(out);
    }

    pub(crate) fn read_losses(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        (self.lost, self.told) = (Lost::read(reader)?, Lost::read(reader)?);
        Some(())
    }
}
