//! The installation's own keys: made once, kept with mode 0600, never shown.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};
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
pub enum KeysError {
    /// Keys can neither be read nor made.
    #[error(
        "cannot keep keys in {}: {source}; set `data_directory` to a directory this user may write to", path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A key is gone, but what was written with it is there.
    #[error(
        "{} is gone or no key any more, but what was kept with it is there: without it {loss}; put it back, or begin with a new one: touch {}", path.display(), consent(path).display()
    )]
    Lost {
        /// The key.
        path: PathBuf,
        /// What a new one means.
        loss: &'static str,
    },
}

/// The keys, and what is lost with them.
const KEYS: [(&str, &str); 2] = [
    (
        "pseudonym.key",
        "users and sessions are called otherwise than before",
    ),
    (
        "hash.key",
        "everything the rules knew of users and addresses is forgotten",
    ),
];
/// Bytes of a key.
const LENGTH: u64 = 32;

/// A file with which an operator agrees to a new key.
fn consent(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".begin-anew");
    name.into()
}

fn is_whole(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| found.len() == LENGTH)
}

/// Whether something was kept that is worth nothing without the keys.
fn has_kept(directory: &Path) -> bool {
    let entries = std::fs::read_dir(directory.join("store"));
    let kept = |name: &std::ffi::OsStr| {
        name == "index.redb"
            || Path::new(name)
                .extension()
                .is_some_and(|it| it == "journal")
    };
    entries
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| kept(&entry.file_name()))
}

impl Keys {
    /// Reads the keys of a data directory, making directory and keys at first.
    ///
    /// # Errors
    /// The directory cannot be made, or a key in it not be read; or a key is
    /// gone that was there before.
    pub fn open(directory: &Path) -> Result<Self, KeysError> {
        let failed = |source| KeysError::Directory {
            path: directory.to_owned(),
            source,
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory).map_err(failed)?;
        refuse_foreign(directory).map_err(failed)?;
        refuse_lost(directory)?;
        let [pseudonym, hash] = KEYS.map(|(name, _)| one_key(&directory.join(name)));
        Ok(Self::of(pseudonym.map_err(failed)?, hash.map_err(failed)?))
    }

    /// As [`Keys::open`] for whoever only looks: makes nothing, and gives
    /// keys that mean nothing where there are none yet.
    ///
    /// # Errors
    /// A key cannot be read or made, or is gone that was there before.
    pub fn look(directory: &Path) -> Result<Self, KeysError> {
        if KEYS.iter().all(|(name, _)| is_whole(&directory.join(name))) {
            return Self::open(directory);
        }
        if has_kept(directory) {
            refuse_lost(directory)?;
        }
        let made_in = directory.ancestors().find(|it| it.exists());
        let writable = made_in.map_or(Ok(()), |it| {
            access(it, AccessFlags::W_OK | AccessFlags::X_OK)?;
            it.is_dir().then_some(()).ok_or(Errno::ENOTDIR)
        });
        writable.map_err(|error| KeysError::Directory {
            path: directory.to_owned(),
            source: error.into(),
        })?;
        Ok(Self::of([0; 32], [0; 32]))
    }

    fn of(pseudonym: [u8; 32], hash: [u8; 32]) -> Self {
        let mut half = [0; 16];
        half.iter_mut()
            .zip(hash)
            .for_each(|(half, byte)| *half = byte);
        Self {
            pseudonym: PseudonymKey::new(pseudonym),
            hash: half,
        }
    }
}

/// Refuses to make a key anew without a word: what was kept with the old one
/// does not match any more, and nobody would know.
fn refuse_lost(directory: &Path) -> Result<(), KeysError> {
    let has_kept = has_kept(directory);
    // Where both are gone, and nothing that was kept, it is as good as new.
    let is_used = KEYS.iter().any(|(name, _)| is_whole(&directory.join(name)));
    for (name, loss) in KEYS {
        let path = directory.join(name);
        if is_whole(&path) || consent(&path).exists() {
            continue;
        }
        if has_kept {
            return Err(KeysError::Lost { path, loss });
        }
        if is_used {
            tracing::warn!(path = %path.display(), "a key is gone and made anew: {loss}");
        }
    }
    Ok(())
}

/// Reads a key, or makes it at first and where that was agreed to.
fn one_key(path: &Path) -> std::io::Result<[u8; 32]> {
    let consent = consent(path);
    if !is_whole(path) && path.exists() && (consent.exists() || std::fs::metadata(path)?.len() == 0)
    {
        std::fs::remove_file(path)?;
    }
    let key = read_or_make_key(path)?;
    if consent.exists() {
        // For once.
        std::fs::remove_file(consent)?;
    }
    Ok(key)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_gone_is_made_anew_only_where_nothing_was_kept_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let hash = Keys::open(directory).unwrap().hash;
        assert_eq!(Keys::open(directory).unwrap().hash, hash);
        std::fs::remove_file(directory.join("hash.key")).unwrap();
        let hash = Keys::open(directory).unwrap().hash;

        std::fs::create_dir(directory.join("store")).unwrap();
        std::fs::write(directory.join("store/00000000000000000001.journal"), "x").unwrap();
        assert_eq!(Keys::open(directory).unwrap().hash, hash);
        for lose in [
            |path: &Path| std::fs::remove_file(path).unwrap(),
            |path: &Path| std::fs::write(path, "").unwrap(),
        ] {
            for (name, loss) in KEYS {
                let path = directory.join(name);
                lose(&path);
                for refused in [Keys::open(directory), Keys::look(directory)] {
                    let said = refused.err().unwrap().to_string();
                    let hint = format!("touch {}.begin-anew", path.display());
                    assert!(said.contains(loss) && said.ends_with(&hint), "{said}");
                }
                std::fs::write(consent(&path), "").unwrap();
                Keys::open(directory).unwrap();
                assert!(!consent(&path).exists(), "it counts once");
            }
        }
        assert_ne!(Keys::open(directory).unwrap().hash, hash);
    }

    #[test]
    fn looking_makes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let absent = directory.path().join("data");
        assert!(Keys::look(&absent).is_ok());
        assert!(!absent.exists());
        std::fs::write(directory.path().join("file"), "").unwrap();
        let beneath = directory.path().join("file/data");
        let said = Keys::look(&beneath).err().unwrap().to_string();
        assert!(said.contains("data_directory"), "{said}");
    }
}
