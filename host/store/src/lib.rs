//! Nothing lost: what a batch of events became is committed in one transaction
//! before any of it is acknowledged.
//!
//! The transaction is one frame of an append-only journal: changed states,
//! records for the sinks, read positions, halves of requests that wait, and
//! how far every sink came. The frame is in force when its checksum holds, and
//! acknowledged when it was forced to the disk; frames that arrive meanwhile
//! share the next sync. An embedded database (`redb`) holds the states of older
//! frames, brought up to date in the background, and the dead letters.
//!
//! Invariants:
//! - nothing is acknowledged before the sync; a segment whose sync failed is
//!   never written to again, and what was in doubt is written anew;
//! - a frame counts once: frames of a segment end where the next one begins;
//! - a sink's records leave the journal when the sink has finished them or its
//!   [`Policy`] dropped them; one that is configured no more keeps what waits
//!   for it until that is too much or is given up;
//! - every loss has its reason, and is in the journal until it was told;
//! - damage costs the damaged frames, is counted, and never prevents a start.

mod batch;
mod carried;
mod checkpoint;
mod commit;
mod dead_letters;
mod error;
mod found;
mod frame;
mod full;
mod index;
mod journal;
mod lock;
mod lost;
mod outbox;
mod progress;
mod recovery;
mod reserve;
mod room;
mod segment;
mod shared;
mod store;
pub mod verify;

pub use batch::{Batch, Outgoing, StateChanges, StoredState};
pub use commit::{Closed, Committer};
pub use dead_letters::{DeadLetter, DeadLetters};
pub use error::StoreError;
pub use lost::{LossReason, Lost};
pub use outbox::{Outbox, Settled};
pub use progress::{Policy, Progress, WhenFull};
pub use recovery::{Parked, Recovered};
pub use store::{Running, Store, StoreSettings, StoreStatus};
