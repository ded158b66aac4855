//! Configured paths: names, and patterns such as `/var/log/nginx/*.log` that
//! are looked at again and again for new names.
//!
//! Of the names a pattern matches, older files of a log that is followed are
//! left out: their lines come through that log. So are links to files that are
//! matched themselves, and whatever is no regular file.

use std::collections::{BTreeSet, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use glob::{MatchOptions, Pattern};

use super::fingerprint::{self, Inode};
use super::names::is_surely_rotated_from;
use crate::SourceError;

/// Time between two looks for new names.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Most names one pattern may match; further ones are reported.
const MOST: usize = 20_000;

const AS_SHELLS_DO: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// One configured path.
#[derive(Debug, Clone)]
enum Configured {
    Name(PathBuf),
    Pattern(String),
}

/// The configured paths of a source.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    configured: Vec<Configured>,
    next_look: Instant,
}

/// What the patterns match now.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Names to follow.
    pub(super) names: BTreeSet<PathBuf>,
    /// What could not be looked at, and why.
    pub(super) unreadable: Vec<(PathBuf, String)>,
    /// Patterns that match nothing.
    pub(super) idle: Vec<String>,
}

impl Paths {
    /// Tells patterns from names; one that exists as it stands is a name.
    pub(super) fn of(paths: &[PathBuf]) -> Result<Self, SourceError> {
        let configured = paths.iter().map(|path| configured(path));
        Ok(Self {
            configured: configured.collect::<Result<_, _>>()?,
            next_look: Instant::now(),
        })
    }

    /// Whether a path is one of these, or would be matched by one.
    pub(super) fn contain(&self, path: &Path) -> bool {
        self.names().any(|name| name == path)
            || self.patterns().any(|pattern| {
                Pattern::new(pattern)
                    .is_ok_and(|pattern| pattern.matches_path_with(path, AS_SHELLS_DO))
            })
    }

    /// The names given as such.
    pub(super) fn names(&self) -> impl Iterator<Item = &Path> {
        self.configured.iter().filter_map(|one| match one {
            Configured::Name(path) => Some(path.as_path()),
            Configured::Pattern(_) => None,
        })
    }

    /// Whether there are patterns: names may still come.
    pub(super) fn may_grow(&self) -> bool {
        self.patterns().next().is_some()
    }

    /// What the patterns match, when it is time to look; `followed` are the
    /// names that are followed already.
    pub(super) fn look<'a>(&mut self, followed: impl Iterator<Item = &'a Path>) -> Option<Matches> {
        if !self.may_grow() || Instant::now() < self.next_look {
            return None;
        }
        let matches = self.matches(followed);
        // Looking into large directories must not take all the time.
        self.next_look = Instant::now() + LOOK_AGAIN;
        Some(matches)
    }

    /// The names there are now, as given or matched, and the patterns that
    /// match none.
    pub(super) fn present(&self) -> (Vec<PathBuf>, Vec<String>) {
        let matches = self.matches(std::iter::empty());
        let names = self.names().map(Path::to_owned);
        (names.chain(matches.names).collect(), matches.idle)
    }

    fn patterns(&self) -> impl Iterator<Item = &str> {
        self.configured.iter().filter_map(|one| match one {
            Configured::Name(_) => None,
            Configured::Pattern(pattern) => Some(pattern.as_str()),
        })
    }

    fn matches<'a>(&self, followed: impl Iterator<Item = &'a Path>) -> Matches {
        let mut found = Matches::default();
        for pattern in self.patterns() {
            let before = found.names.len();
            expand(pattern, &mut found);
            if found.names.len() == before {
                found.idle.push(pattern.to_owned());
            }
        }
        let mut all: HashSet<PathBuf> = followed.map(Path::to_owned).collect();
        all.extend(self.names().map(Path::to_owned));
        all.extend(found.names.iter().cloned());
        let files = files(all.iter());
        found
            .names
            .retain(|name| !is_older_file(name, &all) && !is_link_to_one_of(name, &files));
        found
    }
}

fn configured(path: &Path) -> Result<Configured, SourceError> {
    let pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']));
    let Some(pattern) = pattern.filter(|_| std::fs::symlink_metadata(path).is_err()) else {
        return Ok(Configured::Name(path.to_owned()));
    };
    match Pattern::new(pattern) {
        Ok(_) => Ok(Configured::Pattern(pattern.to_owned())),
        Err(error) => Err(SourceError::Setting {
            setting: "paths",
            problem: format!(
                "has the pattern `{pattern}`, which cannot be read: {}; write `[*]` for a `*` that stands for itself",
                error.msg
            ),
        }),
    }
}

fn expand(pattern: &str, found: &mut Matches) {
    // It was checked before.
    let Ok(matches) = glob::glob_with(pattern, AS_SHELLS_DO) else {
        return;
    };
    let mut count = 0;
    for entry in matches {
        match entry {
            Ok(path) if count < MOST => {
                if std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
                    count += 1;
                    found.names.insert(path);
                }
            }
            Ok(_) => {
                let reason = format!("matches more than {MOST} files; the others are not read");
                found.unreadable.push((PathBuf::from(pattern), reason));
                break;
            }
            Err(error) => {
                let path = error.path().to_owned();
                found.unreadable.push((path, error.error().to_string()));
            }
        }
    }
    // A name may have come that the pattern does not match but is.
    let literal = Path::new(pattern);
    if std::fs::metadata(literal).is_ok_and(|metadata| metadata.is_file()) {
        found.names.insert(literal.to_owned());
    }
}

/// Whether it is an older file of one of these logs. Each name such a log may
/// have is looked up, so thousands of names take linear time.
fn is_older_file(path: &Path, logs: &HashSet<PathBuf>) -> bool {
    let Some(name) = path.file_name() else {
        return false;
    };
    let Some(text) = name.to_str() else {
        return false;
    };
    let is_log = |base: &str| {
        let log = path.with_file_name(base);
        log != path && logs.contains(&log) && is_surely_rotated_from(&log, name)
    };
    text.match_indices(['.', '-']).any(|(at, mark)| {
        let Some((base, rest)) = text.split_at_checked(at) else {
            return false;
        };
        if is_log(base) {
            return true;
        }
        // `app.log` of `app-20261120.log` and `app-20261120.log.gz`.
        let mut kinds = rest.rsplit('.').take(2);
        mark == "-" && kinds.any(|kind| is_log(&format!("{base}.{kind}")))
    })
}

fn is_link(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink())
}

/// The files behind those names that are no links.
fn files<'a>(names: impl Iterator<Item = &'a PathBuf>) -> HashSet<Inode> {
    names
        .filter_map(|name| std::fs::symlink_metadata(name).ok())
        .filter(Metadata::is_file)
        .map(|metadata| fingerprint::inode(&metadata))
        .collect()
}

fn is_link_to_one_of(path: &Path, files: &HashSet<Inode>) -> bool {
    is_link(path)
        && std::fs::metadata(path)
            .is_ok_and(|metadata| files.contains(&fingerprint::inode(&metadata)))
}
