//! Paths of a configuration that can never work together: a file that is
//! followed and written, which grows without end; a file two sinks write, each
//! cutting off what the other wrote; a directory as a log.
//!
//! Files are told apart by what they are, not by how they are called: links of
//! both kinds are followed, as far as the files exist.

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sidewatch_sinks::SinkSettings;
use sidewatch_sources::SourceSettings;
use toml::{Spanned, Value};

use super::{ConfigError, ConfigFile, TextError};

/// Most symbolic links followed to a file that does not exist.
const LINKS: usize = 16;

/// Most logs told of one by one that two sources follow.
const MOST_TOLD: usize = 10;

/// How a file is known.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Identity {
    Place(PathBuf),
    /// Device and number.
    File(u64, u64),
}

/// Everything a file is known as.
fn identities(path: &Path) -> HashSet<Identity> {
    let mut known = HashSet::from([Identity::Place(place(path))]);
    if let Ok(found) = std::fs::metadata(path) {
        known.insert(Identity::File(found.dev(), found.ino()));
    }
    known
}

/// Where a path leads, though the file may not exist yet.
fn place(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        if let Ok(place) = path.canonicalize() {
            return place;
        }
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        match std::fs::read_link(&path) {
            Ok(target) => path = directory.join(target),
            Err(_) => {
                let directory = directory.canonicalize().unwrap_or(directory);
                return directory.join(path.file_name().unwrap_or_default());
            }
        }
    }
    path
}

/// Refuses what can never work.
///
/// # Errors
/// Names the line, the key and what is in the way.
pub(super) fn check(config: &ConfigFile, name: &str, text: &str) -> Result<(), ConfigError> {
    let places = Places::of(text);
    let at = |start: Option<usize>, entry: String, key: &str, message: String| match start {
        Some(start) => ConfigError::At(TextError::at(
            name,
            text,
            start,
            format!("{entry}: `{key}`: {message}"),
        )),
        None => ConfigError::Entry {
            name: name.to_owned(),
            entry,
            message: format!("`{key}`: {message}"),
        },
    };
    let mut followed = Vec::new();
    let mut patterns = Vec::new();
    for (source, entry) in config.sources.iter().enumerate() {
        let SourceSettings::File(settings) = &entry.settings else {
            continue;
        };
        for (log, path) in settings.paths.iter().enumerate() {
            if path.is_dir() {
                let message = format!(
                    "{} is a directory; name the file in it that is written",
                    path.display()
                );
                let label = format!("source `{}`", entry.id);
                return Err(at(places.log(source, log), label, "paths", message));
            }
            followed.push((&entry.id, identities(path)));
        }
        patterns.push((&entry.id, settings));
    }
    let mut written: Vec<(&String, HashSet<Identity>)> = Vec::new();
    for (sink, entry) in config.sinks.iter().enumerate() {
        let SinkSettings::File(settings) = &entry.settings else {
            continue;
        };
        let known = identities(&settings.path);
        let same = |others: &[(&String, HashSet<Identity>)]| {
            let same = others.iter().find(|(_, other)| !other.is_disjoint(&known));
            same.map(|(id, _)| (*id).clone())
        };
        let path = settings.path.display();
        let mut patterns = patterns.iter();
        let matching = || {
            let leads_to = place(&settings.path);
            let found = patterns
                .find(|(_, source)| source.follows(&settings.path) || source.follows(&leads_to));
            found.map(|(id, _)| (*id).clone())
        };
        let message = if let Some(source) = same(&followed).or_else(matching) {
            format!(
                "{path} is a log that source `{source}` follows: every record written would be read and written again; write to another file"
            )
        } else if let Some(other) = same(&written) {
            format!("{path} is written by sink `{other}` already; give each sink a file of its own")
        } else {
            written.push((&entry.id, known));
            continue;
        };
        let label = format!("sink `{}`", entry.id);
        return Err(at(places.path(sink), label, "path", message));
    }
    Ok(())
}

/// Logs two sources follow, by name or by pattern, of those there are now: one
/// of them waits for the other. What to say of each.
#[must_use]
pub(crate) fn followed_twice(config: &ConfigFile) -> Vec<String> {
    let mut followed: HashMap<Identity, &str> = HashMap::new();
    let mut twice = Vec::new();
    for entry in &config.sources {
        let SourceSettings::File(settings) = &entry.settings else {
            continue;
        };
        let names = settings.present().map(|(names, _)| names);
        for path in names.unwrap_or_else(|_| settings.paths.clone()) {
            let known = identities(&path);
            if let Some(other) = known.iter().find_map(|one| followed.get(one)) {
                twice.push(format!(
                    "{} is followed by source {other} and by source {}: whichever comes first reads it, and the other waits; follow it once",
                    path.display(), entry.id
                ));
            }
            for one in known {
                followed.entry(one).or_insert(&entry.id);
            }
        }
    }
    let more = twice.len().saturating_sub(MOST_TOLD);
    twice.truncate(MOST_TOLD);
    if more > 0 {
        twice.push(format!("{more} more logs are followed by two sources"));
    }
    twice
}

/// Where the paths stand in the text.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Places {
    sources: Vec<SourcePlaces>,
    sinks: Vec<SinkPlaces>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SourcePlaces {
    paths: Vec<Spanned<Value>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SinkPlaces {
    path: Option<Spanned<Value>>,
}

impl Places {
    /// Without them errors name the entry alone.
    fn of(text: &str) -> Self {
        toml::from_str(text).unwrap_or_default()
    }

    fn log(&self, source: usize, log: usize) -> Option<usize> {
        let path = self.sources.get(source)?.paths.get(log)?;
        Some(path.span().start)
    }

    fn path(&self, sink: usize) -> Option<usize> {
        let path = self.sinks.get(sink)?.path.as_ref()?;
        Some(path.span().start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration that follows and writes these files, and what is said of
    /// it.
    fn said(directory: &Path, log: &str, sinks: &[&str]) -> Result<(), String> {
        let mut text = format!(
            "[[sources]]\nid = \"log\"\ntype = \"file\"\npaths = [\"/x/other.log\",\n  {:?}]\n",
            directory.join(log)
        );
        for (number, sink) in sinks.iter().enumerate() {
            let path = directory.join(sink);
            text.push_str(&format!(
                "[[sinks]]\nid = \"s{number}\"\ntype = \"file\"\npath = {path:?}\n"
            ));
        }
        let file = directory.join("sidewatch.toml");
        std::fs::write(&file, text).unwrap();
        ConfigFile::load(&file)
            .map(drop)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_log_that_is_followed_cannot_be_written_by_whatever_name() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let own = directory.join("own");
        std::fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(&own, directory.join("linked")).unwrap();
        std::os::unix::fs::symlink("own/later.log", directory.join("to-come")).unwrap();
        std::fs::write(own.join("a.log"), "").unwrap();
        std::fs::hard_link(own.join("a.log"), directory.join("hard")).unwrap();
        for (log, sink) in [
            ("own/a.log", "own/a.log"),
            ("own/none.log", "own/../own/none.log"),
            ("own/none.log", "linked/none.log"),
            ("own/later.log", "to-come"),
            ("to-come", "linked/later.log"),
            ("own/a.log", "hard"),
        ] {
            let said = said(directory, log, &["own/fine.json", sink]).unwrap_err();
            let place = format!(
                "{}:13:8: sink `s1`: `path`",
                directory.join("sidewatch.toml").display()
            );
            assert!(said.starts_with(&place), "{said}");
            assert!(said.contains("source `log` follows"), "{said}");
        }
        assert_eq!(
            said(directory, "own/a.log", &["own/a.json", "own/b.json"]),
            Ok(())
        );
    }

    #[test]
    fn two_sinks_cannot_write_one_file() {
        let directory = tempfile::tempdir().unwrap();
        let said = said(
            directory.path(),
            "a.log",
            &["all.json", "x.json", "./all.json"],
        );
        let said = said.unwrap_err();
        assert!(
            said.contains(":17:8: sink `s2`: `path`") && said.contains("sink `s0`"),
            "{said}"
        );
    }

    #[test]
    fn a_pattern_may_not_match_what_a_sink_writes() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let refused = said(directory, "*.json", &["all.json"]).unwrap_err();
        assert!(
            refused.contains("sink `s0`: `path`") && refused.contains("source `log` follows"),
            "{refused}"
        );
        assert_eq!(said(directory, "*.log", &["all.json"]), Ok(()));
    }

    #[test]
    fn a_log_that_two_sources_follow_is_told_whatever_names_it() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        for log in 0..14 {
            std::fs::write(directory.join(format!("{log}.log")), "").unwrap();
        }
        let file = directory.join("sidewatch.toml");
        for (second, told) in [
            (directory.join("other/*.log"), 0),
            (directory.join("3.*"), 1),
            (directory.join("./3.log"), 1),
            (directory.join("*.log"), MOST_TOLD + 1),
        ] {
            let first = directory.join("[0-9]*.log");
            let source = |id: &str, path: &Path| {
                format!("[[sources]]\nid = {id:?}\ntype = \"file\"\npaths = [{path:?}]\n")
            };
            let text = source("one", &first) + &source("two", &second);
            std::fs::write(&file, text).unwrap();
            let twice = followed_twice(&ConfigFile::load(&file).unwrap());
            assert_eq!(twice.len(), told, "{second:?}: {twice:?}");
            let names_both = |it: &String| it.contains("source one and by source two");
            assert!(twice.iter().take(MOST_TOLD).all(names_both), "{twice:?}");
            assert!(
                told < 2
                    || twice.ends_with(&["4 more logs are followed by two sources".to_owned()])
            );
        }
    }

    #[test]
    fn a_directory_is_no_log() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("logs")).unwrap();
        let said = said(directory.path(), "logs", &[]).unwrap_err();
        assert!(
            said.contains(":5:3: source `log`: `paths`") && said.contains("is a directory"),
            "{said}"
        );
    }
}
