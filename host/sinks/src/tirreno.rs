//! Tirreno's `POST /sensor/`: one request per record, one at a time.
//!
//! One request at a time keeps the order of every user's records; with
//! Tirreno's own limit of ten a second, more connections would gain nothing.
//! Tirreno knows no duplicates: a request that timed out may be stored twice.
//!
//! What an answer means: 204 is accepted (which is no proof of storage); any
//! other success, 400, 413, 414, 415, 422 and 431 are refusals for good;
//! everything else, redirects included, is tried again.

mod address;
mod client;
mod pace;
mod selection;

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::HeaderValue;
use serde::Deserialize;
use sidewatch_codecs::tirreno;
use sidewatch_event::Delivery;
use thiserror::Error;
use tokio::time::sleep;

use crate::secret::Secret;
use crate::sink::{BoxFuture, Outcome, Sink};
use crate::tls::{TlsError, TlsSettings};
use address::Address;
use client::{Client, Verdict};
use pace::Pace;
use selection::Selection;

pub use selection::PageViews;

/// Requests before the sink reports how far it came, so that counters and
/// shutdown keep up with a slow server.
const REQUESTS_PER_CALL: usize = 16;

/// Longest key file that is read, in bytes.
const LONGEST_KEY_FILE: u64 = 4096;

/// Settings of a Tirreno sink.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TirrenoSettings {
    /// Where Tirreno is, `https://tirreno.example.org`. The path is
    /// `/sensor/` unless given.
    pub url: String,
    /// The tracking id as Tirreno shows it on its API page.
    #[serde(default)]
    pub api_key: Option<Secret>,
    /// A file holding the tracking id, instead of `api_key`.
    #[serde(default)]
    pub api_key_file: Option<PathBuf>,
    /// TLS, for an https address.
    #[serde(default)]
    pub tls: TlsSettings,
    /// How many page views are forwarded.
    #[serde(default)]
    pub page_views: PageViews,
    /// How fast, see [`RateLimit`].
    #[serde(default)]
    pub rate_limit: RateLimit,
    /// Seconds until an unanswered request is given up and tried again.
    #[serde(default = "ten")]
    pub timeout_seconds: u64,
}

fn ten() -> u64 {
    10
}

/// At most so many requests in any such span. The default leaves a tenth of
/// Tirreno's own limit of 200 in 20 seconds to others: 9 a second in the long
/// run, and a burst of up to 180.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimit {
    /// Requests; 0 switches the limit off.
    pub requests: usize,
    /// Length of the span in seconds.
    pub seconds: u64,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self {
            requests: 180,
            seconds: 20,
        }
    }
}

/// Why a Tirreno sink cannot be built.
#[derive(Debug, Error)]
pub enum TirrenoError {
    /// The address cannot be used.
    #[error("tirreno url: {0}")]
    Address(#[from] address::AddressError),
    /// No key, or two.
    #[error("set either `api_key` or `api_key_file`: the tracking id is on Tirreno's API page")]
    OneKey,
    /// The key file cannot be read.
    #[error("cannot read api_key_file {}: {error}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// The key holds what no header can.
    #[error(
        "the tracking id is empty or holds characters other than visible ASCII: copy it from Tirreno's API page"
    )]
    Key,
    /// A number is off.
    #[error("{0} must be between 1 and {1}")]
    Range(&'static str, u64),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl TirrenoSettings {
    /// Checks the settings and reads the files they name.
    ///
    /// # Errors
    /// A setting or file cannot be used.
    pub fn build(&self) -> Result<TirrenoSink, TirrenoError> {
        let Self {
            url,
            api_key: _,
            api_key_file: _,
            tls,
            page_views,
            rate_limit,
            timeout_seconds,
        } = self;
        let address = Address::parse(url)?;
        let tls = if address.secure {
            Some(tls.build(&address.endpoint.host)?)
        } else {
            None
        };
        if !(1..=300).contains(timeout_seconds) {
            return Err(TirrenoError::Range("timeout_seconds", 300));
        }
        if !(1..=3600).contains(&rate_limit.seconds) {
            return Err(TirrenoError::Range("rate_limit.seconds", 3600));
        }
        if rate_limit.requests > 100_000 {
            return Err(TirrenoError::Range("rate_limit.requests", 100_000));
        }
        let client = Client::new(
            address,
            tls,
            self.key()?,
            Duration::from_secs(*timeout_seconds),
        );
        Ok(TirrenoSink {
            client,
            pace: Pace::new(rate_limit.requests, Duration::from_secs(rate_limit.seconds)),
            selection: Selection::new(*page_views),
        })
    }

    fn key(&self) -> Result<HeaderValue, TirrenoError> {
        let key = match (&self.api_key, &self.api_key_file) {
            (Some(key), None) => key.clone(),
            (None, Some(path)) => {
                let read = |error| TirrenoError::KeyFile {
                    path: path.clone(),
                    error,
                };
                let file = std::fs::File::open(path).map_err(read)?;
                let limited = std::io::Read::take(file, LONGEST_KEY_FILE);
                Secret::new(std::io::read_to_string(limited).map_err(read)?)
            }
            _ => return Err(TirrenoError::OneKey),
        };
        let text = key.reveal().trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TirrenoError::Key);
        }
        let mut value = HeaderValue::from_str(text).map_err(|_| TirrenoError::Key)?;
        value.set_sensitive(true);
        Ok(value)
    }
}

/// Sends records to Tirreno.
pub struct TirrenoSink {
    client: Client,
    pace: Pace,
    selection: Selection,
}

impl TirrenoSink {
    async fn send_some(&mut self, batch: &[Delivery]) -> Outcome {
        let mut outcome = Outcome::default();
        let mut requests = 0;
        for delivery in batch {
            if !self.selection.wants(delivery) {
                outcome.filter();
                continue;
            }
            let mut form = String::new();
            if let Err(error) = tirreno::encode_form(delivery, now(), &mut form) {
                outcome.reject(error.to_string());
                continue;
            }
            let wait = self.pace.wait();
            if requests == REQUESTS_PER_CALL || (outcome.finished > 0 && !wait.is_zero()) {
                return outcome;
            }
            sleep(wait).await;
            self.pace.record();
            requests += 1;
            match self.client.send(form, tirreno::request_id(delivery)).await {
                Verdict::Accepted => {
                    self.selection.sent(delivery);
                    outcome.finished += 1;
                }
                Verdict::Refused(reason) => outcome.reject(reason),
                Verdict::Later { after, reason } => {
                    let mut outcome = outcome.with_retry(reason);
                    if let Some(retry) = &mut outcome.retry {
                        retry.after = after;
                    }
                    return outcome;
                }
            }
        }
        outcome
    }
}

impl Sink for TirrenoSink {
    fn deliver<'a>(&'a mut self, batch: &'a [Delivery]) -> BoxFuture<'a, Outcome> {
        Box::pin(self.send_some(batch))
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.client.disconnect() })
    }
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
