//! What is in an application: digests that can be compared with those of the
//! rules the sidecar runs, and with what the running edge says of itself.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
pub use sidewatch_frame::RuleListing;

/// File in the application that lists its parts.
pub const LISTING: &str = "sidewatch-edge.json";

/// Spin's manifest of the application.
pub const MANIFEST: &str = "spin.toml";

/// Largest component read, in bytes.
pub const LARGEST: u64 = 64 << 20;

/// Everything in an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Version of Sidewatch that wrote it.
    pub sidewatch: String,
    /// The pack.
    pub pack: String,
    /// SHA-256 of the edge component as it lies in the application.
    pub edge_sha256: String,
    /// SHA-256 of `spin.toml`: it says which rule is plugged in where, and what
    /// the application may reach.
    pub manifest_sha256: String,
    /// The rules, the mapping first.
    pub rules: Vec<RuleListing>,
}

/// Why an application is not what it says.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The listing is none.
    #[error("{path} is no listing: {source}")]
    Listing {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: serde_json::Error,
    },
    /// A file is another one than listed.
    #[error("{path} has the digest {found}, but {listed} is listed; build the application again")]
    Digest {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// The listed one.
        listed: String,
    },
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            for nibble in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(nibble.into(), 16));
            }
            text
        })
}

/// Where a rule lies in an application.
#[must_use]
pub fn rule_file(id: &str) -> PathBuf {
    Path::new("rules").join(format!("{id}.wasm"))
}

/// Reads a component, bounded.
///
/// # Errors
/// It cannot be read or is too large.
pub fn read_component(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(std::io::Error::other(format!(
            "has more than {LARGEST} bytes"
        )));
    }
    Ok(bytes)
}

/// Compares the manifest and every component of an application with its
/// listing.
///
/// # Errors
/// Names the first file that differs or cannot be read.
pub fn verify(directory: &Path) -> Result<Listing, VerifyError> {
    let read = |path: PathBuf| match read_component(&path) {
        Ok(bytes) => Ok((path, bytes)),
        Err(source) => Err(VerifyError::Read { path, source }),
    };
    let (path, bytes) = read(directory.join(LISTING))?;
    let listing: Listing =
        serde_json::from_slice(&bytes).map_err(|source| VerifyError::Listing { path, source })?;
    let rules = listing
        .rules
        .iter()
        .map(|rule| (rule_file(&rule.id), &rule.sha256));
    let others = [
        (PathBuf::from(MANIFEST), &listing.manifest_sha256),
        (PathBuf::from("edge.wasm"), &listing.edge_sha256),
    ];
    for (file, listed) in others.into_iter().chain(rules) {
        let (path, bytes) = read(directory.join(file))?;
        let found = digest(&bytes);
        if found != *listed {
            return Err(VerifyError::Digest {
                path,
                found,
                listed: listed.clone(),
            });
        }
    }
    Ok(listing)
}
