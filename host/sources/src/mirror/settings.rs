//! Settings of the mirror source.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use serde::Deserialize;

use crate::listen::require_local;
use crate::settings::check_range;
use crate::{Secret, SourceError};

/// Where to listen when nothing is said.
const DEFAULT_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 8787));

/// Number of headers hyper keeps on its stack.
pub(super) const HEADERS_INLINE: usize = 100;

/// Settings of the mirror source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MirrorSettings {
    /// TCP address; 127.0.0.1:8787 when no socket is given either.
    pub listen: Option<SocketAddr>,
    /// Path of a unix socket; cheaper than TCP and protected by its mode.
    pub socket: Option<PathBuf>,
    /// Mode of that socket; nginx' group must be able to write to it.
    pub socket_mode: u32,
    /// Secrets accepted in `X-Sidewatch-Token`; two while one is replaced.
    pub tokens: Vec<Secret>,
    /// Keys accepted for `X-Sidewatch-Signature` (see the README).
    pub signing_keys: Vec<Secret>,
    /// How far a signature's time may be off, in seconds.
    pub signature_window_seconds: u32,
    /// Answer to requests without a valid secret: 204 or 403.
    pub unauthenticated_status: u16,
    /// Allows a TCP address others can reach without any secret.
    pub insecure: bool,
    /// Users that may connect to the unix socket; empty for whoever its mode
    /// admits.
    pub allowed_uids: Vec<u32>,
    /// `Api-Key` values accepted at `/sensor/`; without any, `/sensor/` is a
    /// path like any other.
    pub sensor_keys: Vec<Secret>,
    /// Bytes kept of a body.
    pub max_body_bytes: usize,
    /// Bytes read of a body before the connection is closed instead. Keep it
    /// above nginx' `client_max_body_size`: nginx takes a closed connection
    /// for a failure and pauses the mirror, which no client should bring about.
    pub max_drain_bytes: usize,
    /// Bytes of request line and headers.
    pub max_header_bytes: usize,
    /// Number of headers. Up to 100 cost no memory of their own; the shipped
    /// nginx snippet passes a fixed number whatever a client sends.
    pub max_headers: usize,
    /// Connections at a time.
    pub max_connections: usize,
    /// Time a peer may take to send a request once it has begun, in
    /// milliseconds.
    pub request_timeout_ms: u64,
    /// Time a connection may stay unused, in milliseconds. Keep it above
    /// nginx' upstream `keepalive_timeout` (60 s), so that nginx closes first.
    pub idle_timeout_ms: u64,
}

impl Default for MirrorSettings {
    fn default() -> Self {
        Self {
            listen: None,
            socket: None,
            socket_mode: 0o660,
            tokens: Vec::new(),
            signing_keys: Vec::new(),
            signature_window_seconds: 300,
            unauthenticated_status: 204,
            insecure: false,
            allowed_uids: Vec::new(),
            sensor_keys: Vec::new(),
            max_body_bytes: 64 * 1024,
            max_drain_bytes: 128 << 20,
            max_header_bytes: 128 * 1024,
            max_headers: HEADERS_INLINE,
            max_connections: 512,
            request_timeout_ms: 10_000,
            idle_timeout_ms: 75_000,
        }
    }
}

impl MirrorSettings {
    /// Checks what can be checked without touching the system.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SourceError> {
        if let Some(address) = self.tcp_address() {
            let protected = !self.tokens.is_empty() || !self.signing_keys.is_empty();
            let remedy = "set `tokens`, listen on 127.0.0.1 or a unix `socket`, \
                          or set `insecure = true` if a firewall protects it";
            require_local(address, protected || self.insecure, remedy)?;
        }
        self.check_secrets()?;
        if !matches!(self.unauthenticated_status, 204 | 403) {
            let problem = format!("is {}; choose 204 or 403", self.unauthenticated_status);
            return Err(SourceError::Setting {
                setting: "unauthenticated_status",
                problem,
            });
        }
        if self.max_drain_bytes < self.max_body_bytes {
            let problem = "is less than `max_body_bytes`; raise it".to_owned();
            return Err(SourceError::Setting {
                setting: "max_drain_bytes",
                problem,
            });
        }
        let bounds = [
            ("max_body_bytes", self.max_body_bytes as u64, 0, 16 << 20),
            ("max_drain_bytes", self.max_drain_bytes as u64, 0, 1 << 30),
            (
                "max_header_bytes",
                self.max_header_bytes as u64,
                8192,
                4 << 20,
            ),
            ("max_headers", self.max_headers as u64, 16, 4096),
            ("max_connections", self.max_connections as u64, 1, 65_536),
            ("request_timeout_ms", self.request_timeout_ms, 10, 600_000),
            ("idle_timeout_ms", self.idle_timeout_ms, 10, 3_600_000),
            ("socket_mode", u64::from(self.socket_mode), 0o200, 0o777),
        ];
        bounds
            .into_iter()
            .try_for_each(|(name, value, least, most)| check_range(name, value, least..=most))
    }

    fn check_secrets(&self) -> Result<(), SourceError> {
        let lists = [
            ("tokens", &self.tokens),
            ("signing_keys", &self.signing_keys),
            ("sensor_keys", &self.sensor_keys),
        ];
        for (setting, secrets) in lists {
            if secrets
                .iter()
                .any(|secret| secret.expose().len() < Secret::SHORTEST)
            {
                let problem = format!(
                    "holds a secret of less than {} bytes; `openssl rand -hex 16` gives a good one",
                    Secret::SHORTEST
                );
                return Err(SourceError::Setting { setting, problem });
            }
        }
        Ok(())
    }

    pub(super) fn tcp_address(&self) -> Option<SocketAddr> {
        let fallback = self.socket.is_none().then_some(DEFAULT_ADDRESS);
        self.listen.or(fallback)
    }
}
