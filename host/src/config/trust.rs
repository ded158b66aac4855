//! `[trust]`: whose rules are loaded.

use std::path::PathBuf;

use serde::Deserialize;
use sidewatch_engine::signature::{KeyError, SignaturePolicy, Trust, read_key};

/// What becomes of a rule that is older than one that was in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OlderVersions {
    /// It is refused, unless somebody asks for a rollback.
    Refuse,
    /// It is taken like any other.
    #[default]
    Allow,
}

/// Whose rules are loaded.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustSettings {
    /// `required`, `warn` or `off`; with keys required, without them off.
    pub signatures: Option<SignaturePolicy>,
    /// Public keys: the line that begins with RW.
    pub keys: Vec<String>,
    /// Files with public keys, as `sidewatch rule keygen` and minisign write them.
    pub key_files: Vec<PathBuf>,
    /// `refuse` or `allow`.
    pub older_versions: OlderVersions,
}

impl TrustSettings {
    /// Reads the keys.
    ///
    /// # Errors
    /// A key that cannot be read.
    pub fn build(&self) -> Result<Trust, KeyError> {
        let mut keys = self.keys.clone();
        for path in &self.key_files {
            keys.push(read_key(path)?);
        }
        let policy = self.signatures.unwrap_or(if keys.is_empty() {
            SignaturePolicy::Off
        } else {
            SignaturePolicy::Required
        });
        Trust::new(policy, &keys)
    }
}
