//! From the sources' hand-over to the sinks' queues.
//!
//! One thread folds all events in order of arrival, so that events of one key
//! have one writer. It takes what has arrived, joins halves of the same
//! request, enriches, runs the rules and hands the results to every sink whose
//! filter admits them. It never waits to fill a frame and never for a sink.
//!
//! Only this module spawns tasks and threads.

pub mod aliases;
mod announce;
pub mod check;
pub mod connect;
pub mod durable;
mod error;
mod fold;
mod gathering;
pub mod hidden_clients;
mod join;
pub mod lanes;
mod outbox;
pub mod processor;
mod reload;
mod report;
pub mod run;
pub mod status;
mod supervision;
pub mod taps;

pub use aliases::Aliases;
pub use error::PipelineError;
pub use processor::Processor;
pub use run::{Pipeline, Tap};
pub use status::{PipelineCounters, Status};
