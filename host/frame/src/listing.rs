//! A rule as an application for the edge lists it: written when the application
//! is built, read by the running edge and by whoever compares the two.

use serde::{Deserialize, Serialize};

/// A rule in an application, as it was when it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleListing {
    /// The slot in `spin.toml` it is plugged into: `mapping`, `slot0` …
    pub slot: String,
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the component, hexadecimal.
    pub sha256: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Key that signed it, when a signature was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// Variable with its parameters, a JSON object.
    pub parameters: String,
}
