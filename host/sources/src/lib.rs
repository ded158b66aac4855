//! Where bytes come in.
//!
//! A source lives in three phases: its settings are validated (pure), bound
//! (sockets and files are opened, errors name the address and the cause) and
//! run until shutdown. Every source hands events over through an [`Intake`].
//!
//! Invariants:
//! - every read, queue, line, header and body is bounded;
//! - a mirrored request is answered before and independently of what becomes
//!   of it;
//! - every record that arrived is counted as decoded, rejected,
//!   unauthenticated or shed: see [`counters`].

pub mod body;
pub mod checkpoint;
pub mod counters;
pub mod error;
pub mod file;
pub mod identity;
pub mod intake;
pub mod lines;
mod listen;
pub mod mirror;
mod records;
pub mod replay;
pub mod secret;
pub mod settings;
pub mod shutdown;
pub mod stdin;
mod stream;
pub mod syslog;
pub mod tcp;
pub mod tls;

use std::future::Future;
use std::pin::Pin;

pub use counters::{SourceCounters, SourceCounts};
pub use error::SourceError;
pub use intake::{Acknowledger, Closed, Intake, IntakeReceiver};
pub use lines::{Line, LineBuffer, LineReader};
pub use secret::Secret;
pub use settings::{Codecs, SourceSettings};
pub use shutdown::{Shutdown, ShutdownTrigger};

/// What [`Source::run`] returns.
pub type SourceFuture = Pin<Box<dyn Future<Output = Result<(), SourceError>> + Send>>;

/// A bound source, ready to run.
pub trait Source: Send {
    /// Name the operator gave it.
    fn name(&self) -> &str;

    /// Addresses and paths it reads from, for the log line at the start.
    fn addresses(&self) -> Vec<String>;

    /// Reads until shutdown or the end of the input. Needs a tokio runtime
    /// with time and I/O enabled.
    fn run(self: Box<Self>, intake: Intake, shutdown: Shutdown) -> SourceFuture;
}

/// Runs blocking work on a thread of its own and waits for it.
pub(crate) async fn on_thread(
    name: &str,
    work: impl FnOnce() -> Result<(), SourceError> + Send + 'static,
) -> Result<(), SourceError> {
    let (done, result) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(format!("source-{name}"))
        .spawn(move || {
            if done.send(work()).is_err() {
                tracing::debug!("a source ended after nobody waited for it");
            }
        })
        .map_err(SourceError::Runtime)?;
    result.await.unwrap_or_else(|_| {
        Err(SourceError::Runtime(std::io::Error::other(
            "its thread stopped early",
        )))
    })
}
