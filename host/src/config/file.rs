//! The configuration file as typed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sidewatch_codecs::redact::SecretPaths;
use sidewatch_enrich::EnrichSettings;

use crate::lifecycle::LifecycleSettings;

use super::control::ControlSettings;
use super::paths;
use super::{ConfigError, Pack, RuleEntry, SinkEntry, SourceEntry, TextError, TrustSettings};

/// Largest configuration file read, in bytes.
const LARGEST: u64 = 4 << 20;

/// Where keys and compiled rules are when nothing is said.
const DIRECTORY: &str = "/var/lib/sidewatch";

/// Ends the name of a sink's queue of findings in the store.
pub const FINDINGS_LANE: &str = " (findings)";

/// Most sinks: a record in the store carries a bit for each of their queues.
const MOST_SINKS: usize = 32;

/// The whole file.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// Keys, compiled rules, and everything that outlives the process; made
    /// with mode 0700. Without it queues, states and positions are in memory,
    /// and keys and compiled rules in the default directory.
    pub data_directory: Option<PathBuf>,
    /// How what was taken is kept.
    pub store: KeepSettings,
    /// Rule components, `<id>.wasm`; searched for when absent.
    pub rules_directory: Option<PathBuf>,
    /// Whose rules are loaded.
    pub trust: TrustSettings,
    /// How rules are changed while traffic flows.
    pub lifecycle: LifecycleSettings,
    /// Operators that ask over TCP.
    pub control: ControlSettings,
    /// Health and metrics.
    pub admin: AdminSettings,
    /// Joining mirrored requests with their access-log lines.
    pub join: JoinSettings,
    /// Client address, location, networks, sites.
    pub enrichment: EnrichSettings,
    /// Paths with secrets of all sources, such as `/reset/{token}`: what is in
    /// braces is taken out wherever such a path stands.
    pub secret_paths: Vec<String>,
    /// Settings of the packs' tables, by pack.
    pub packs: BTreeMap<String, toml::Table>,
    /// Where events come from.
    pub sources: Vec<SourceEntry>,
    /// Changes to the packs' detection rules, or further ones.
    pub rules: Vec<RuleEntry>,
    /// Where records go.
    pub sinks: Vec<SinkEntry>,
}

/// `[store]`: what was taken is kept in `data_directory`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepSettings {
    /// Switched off, nothing but keys and compiled rules is kept.
    pub enabled: bool,
    /// Bytes after which a file of the journal is full.
    pub segment_bytes: u64,
}

impl Default for KeepSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            segment_bytes: 32 << 20,
        }
    }
}

/// `[admin]`: `/livez`, `/readyz` and `/metrics`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdminSettings {
    /// Where to listen; an empty text switches it off.
    #[serde(deserialize_with = "optional_address")]
    pub listen: Option<SocketAddr>,
}

impl Default for AdminSettings {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([127, 0, 0, 1], 9180))),
        }
    }
}

fn optional_address<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        serde::de::Error::custom(format_args!(
            "`{text}` is no address with a port; write it like 127.0.0.1:9180"
        ))
    })
}

/// `[join]`: a mirrored request knows user and body, its access-log line knows
/// the status; the request id joins them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JoinSettings {
    /// Joined when there is both a mirror and another source.
    pub enabled: bool,
    /// How long a mirrored request waits for its log line, in milliseconds.
    pub window_ms: u64,
    /// How long a log line waits for its mirrored request, in milliseconds.
    pub line_window_ms: u64,
    /// Records that may wait at a time; beyond it the oldest go on alone.
    pub capacity: usize,
}

impl Default for JoinSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            window_ms: 2_000,
            line_window_ms: 500,
            capacity: 50_000,
        }
    }
}

impl ConfigFile {
    /// Where keys and compiled rules are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.data_directory
            .as_deref()
            .unwrap_or(Path::new(DIRECTORY))
    }

    /// Reads and checks a file.
    ///
    /// # Errors
    /// Says where the file is wrong and what would be right.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        use std::io::Read as _;
        let read = |source| ConfigError::Read {
            path: path.to_owned(),
            source,
        };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(read)?;
        file.take(LARGEST).read_to_string(&mut text).map_err(read)?;
        let name = path.display().to_string();
        let config = Self::parse(&name, &text)?;
        paths::check(&config, &name, &text)?;
        Ok(config)
    }

    /// Checks a text; `name` is how errors call it.
    ///
    /// # Errors
    /// Says where the text is wrong and what would be right.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        let file: Self =
            toml::from_str(text).map_err(|error| TextError::from_toml(name, text, &error))?;
        file.check(name)?;
        Ok(file)
    }

    fn check(&self, name: &str) -> Result<(), ConfigError> {
        let checked = self
            .check_packs()
            .and_then(|()| self.check_single())
            .and_then(|()| self.check_ids())
            .and_then(|()| self.check_sources())
            .and_then(|()| self.check_sinks());
        checked.map_err(|(entry, message)| ConfigError::Entry {
            name: name.to_owned(),
            entry,
            message,
        })
    }

    fn check_packs(&self) -> Result<(), Problem> {
        // Packs in directories are known by the id they give themselves.
        let own: Vec<Pack> = self
            .sources
            .iter()
            .filter_map(|source| source.pack.as_deref().filter(|name| name.contains('/')))
            .filter_map(|name| Pack::load(name).ok())
            .collect();
        for (id, settings) in &self.packs {
            let loaded = match own.iter().find(|pack| pack.id == *id) {
                Some(pack) => Ok(pack.clone()),
                None => Pack::load(id),
            };
            loaded
                .and_then(|mut pack| pack.set_all(settings))
                .map_err(|error| (format!("packs.{id}"), error.to_string()))?;
        }
        Ok(())
    }

    /// What there is one of.
    fn check_single(&self) -> Result<(), Problem> {
        SecretPaths::new(&self.secret_paths)
            .map_err(|error| ("secret_paths".to_owned(), error.to_string()))?;
        self.control
            .check()
            .map_err(|message| ("[control]".to_owned(), message))?;
        for (key, value) in [
            ("window_ms", self.join.window_ms),
            ("line_window_ms", self.join.line_window_ms),
            ("capacity", self.join.capacity as u64),
        ] {
            if value == 0 {
                let message = format!(
                    "`{key}` is 0; give at least 1, or set `enabled = false` to join nothing"
                );
                return Err(("join".to_owned(), message));
            }
        }
        let segment = self.store.segment_bytes;
        if !(64 << 10..=1 << 30).contains(&segment) {
            let message = format!("segment_bytes is {segment}; choose 65536 to 1073741824");
            return Err(("[store]".to_owned(), message));
        }
        Ok(())
    }

    fn check_ids(&self) -> Result<(), Problem> {
        let twice = "its id is used twice; ids must differ";
        let sources = self.sources.iter().map(|it| ("source", &it.id, twice));
        let sinks = self.sinks.iter().map(|it| ("sink", &it.id, twice));
        let rules = self.rules.iter().map(|it| {
            let twice = "it is listed twice; join the entries";
            ("rule", &it.id, twice)
        });
        let mut seen = BTreeSet::new();
        for (kind, id, twice) in sources.chain(sinks).chain(rules) {
            if id.trim().is_empty() {
                let message = "`id` is empty; give a name, it is shown in logs and metrics";
                return Err((format!("a {kind}"), message.to_owned()));
            }
            if !seen.insert((kind, id)) {
                return Err((format!("{kind} `{id}`"), twice.to_owned()));
            }
        }
        Ok(())
    }

    fn check_sources(&self) -> Result<(), Problem> {
        for source in &self.sources {
            source
                .settings
                .validate()
                .map_err(|error| (format!("source `{}`", source.id), error.to_string()))?;
        }
        Ok(())
    }

    fn check_sinks(&self) -> Result<(), Problem> {
        if self.sinks.len() > MOST_SINKS {
            let message = format!(
                "{} sinks, but a record can go to at most {MOST_SINKS}; join some of them",
                self.sinks.len()
            );
            return Err(("[[sinks]]".to_owned(), message));
        }
        for sink in &self.sinks {
            let label = format!("sink `{}`", sink.id);
            if sink.id.ends_with(FINDINGS_LANE) {
                let message = format!(
                    "its id ends with `{FINDINGS_LANE}`, which is how its queue of findings is called; choose another"
                );
                return Err((label, message));
            }
            if sink.queue == 0 {
                let message = "queue is 0; a sink needs room for at least one record";
                return Err((label, message.to_owned()));
            }
            if sink.buffer.max_bytes < 256 << 10 {
                let message =
                    "buffer.max_bytes is too small; a sink needs room for at least 262144 bytes";
                return Err((label, message.to_owned()));
            }
            sink.filter
                .build()
                .map_err(|error| (label, error.to_string()))?;
        }
        Ok(())
    }
}

/// The entry that cannot be used, and why.
type Problem = (String, String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_defaults() {
        let file = ConfigFile::parse("x", "").unwrap();
        assert_eq!(file.admin.listen.unwrap().port(), 9180);
        assert!(file.join.enabled);
    }

    #[test]
    fn settings_of_packs_are_checked() {
        let text = "[packs.archivematica]\nstorage_service_port = [8000]\n";
        assert!(ConfigFile::parse("x", text).is_ok());
        for (text, hint) in [
            ("[packs.archivematca]\n", "archivematica"),
            ("[packs.mattermost]\nsite = 1\n", "site_path"),
        ] {
            let error = ConfigFile::parse("x", text).unwrap_err().to_string();
            assert!(error.contains(hint), "{error}");
        }
    }

    #[test]
    fn empty_ids_and_a_join_without_room_are_refused_by_their_key() {
        for (text, words) in [
            (
                "[join]\nwindow_ms = 0\n",
                ["join: `window_ms`", "enabled = false"],
            ),
            (
                "[join]\ncapacity = 0\n",
                ["join: `capacity`", "enabled = false"],
            ),
            (
                "[[sinks]]\nid = \"\"\ntype = \"console\"\n",
                ["a sink: `id`", "name"],
            ),
            ("[[rules]]\nid = \" \"\n", ["a rule: `id`", "name"]),
        ] {
            let error = ConfigFile::parse("x", text).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn ids_must_differ() {
        let text = "[[sinks]]\nid = \"a\"\ntype = \"console\"\n[[sinks]]\nid = \"a\"\ntype = \"console\"\n";
        assert!(
            ConfigFile::parse("x", text)
                .unwrap_err()
                .to_string()
                .contains("sink `a`")
        );
    }
}
