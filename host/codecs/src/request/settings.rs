//! What a site's requests look like, as the operator writes it.

use serde::{Deserialize, Serialize};

use super::locator::Locator;

/// Names of the headers our nginx snippet sets. An empty name switches the
/// header off.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
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

impl OriginalHeaders {
    /// Which of them a header of this name is; any case.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let names = [
            &self.uri,
            &self.method,
            &self.address,
            &self.port,
            &self.forwarded,
            &self.scheme,
            &self.protocol,
            &self.time,
            &self.host,
        ];
        names
            .iter()
            .position(|known| !known.is_empty() && known.eq_ignore_ascii_case(name))
    }
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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RequestSettings {
    /// `event.dataset`.
    pub dataset: String,
    /// Header that joins a mirrored request with its access-log line.
    pub request_id_header: String,
    /// Headers set by nginx for the original request.
    pub original: OriginalHeaders,
    /// Where the user name is found; the first that holds one wins. From a
    /// cookie only its keyed hash is kept, unless it is a `plain-cookie`.
    pub user: Vec<Locator>,
    /// Where the user identifier is found, as for the name.
    pub user_id: Vec<Locator>,
    /// Where the session secret is found; only its keyed hash is kept.
    pub session: Vec<Locator>,
    /// Where a device identifier is found; only its keyed hash is kept, as it
    /// may be a push token.
    pub device: Vec<Locator>,
    /// Body fields, query keys or headers kept as labels, under the last part
    /// of their name.
    pub labels: Vec<Locator>,
    /// Places of which is kept that they hold something, not what: the label
    /// is `true`. May therefore name secrets.
    pub flags: Vec<Locator>,
    /// Path of the site when it is not at the root; comes before the patterns
    /// below. The pack's `site_path` unless given.
    pub site_path: String,
    /// Paths on which the application checks the session, so that a cookie
    /// that names the user can be believed; all unless given. `*` stands for
    /// one segment, `**` at the end for any.
    pub session_paths: Vec<String>,
    /// Paths among those that anybody may ask for.
    pub public_paths: Vec<String>,
    /// Paths that log in: only there may a query, form or JSON body name the
    /// user; all unless given.
    pub login_paths: Vec<String>,
    /// Paths with secrets, such as `/reset/{token}`: what is in braces is taken
    /// out wherever such a path stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secret_paths: Vec<String>,
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
            flags: Vec::new(),
            site_path: String::new(),
            session_paths: Vec::new(),
            public_paths: Vec::new(),
            login_paths: Vec::new(),
            secret_paths: Vec::new(),
        }
    }
}
