//! What a source has seen, as numbers anyone may read at any time.
//!
//! Invariant, exact whenever the source is idle:
//! `received = decoded + rejected + unauthenticated + shed_queue_full + shed_closing`.
//! Everything else stands beside that identity: `kernel_dropped` never reached
//! us, `truncated` records are part of `decoded`.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::file::FileHealth;

macro_rules! counters {
    ($($(#[$documentation:meta])* $name:ident,)+) => {
        /// Counters of one source; they only grow.
        #[derive(Debug, Default)]
        pub struct SourceCounters {
            $($(#[$documentation])* pub $name: AtomicU64,)+
            /// Which followed files can be read now; it comes and goes.
            pub files: FileHealth,
        }

        /// The counters at one moment.
        #[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
        pub struct SourceCounts { $($(#[$documentation])* pub $name: u64,)+ }

        impl SourceCounters {
            /// Reads all counters. They are read one after the other, so the
            /// identity may be off by what arrives meanwhile.
            #[must_use]
            pub fn snapshot(&self) -> SourceCounts {
                SourceCounts { $($name: self.$name.load(Ordering::Relaxed),)+ }
            }
        }

        impl SourceCounts {
            /// Every counter with its metric name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)+].into_iter()
            }
        }
    };
}

counters! {
    /// Records that arrived, whatever became of them.
    received,
    /// Bytes of those records, framing excluded.
    bytes,
    /// Records handed to the pipeline.
    decoded,
    /// Records the codec could not read, or requests the protocol forbids.
    rejected,
    /// Requests without a valid secret.
    unauthenticated,
    /// Events refused because the hand-over queue was full.
    shed_queue_full,
    /// Events refused because the pipeline had gone.
    shed_closing,
    /// Records cut to a bound; they are part of `decoded` or `rejected`.
    truncated,
    /// Mirrored requests that do not say who connected to nginx (`X-Real-IP`);
    /// they are part of `decoded`.
    without_address,
    /// Datagrams the kernel dropped before we could read them.
    kernel_dropped,
    /// Bytes of a file that were overwritten or cut off before we read them.
    lost_bytes,
    /// Connections accepted.
    connections,
    /// Connections closed at once because there were too many.
    connections_refused,
    /// Connections closed because the peer was too slow.
    connections_timed_out,
}

impl SourceCounts {
    /// Whether every received record is accounted for.
    #[must_use]
    pub fn is_conserved(&self) -> bool {
        self.received
            == self.decoded
                + self.rejected
                + self.unauthenticated
                + self.shed_queue_full
                + self.shed_closing
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

/// Adds one to a counter.
pub(crate) fn one(counter: &AtomicU64) {
    add(counter, 1);
}
