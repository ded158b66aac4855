//! The installation's own keys: made once, kept with mode 0600, never shown.

use std::path::{Path, PathBuf};

use sidewatch_codecs::PseudonymKey;
use sidewatch_engine::cache::{read_or_make_key, refuse_foreign};

/// Keys under which identifying values are hashed.
#[derive(Clone)]
pub struct Keys {
    /// For sessions and other secrets that become pseudonyms.
    pub pseudonym: PseudonymKey,
    /// For the 64-bit hashes rules see.
    pub hash: [u8; 16],
}

/// The data directory is unusable.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot keep keys in {path}: {source}; set `data_directory` to a directory this user may write to"
)]
pub struct KeysError {
    path: PathBuf,
    source: std::io::Error,
}

impl Keys {
    /// Reads the keys of a data directory, making directory and keys at first.
    ///
    /// # Errors
    /// The directory cannot be made, or a key in it not be read.
    pub fn open(directory: &Path) -> Result<Self, KeysError> {
        let failed = |source| KeysError {
            path: directory.to_owned(),
            source,
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory).map_err(failed)?;
        refuse_foreign(directory).map_err(failed)?;
        let pseudonym = read_or_make_key(&directory.join("pseudonym.key")).map_err(failed)?;
        let hash = read_or_make_key(&directory.join("hash.key")).map_err(failed)?;
        let mut half = [0; 16];
        half.iter_mut()
            .zip(hash)
            .for_each(|(half, byte)| *half = byte);
        Ok(Self {
            pseudonym: PseudonymKey::new(pseudonym),
            hash: half,
        })
    }
}

/// Where one user's `replay` and `explain` keep keys and compiled rules. A
/// user without a home gets a directory of that number's own below the
/// temporary one; [`Keys::open`] refuses it when somebody else made it first.
#[must_use]
pub fn personal_directory() -> PathBuf {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    from("SIDEWATCH_DATA")
        .or_else(|| from("XDG_STATE_HOME").map(|base| base.join("sidewatch")))
        .or_else(|| from("HOME").map(|home| home.join(".local/state/sidewatch")))
        .unwrap_or_else(|| {
            std::env::temp_dir().join(format!("sidewatch-{}", nix::unistd::geteuid()))
        })
}
