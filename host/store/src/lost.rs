//! Records that were lost, by the reason why, and how many of them were told.
//!
//! Both are part of every frame: a loss shortly before the end of a run, of
//! whatever kind, is told by the next one.

use sidewatch_event::wire::{Reader, put_integer};

/// Why records are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LossReason {
    /// More waited than may.
    BufferFull,
    /// The disk was full.
    DiskFull,
    /// Their sink was taken out of the configuration.
    SinkRemoved,
    /// The journal was damaged.
    Damaged,
}

impl LossReason {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::BufferFull,
        Self::DiskFull,
        Self::SinkRemoved,
        Self::Damaged,
    ];

    /// How it is called in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BufferFull => "buffer-full",
            Self::DiskFull => "disk-full",
            Self::SinkRemoved => "sink-removed",
            Self::Damaged => "damaged",
        }
    }

    /// The reason of a name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.name() == name)
    }
}

/// Numbers of records by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// See [`LossReason::BufferFull`].
    pub buffer_full: u64,
    /// See [`LossReason::DiskFull`].
    pub disk_full: u64,
    /// See [`LossReason::SinkRemoved`].
    pub sink_removed: u64,
    /// See [`LossReason::Damaged`].
    pub damaged: u64,
}

impl Lost {
    /// How many for a reason.
    #[must_use]
    pub const fn by(&self, reason: LossReason) -> u64 {
        match reason {
            LossReason::BufferFull => self.buffer_full,
            LossReason::DiskFull => self.disk_full,
            LossReason::SinkRemoved => self.sink_removed,
            LossReason::Damaged => self.damaged,
        }
    }

    /// Counts more of them.
    pub const fn add(&mut self, reason: LossReason, records: u64) {
        let number = match reason {
            LossReason::BufferFull => &mut self.buffer_full,
            LossReason::DiskFull => &mut self.disk_full,
            LossReason::SinkRemoved => &mut self.sink_removed,
            LossReason::Damaged => &mut self.damaged,
        };
        *number = number.saturating_add(records);
    }

    pub(crate) fn sum(&self) -> u64 {
        LossReason::ALL.map(|reason| self.by(reason)).iter().sum()
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for reason in LossReason::ALL {
            put_integer(out, self.by(reason));
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let mut lost = Self::default();
        for reason in LossReason::ALL {
            lost.add(reason, reader.integer()?);
        }
        Some(lost)
    }
}
