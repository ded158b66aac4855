//! Entries that are part ours, part another crate's: the common keys are taken
//! out of the table, the rest goes to the source's or sink's own settings, so
//! that each crate checks its own keys.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use sidewatch_codecs::RequestSettings;
use sidewatch_engine::RuleLimits;
use sidewatch_sinks::{FilterSettings, SinkSettings};
use sidewatch_sources::SourceSettings;
use toml::{Table, Value};

use super::error::without_value;

/// One `[[sources]]` entry.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// Names the source in events, logs and metrics.
    pub id: String,
    /// Pack whose codec, mapping and detections apply; `nginx` when absent.
    pub pack: Option<String>,
    /// The application's own `log_format`, a preset's name or `mattermost-audit`;
    /// the pack's when absent.
    pub format: Option<String>,
    /// Where user and session are found in a mirrored request; the pack's when
    /// absent.
    pub request: Option<RequestSettings>,
    /// Whether audit records keep `event.original`, without secrets.
    pub keep_original: bool,
    /// What the kind of source takes.
    pub settings: SourceSettings,
}

/// One `[[sinks]]` entry.
#[derive(Debug, Clone)]
pub struct SinkEntry {
    /// Names the sink in logs and metrics.
    pub id: String,
    /// Which records it gets.
    pub filter: FilterSettings,
    /// Records that may wait for it in memory, when nothing is kept on disk.
    pub queue: usize,
    /// What may wait for it on disk.
    pub buffer: BufferSettings,
    /// What the kind of sink takes.
    pub settings: SinkSettings,
}

/// `buffer` of a sink: what may wait for it on disk.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BufferSettings {
    /// Bytes of journal that may be kept for it.
    pub max_bytes: u64,
    /// What happens beyond.
    pub when_full: WhenFull,
}

impl Default for BufferSettings {
    fn default() -> Self {
        Self {
            max_bytes: 1 << 30,
            when_full: WhenFull::default(),
        }
    }
}

/// What happens when more would wait for a sink than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// Nothing more is taken from any source until there is room.
    Block,
    /// The sink loses its oldest records, whatever they are.
    DropOldest,
    /// The sink loses its oldest events, but keeps its findings.
    #[default]
    DropByPriority,
}

impl From<WhenFull> for sidewatch_store::WhenFull {
    fn from(when: WhenFull) -> Self {
        match when {
            WhenFull::Block => Self::Block,
            WhenFull::DropOldest => Self::DropOldest,
            WhenFull::DropByPriority => Self::DropByPriority,
        }
    }
}

/// One `[[rules]]` entry: changes or adds a detection rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleEntry {
    /// Name of the rule: its file is `<id>.wasm` in `rules_directory`.
    pub id: String,
    /// Switches a rule of a pack off.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Another file than `<id>.wasm`.
    #[serde(default)]
    pub file: Option<std::path::PathBuf>,
    /// The rule's own parameters.
    #[serde(default)]
    pub parameters: Table,
    /// What the rule may use.
    #[serde(default)]
    pub limits: RuleLimits,
}

fn yes() -> bool {
    true
}

/// Records that wait for a sink when nothing is said.
const DEFAULT_QUEUE: usize = 100_000;

fn take<T: DeserializeOwned, E: serde::de::Error>(
    table: &mut Table,
    key: &str,
) -> Result<Option<T>, E> {
    match table.remove(key) {
        None => Ok(None),
        Some(value) => value
            .try_into()
            .map(Some)
            .map_err(|error: toml::de::Error| {
                let message = without_value(error.message().to_owned());
                match key_of(&error) {
                    Some(inner) => E::custom(format_args!("`{key}.{inner}`: {message}")),
                    None => E::custom(format_args!("`{key}`: {message}")),
                }
            }),
    }
}

/// The key whose value is complained about. An error without a place in a text
/// ends with it, and tells it nowhere else.
fn key_of(error: &toml::de::Error) -> Option<String> {
    let told = error.to_string();
    let key = told.strip_prefix(error.message())?.trim();
    let key = key.strip_prefix("in `")?.strip_suffix('`')?;
    Some(key.to_owned())
}

fn required<E: serde::de::Error>(table: &mut Table, key: &'static str) -> Result<String, E> {
    take(table, key)?.ok_or_else(|| E::missing_field(key))
}

/// Reads the rest of an entry by its `type`. Going through the concrete type
/// (not the tagged enum) keeps the list of valid keys in the error.
fn rest<T: DeserializeOwned, E: serde::de::Error>(table: Table, common: &[&str]) -> Result<T, E> {
    Value::Table(table)
        .try_into()
        .map_err(|error: toml::de::Error| {
            let mut message = without_value(error.message().to_owned());
            if let Some(key) = key_of(&error) {
                message = format!("`{key}`: {message}");
            }
            if message.starts_with("unknown field") && !common.is_empty() {
                let ours: Vec<_> = common.iter().map(|key| format!("`{key}`")).collect();
                message = format!("{message}, {}", ours.join(", "));
            }
            E::custom(message)
        })
}

impl<'de> Deserialize<'de> for SourceEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const COMMON: [&str; 6] = ["id", "type", "pack", "format", "request", "keep_original"];
        let mut table = Table::deserialize(deserializer)?;
        let id = required(&mut table, "id")?;
        let kind: String = required(&mut table, "type")?;
        let pack = take(&mut table, "pack")?;
        let format = take(&mut table, "format")?;
        let request = take(&mut table, "request")?;
        let keep_original = take(&mut table, "keep_original")?.unwrap_or(false);
        let settings = match kind.as_str() {
            "mirror" => SourceSettings::Mirror(rest(table, &COMMON)?),
            "syslog" => SourceSettings::Syslog(rest(table, &COMMON)?),
            "file" => SourceSettings::File(rest(table, &COMMON)?),
            "tcp" => SourceSettings::Tcp(rest(table, &COMMON)?),
            "stdin" => SourceSettings::Stdin(rest(table, &COMMON)?),
            _ => {
                return Err(D::Error::unknown_variant(
                    &kind,
                    &["mirror", "syslog", "file", "tcp", "stdin"],
                ));
            }
        };
        Ok(Self {
            id,
            pack,
            format,
            request,
            keep_original,
            settings,
        })
    }
}

impl<'de> Deserialize<'de> for SinkEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const COMMON: [&str; 5] = ["id", "type", "filter", "queue", "buffer"];
        let mut table = Table::deserialize(deserializer)?;
        let id = required(&mut table, "id")?;
        let kind: String = required(&mut table, "type")?;
        let filter = take(&mut table, "filter")?.unwrap_or_default();
        let queue = take(&mut table, "queue")?.unwrap_or(DEFAULT_QUEUE);
        let buffer = take(&mut table, "buffer")?.unwrap_or_default();
        let settings = match kind.as_str() {
            "tirreno" => SinkSettings::Tirreno(rest(table, &COMMON)?),
            "syslog" => SinkSettings::Syslog(rest(table, &COMMON)?),
            "tcp" => SinkSettings::Tcp(rest(table, &COMMON)?),
            "file" => SinkSettings::File(rest(table, &COMMON)?),
            "console" => SinkSettings::Console(rest(table, &COMMON)?),
            _ => {
                return Err(D::Error::unknown_variant(
                    &kind,
                    &["tirreno", "syslog", "tcp", "file", "console"],
                ));
            }
        };
        Ok(Self {
            id,
            filter,
            queue,
            buffer,
            settings,
        })
    }
}
