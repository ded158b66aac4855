//! What `sidewatch edge build` writes into the application: the variable
//! `settings`, a JSON object.

use serde::{Deserialize, Serialize};
use sidewatch_codecs::RequestSettings;
use sidewatch_enrich::EnrichSettings;
pub use sidewatch_frame::RuleListing;

use crate::headers::HeaderSettings;

/// Where events and findings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Destination {
    /// A sidecar: JSON, one record a line.
    #[default]
    Sidewatch,
    /// Any web service: the same, with a bearer token.
    Webhook,
    /// Tirreno's form, one request per record.
    Tirreno,
    /// Nowhere: states are kept, findings are in the application's log only.
    Nowhere,
}

/// What is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// Findings and every event that is no noise.
    #[default]
    All,
    /// Findings and events about logins, accounts and refusals.
    Security,
    /// Findings alone.
    Findings,
}

/// Bounds of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of a mirrored request's body that are read.
    pub max_body_bytes: usize,
    /// Bytes of a batch; a longer one is refused.
    pub max_batch_bytes: usize,
    /// Events of a batch; more are refused.
    pub max_batch_events: usize,
    /// How often a fold is tried when others change the same state.
    pub attempts: usize,
    /// Bytes of states and findings one call of a rule may return.
    pub output_bytes: usize,
    /// Findings one call of a rule may return.
    pub findings_per_frame: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 64 << 10,
            max_batch_bytes: 1 << 20,
            max_batch_events: 500,
            attempts: 200,
            output_bytes: 1 << 20,
            findings_per_frame: 256,
        }
    }
}

/// Everything but secrets and parameters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Pack the application was built for.
    pub pack: String,
    /// Where requests name user and session.
    pub request: RequestSettings,
    /// Networks, sites and trusted proxies, as in the sidecar.
    #[serde(default)]
    pub enrichment: EnrichSettings,
    /// What the sender of mirrored requests knows beyond them.
    #[serde(default)]
    pub headers: HeaderSettings,
    /// Where to.
    #[serde(default)]
    pub destination: Destination,
    /// What of it.
    #[serde(default)]
    pub forward: Selection,
    /// Label of the key-value store.
    pub store: String,
    /// Bounds.
    #[serde(default)]
    pub limits: Limits,
    /// The rules, the mapping first.
    pub rules: Vec<RuleListing>,
}
