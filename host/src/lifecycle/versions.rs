//! The highest version of each rule that was in force, kept over restarts, so
//! that an old signed version with a known hole cannot be slipped in again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use semver::Version;

/// Largest file read, in bytes.
const LARGEST: u64 = 1 << 20;

/// The highest versions.
#[derive(Debug, Default)]
pub(super) struct Versions {
    path: Option<PathBuf>,
    highest: BTreeMap<String, Version>,
}

impl Versions {
    /// Reads what is known; a file that cannot be read means nothing is.
    #[must_use]
    pub(super) fn open(directory: &Path) -> Self {
        let path = directory.join("rule-versions.json");
        let highest = read(&path).unwrap_or_default();
        Self {
            path: Some(path),
            highest,
        }
    }

    /// The highest version of a rule that was in force.
    #[must_use]
    pub(super) fn highest(&self, id: &str) -> Option<&Version> {
        self.highest.get(id)
    }

    /// A version came in force; a rollback on purpose makes it the highest.
    pub(super) fn note(&mut self, id: &str, version: &str, on_purpose: bool) {
        let Ok(version) = Version::parse(version) else {
            return;
        };
        let known = self.highest.get(id);
        if known == Some(&version) || (!on_purpose && known.is_some_and(|known| *known > version)) {
            return;
        }
        self.highest.insert(id.to_owned(), version);
        if let Some(path) = &self.path
            && let Err(error) = write(path, &self.highest)
        {
            tracing::warn!(%error, path = %path.display(), "cannot write down which versions were in force");
        }
    }
}

fn read(path: &Path) -> Option<BTreeMap<String, Version>> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(LARGEST).read_to_string(&mut text).ok()?;
    let texts: BTreeMap<String, String> = serde_json::from_str(&text).ok()?;
    let parsed = texts.into_iter();
    Some(
        parsed
            .filter_map(|(id, version)| Some((id, Version::parse(&version).ok()?)))
            .collect(),
    )
}

fn write(path: &Path, highest: &BTreeMap<String, Version>) -> std::io::Result<()> {
    let texts: BTreeMap<&str, String> = highest
        .iter()
        .map(|(id, version)| (id.as_str(), version.to_string()))
        .collect();
    let temporary = path.with_extension("part");
    std::fs::write(&temporary, serde_json::to_vec(&texts)?)?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_remembered_and_only_a_rollback_lowers_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut versions = Versions::open(directory.path());
        versions.note("a", "1.2.0", false);
        versions.note("a", "1.10.0", false);
        versions.note("a", "1.3.0", false);
        let highest = |versions: &Versions| versions.highest("a").unwrap().to_string();
        assert_eq!(highest(&versions), "1.10.0");
        assert_eq!(highest(&Versions::open(directory.path())), "1.10.0");
        versions.note("a", "1.3.0", true);
        assert_eq!(highest(&Versions::open(directory.path())), "1.3.0");
        versions.note("a", "no version", true);
        assert_eq!(highest(&versions), "1.3.0");
    }
}
