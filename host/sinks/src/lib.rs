//! Where records go: Tirreno, syslog, TCP, file, console.
//!
//! A [`Sink`] delivers batches of records and says how far it came; [`drive`]
//! feeds one sink from its bounded [`queue`](queue()), retries and counts.
//!
//! Invariants:
//! - this crate spawns no task (the test double aside); whoever calls
//!   [`drive`] does;
//! - `build` checks settings and may resolve or read files, but never needs
//!   the remote end to be up;
//! - every record is accounted for, see [`Counts`];
//! - secrets never reach a log, an error text or a `Debug` output.

pub mod backoff;
pub mod connection;
pub mod console;
pub mod counters;
#[cfg(feature = "double")]
pub mod double;
pub mod driver;
pub mod file;
pub mod filter;
#[cfg(test)]
mod identity;
pub mod payload;
pub mod queue;
#[cfg(test)]
mod sample;
pub mod secret;
pub mod settings;
pub mod sink;
pub mod syslog;
pub mod tcp;
pub mod tirreno;
pub mod tls;

pub use counters::{Counts, Refusal, SinkCounters};
pub use driver::{DriverSettings, drive};
pub use filter::{Filter, FilterError, FilterSettings};
pub use queue::{QueueReceiver, QueueSender, RecordQueue, queue};
pub use settings::{SinkError, SinkSettings};
pub use sink::{BoxFuture, Outcome, Rejection, Retry, Sink};
