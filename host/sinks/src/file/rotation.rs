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

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
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
        let last = put_aside(path)?.pop().map(|(stamp, _)| stamp);
        let stamp = stamp_after(now, last.as_deref());
        let mut aside = path.as_os_str().to_owned();
        aside.push(format!(".{stamp}"));
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

/// The time stamp of a file put aside now: after the last one's also when the
/// clock went back, or the newest file would be taken for the oldest.
fn stamp_after(now: SystemTime, last: Option<&str>) -> String {
    const FORM: &str = "%Y%m%dT%H%M%S%.3f";
    let now = DateTime::<Utc>::from(now).naive_utc();
    let stamp = now.format(FORM).to_string();
    match last {
        Some(last) if *last >= *stamp => NaiveDateTime::parse_from_str(last, FORM)
            .ok()
            .and_then(|last| last.checked_add_signed(TimeDelta::milliseconds(1)))
            .map_or(stamp, |next| next.format(FORM).to_string()),
        _ => stamp,
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn when_the_clock_goes_back_the_oldest_files_go_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        let rotation = RotationSettings {
            keep: 3,
            compress: false,
            ..RotationSettings::default()
        };
        let begun = SystemTime::now();
        for number in 0..8 {
            fs::write(&path, number.to_string()).unwrap();
            // Five hours back in the middle, and then it stands still.
            let now = if number < 4 {
                begun + HOUR * number
            } else {
                begun - 2 * HOUR
            };
            rotation.rotate(&path, now).unwrap();
        }
        let kept = put_aside(&path).unwrap().into_iter();
        let kept: Vec<_> = kept
            .map(|(_, path)| fs::read_to_string(path).unwrap())
            .collect();
        assert_eq!(kept, ["5", "6", "7"]);
    }

    #[test]
    fn a_file_is_old_after_its_hours_and_never_because_the_clock_went_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.json");
        fs::write(&path, "a line").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        let created = metadata.created().unwrap();
        let rotation = RotationSettings {
            max_age_hours: Some(2),
            ..RotationSettings::default()
        };
        assert!(!rotation.is_due(&metadata, created + HOUR));
        assert!(rotation.is_due(&metadata, created + 2 * HOUR));
        assert!(!rotation.is_due(&metadata, created - 24 * HOUR));
    }
}
