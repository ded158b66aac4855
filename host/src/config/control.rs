//! `[control]`: asking a running sidecar over TCP, besides the unix socket in
//! its data directory.
//!
//! Invariant: no TCP without a token, and none beyond this machine, because the
//! token travels in the clear.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sidewatch_sources::Secret;

/// Longest token file, in bytes.
const LONGEST: u64 = 4 << 10;

/// Where operators may ask over TCP.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControlSettings {
    /// A loopback address; nothing listens without it.
    pub listen: Option<SocketAddr>,
    /// The file with the token whoever asks has to know.
    pub token_file: Option<PathBuf>,
}

/// A token that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token in {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("{path} may be read by other users; run: chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It can be guessed.
    #[error(
        "the token in {path} is shorter than {} bytes; make one with: openssl rand -hex 32 > {path}",
        Secret::SHORTEST
    )]
    Short {
        /// The file.
        path: PathBuf,
    },
}

impl ControlSettings {
    /// What is wrong with the settings and what would be right.
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.listen, &self.token_file) {
            (Some(address), _) if !address.ip().is_loopback() => Err(format!(
                "`listen` is {address}, which others can reach, and the token would travel in the clear; listen on 127.0.0.1 and come through an SSH tunnel"
            )),
            (Some(_), None) => Err(
                "`listen` without `token_file`; name a file with a token of at least 16 bytes"
                    .to_owned(),
            ),
            (None, Some(_)) => Err(
                "`token_file` without `listen`; name the address to listen on, such as 127.0.0.1:9191"
                    .to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

/// Reads a token: the file's text without the white space around it.
///
/// # Errors
/// The file cannot be read, others may read it, or its token is too short.
pub fn read_token(path: &Path) -> Result<String, TokenError> {
    use std::io::Read as _;
    let failed = |source| TokenError::Read {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        let path = path.to_owned();
        return Err(TokenError::Open { path });
    }
    let mut text = String::new();
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(failed)?;
    let token = text.trim();
    if token.len() < Secret::SHORTEST {
        let path = path.to_owned();
        return Err(TokenError::Short { path });
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<(), String> {
        toml::from_str::<ControlSettings>(text).unwrap().check()
    }

    #[test]
    fn nobody_is_asked_for_a_token_in_vain_and_no_token_leaves_the_machine() {
        assert!(settings("").is_ok());
        assert!(settings("listen = \"[::1]:9\"\ntoken_file = \"t\"").is_ok());
        assert!(
            settings("listen = \"127.0.0.1:9\"")
                .unwrap_err()
                .contains("token_file")
        );
        let open = settings("listen = \"192.0.2.1:9\"\ntoken_file = \"t\"").unwrap_err();
        assert!(open.contains("SSH tunnel"), "{open}");
    }

    #[test]
    fn a_token_is_long_and_for_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let with = |text: &str, mode: u32| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read_token(&path).map_err(|error| error.to_string())
        };
        assert_eq!(
            with(" 0123456789abcdef\n", 0o600).unwrap(),
            "0123456789abcdef"
        );
        assert!(
            with("0123456789abcdef", 0o640)
                .unwrap_err()
                .contains("chmod 600")
        );
        assert!(
            with("0123456789abcde\n", 0o600)
                .unwrap_err()
                .contains("openssl")
        );
        std::fs::remove_file(&path).unwrap();
        assert!(read_token(&path).is_err());
    }
}
