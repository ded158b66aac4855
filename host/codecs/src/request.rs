//! The mirrored HTTP request.

use std::net::IpAddr;

use serde::Deserialize;
use sidewatch_event::Event;

use crate::pseudonym::PseudonymKey;

/// A request as the mirror source received it.
pub struct RequestView<'a> {
    /// Method of the mirrored request itself.
    pub method: &'a str,
    /// Target of the mirrored request itself.
    pub target: &'a str,
    /// `1.0`, `1.1`, `2.0` …
    pub version: &'a str,
    /// Header names (any case) and values in order; read once.
    pub headers: &'a mut dyn Iterator<Item = (&'a str, &'a [u8])>,
    /// The body, or its beginning.
    pub body: &'a [u8],
    /// The body was longer than the source reads.
    pub body_truncated: bool,
    /// Address of the connecting peer; absent on a unix socket.
    pub peer: Option<IpAddr>,
    /// Milliseconds since the Unix epoch, UTC.
    pub received: i64,
}

/// Where in a request a value is found: `header:X-Username`,
/// `cookie:MMUSERID`, `json:/login_id`, `form:username`, `query:user`,
/// `path:3` (third segment, counted from 1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Locator {
    /// A header, lower-case.
    Header(Box<str>),
    /// A cookie.
    Cookie(Box<str>),
    /// A query key.
    Query(Box<str>),
    /// A field of an `application/x-www-form-urlencoded` body.
    Form(Box<str>),
    /// A JSON pointer into a JSON body.
    Json(Box<str>),
    /// A path segment, counted from 1.
    Path(usize),
}

/// Why request settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestSettingsError {
    /// The text is no locator.
    #[error(
        "`{0}` is no place in a request; write header:, cookie:, query:, form:, json:/ or path: and a name"
    )]
    Locator(Box<str>),
    /// A secret would enter events in clear.
    #[error("`{0}` names a secret and may only be used for `session`")]
    Secret(Box<str>),
}

impl std::str::FromStr for Locator {
    type Err = RequestSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || RequestSettingsError::Locator(text.into());
        let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
        if name.is_empty() {
            return Err(unknown());
        }
        match kind {
            "header" => Ok(Self::Header(name.to_ascii_lowercase().into())),
            "cookie" => Ok(Self::Cookie(name.into())),
            "query" => Ok(Self::Query(name.into())),
            "form" => Ok(Self::Form(name.into())),
            "json" if name.starts_with('/') => Ok(Self::Json(name.into())),
            "path" => name
                .parse()
                .ok()
                .filter(|at| *at > 0)
                .map(Self::Path)
                .ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Locator {
    type Error = RequestSettingsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// Names of the headers our nginx snippet sets. An empty name switches the
/// header off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OriginalHeaders {
    /// `$request_uri`.
    pub uri: String,
    /// `$request_method`.
    pub method: String,
    /// `$remote_addr`.
    pub address: String,
    /// `$remote_port`.
    pub port: String,
    /// `$proxy_add_x_forwarded_for` or the header as received.
    pub forwarded: String,
    /// `$scheme`.
    pub scheme: String,
    /// `$server_protocol`.
    pub protocol: String,
    /// `$msec`.
    pub time: String,
    /// `$host`.
    pub host: String,
}

impl Default for OriginalHeaders {
    fn default() -> Self {
        Self {
            uri: "x-original-uri".into(),
            method: "x-original-method".into(),
            address: "x-real-ip".into(),
            port: "x-real-port".into(),
            forwarded: "x-forwarded-for".into(),
            scheme: "x-forwarded-proto".into(),
            protocol: "x-original-protocol".into(),
            time: "x-original-time".into(),
            host: "host".into(),
        }
    }
}

/// How one site's mirrored requests are read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestSettings {
    /// `event.dataset`.
    pub dataset: String,
    /// Header that joins a mirrored request with its access-log line.
    pub request_id_header: String,
    /// Headers set by nginx for the original request.
    pub original: OriginalHeaders,
    /// Where the user name is found; the first that holds one wins.
    pub user: Vec<Locator>,
    /// Where the user identifier is found.
    pub user_id: Vec<Locator>,
    /// Where the session secret is found; only its keyed hash is kept.
    pub session: Vec<Locator>,
    /// Where a device identifier is found; from a cookie only its keyed hash
    /// is kept.
    pub device: Vec<Locator>,
    /// Body fields, query keys or headers kept as labels, under the last part
    /// of their name.
    pub labels: Vec<Locator>,
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self {
            dataset: "nginx.mirror".into(),
            request_id_header: "x-request-id".into(),
            original: OriginalHeaders::default(),
            user: Vec::new(),
            user_id: Vec::new(),
            session: Vec::new(),
            device: Vec::new(),
            labels: Vec::new(),
        }
    }
}

/// Reads mirrored requests of one site.
#[derive(Debug, Clone)]
pub struct RequestCodec {
    settings: RequestSettings,
    key: PseudonymKey,
}

impl RequestCodec {
    /// Checks the settings.
    ///
    /// # Errors
    /// A locator other than of `session` names a secret.
    pub fn new(
        settings: &RequestSettings,
        key: PseudonymKey,
    ) -> Result<Self, RequestSettingsError> {
        Ok(Self {
            settings: settings.clone(),
            key,
        })
    }

    /// Decodes a request into `event`, which arrives cleared. Whatever the
    /// client sent, there is always an event.
    pub fn decode(&self, view: RequestView<'_>, event: &mut Event) {
        event.received = view.received;
        event.peer_ip = view.peer;
        event.set(sidewatch_event::Field::EventDataset, &self.settings.dataset);
        self.key.write("session", view.body, &mut String::new());
    }
}
