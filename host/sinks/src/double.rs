//! A stand-in for a Tirreno 0.10 server, for tests of this and other crates.
//!
//! It answers as that version was observed to, faults included: refusals are
//! 200, a 204 is no proof of storage, nothing is deduplicated. Tests can also
//! make it hang, fail or cut connections. Not imitated: multipart bodies, LIKE
//! wildcards in `eventType`, calendar overflow in `eventTime`.
//!
//! The one part of this crate that spawns tasks; they end when it is dropped.

mod form;
mod record;
mod server;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use record::Record;

/// What the stand-in does with the next requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Answers as Tirreno does.
    #[default]
    Normal,
    /// Reads requests and never answers; nothing is stored.
    Hang,
    /// Stores the record, then never answers.
    StoreAndHang,
    /// Cuts the connection with a reset; nothing is stored.
    Reset,
    /// Stores the record, then cuts the connection.
    StoreAndReset,
    /// Answers with this status and stores nothing.
    Status(u16),
}

/// Which web server runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WebServer {
    /// Closes the connection after every 204.
    #[default]
    Apache,
    /// Keeps connections open.
    NginxFpm,
}

/// How the stand-in is set up.
#[derive(Debug, Clone)]
pub struct DoubleSettings {
    /// The one valid tracking id.
    pub api_key: String,
    /// At most so many requests in any such span; 0 switches the limit off.
    pub rate_limit: (usize, Duration),
    /// Which web server runs it.
    pub web_server: WebServer,
    /// Where to listen; an ephemeral port on loopback unless given.
    pub listen: Option<SocketAddr>,
}

impl Default for DoubleSettings {
    fn default() -> Self {
        Self {
            api_key: "0123456789abcdef0123456789abcdef".into(),
            rate_limit: (200, Duration::from_secs(20)),
            web_server: WebServer::default(),
            listen: None,
        }
    }
}

/// How many requests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections accepted.
    pub connections: usize,
    /// Requests read, whatever became of them.
    pub requests: usize,
    /// Answered 204, whether stored or lost.
    pub accepted: usize,
    /// Answered 200.
    pub refused: usize,
    /// Answered 429 because of the limit.
    pub limited: usize,
}

#[derive(Default)]
struct State {
    mode: Mode,
    tally: Tally,
    records: Vec<Record>,
    lost: Vec<String>,
    counted: Vec<tokio::time::Instant>,
}

struct Shared {
    settings: DoubleSettings,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running stand-in.
pub struct Tirreno {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Tirreno {
    /// Starts it with default settings on an ephemeral port.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::start_with(DoubleSettings::default()).await
    }

    /// Starts it.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn start_with(settings: DoubleSettings) -> io::Result<Self> {
        let listen = settings
            .listen
            .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            settings,
            state: Mutex::default(),
        });
        let accepting = tokio::spawn(server::accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// Its address, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The valid tracking id.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.shared.settings.api_key
    }

    /// Changes what happens to the next requests.
    pub fn set_mode(&self, mode: Mode) {
        self.shared.lock().mode = mode;
    }

    /// What is stored, in order of arrival.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.shared.lock().records.clone()
    }

    /// Why records were answered 204 but not stored, in order of arrival.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        self.shared.lock().lost.clone()
    }

    /// How many requests ended how.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.shared.lock().tally
    }
}

impl Drop for Tirreno {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[cfg(test)]
mod tests;
