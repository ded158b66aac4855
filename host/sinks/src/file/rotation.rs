//! Putting a full or old file aside: `<name>.20261121T051200.000`, packed to
//! `.gz` when wanted, the oldest removed.
//!
//! A file is renamed before it is packed, and the packed one gets its name only
//! when it is whole and on the disk; so a crash at any point leaves every
//! record in exactly one readable file, or in two.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;

/// When a file is put aside, and how many are kept.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RotationSettings {
    /// Bytes after which a file is full; it may be one batch longer.
    pub max_bytes: Option<u64>,
    /// Hours after which a file is old.
    pub max_age_hours: Option<u64>,
    /// Files put aside that are kept.
    pub keep: usize,
    /// Whether they are packed with gzip.
    pub compress: bool,
}

impl Default for RotationSettings {
    fn default() -> Self {
        Self {
            max_bytes: Some(256 << 20),
            max_age_hours: None,
            keep: 14,
            compress: true,
        }
    }
}

impl RotationSettings {
    /// Whether a file of these properties has to be put aside.
    pub(super) fn is_due(&self, metadata: &Metadata, now: SystemTime) -> bool {
        if metadata.len() == 0 {
            return false;
        }
        let full = self.max_bytes.is_some_and(|most| metadata.len() >= most);
        // A clock that went back makes no file old.
        let age = metadata
            .created()
            .ok()
            .and_then(|created| now.duration_since(created).ok())
            .unwrap_or_default();
        let old = self
            .max_age_hours
            .is_some_and(|hours| age >= Duration::from_secs(hours.saturating_mul(3600)));
        full || old
    }

    /// Puts the file aside, packs what is to be packed, removes what is too
    /// much. Takes as long as packing takes.
    ///
    /// # Errors
    /// The file could not be renamed. Packing and removing only warn.
    pub(super) fn rotate(&self, path: &Path, now: SystemTime) -> io::Result<()> {
        let time = DateTime::<Utc>::from(now).format("%Y%m%dT%H%M%S%.3f");
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{time}"));
        let aside = PathBuf::from(aside);
        if aside.exists() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("{} is there already", aside.display()),
            ));
        }
        fs::rename(path, &aside)?;
        if let Err(error) = self.tidy(path) {
            tracing::warn!(path = %path.display(), %error, "files put aside could not all be packed or removed");
        }
        Ok(())
    }

    /// Packs and removes, also what a crash or a full disk left undone.
    fn tidy(&self, path: &Path) -> io::Result<()> {
        let mut aside = put_aside(path)?;
        let surplus = aside.len().saturating_sub(self.keep);
        for (_, old) in aside.drain(..surplus) {
            fs::remove_file(old)?;
        }
        if self.compress {
            for (_, plain) in aside {
                if plain.extension().is_none_or(|extension| extension != "gz") {
                    pack(&plain)?;
                }
            }
        }
        Ok(())
    }
}

/// Files put aside, oldest first, by their time stamps.
fn put_aside(path: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(Vec::new());
    };
    let prefix = format!("{}.", name.to_string_lossy());
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let stamp = name
            .to_str()
            .and_then(|name| name.strip_prefix(&prefix))
            .map(|rest| rest.strip_suffix(".gz").unwrap_or(rest))
            .filter(|stamp| is_stamp(stamp));
        if let Some(stamp) = stamp {
            found.push((stamp.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// As in `20261121T051200.000`.
fn is_stamp(text: &str) -> bool {
    text.len() == 19
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'.',
            _ => byte.is_ascii_digit(),
        })
}

fn pack(plain: &Path) -> io::Result<()> {
    let named = |suffix: &str| {
        let mut name = plain.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let part = named(".gz.part");
    let mut source = File::open(plain)?;
    let target = File::create(&part)?;
    target.set_permissions(source.metadata()?.permissions())?;
    let mut packer = GzEncoder::new(target, Compression::default());
    io::copy(&mut source, &mut packer)?;
    packer.finish()?.sync_all()?;
    fs::rename(&part, named(".gz"))?;
    fs::remove_file(plain)
}
