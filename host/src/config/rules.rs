//! From configured rules to the rules in force.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;
use sidewatch_engine::rule_set::RoutedMapping;
use sidewatch_engine::{
    ConfigureError, DetectionRule, Engine, LoadError, LoadedRule, RuleKind, RuleLimits, RuleSet,
};

use super::error::did_you_mean;
use super::{ConfigError, Pack, RuleEntry, TextError};

/// Name of the rule that reads mapping tables.
pub const MAPPING_RULE: &str = "event-mapping";

/// Rules cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// No directory with rules was found.
    #[error("no rule components found in {0}; run `make build`, or set `rules_directory`")]
    NoDirectory(String),
    /// A component is unusable.
    #[error("rule `{id}` ({path}): {source}")]
    Load {
        /// Name of the rule.
        id: String,
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        source: LoadError,
    },
    /// A rule does not pass its checks.
    #[error("rule `{id}` ({path}): {reason}")]
    Refused {
        /// Name of the rule.
        id: String,
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A rule refuses its parameters.
    #[error("rule `{id}`: {source}")]
    Configure {
        /// Name of the rule.
        id: String,
        /// What is wrong.
        source: ConfigureError,
    },
    /// A manifest in the rules directory cannot be used.
    #[error("{0}")]
    Manifest(#[source] ConfigError),
    /// A component is another rule than its file or entry says.
    #[error("rule `{id}`: {}", misnamed(id, found))]
    Misnamed {
        /// The name it is wanted by.
        id: String,
        /// The name it gives itself.
        found: String,
    },
    /// A `[[rules]]` entry names no rule.
    #[error("there is no rule `{id}`: {path} does not exist; there are {known}")]
    Unknown {
        /// Name of the rule.
        id: String,
        /// Where it was looked for.
        path: PathBuf,
        /// Rules in the directory.
        known: String,
    },
}

/// Where rule components are looked for when the configuration does not say:
/// beside the program, then where packages put them.
///
/// # Errors
/// None of the places holds a rule.
pub fn rules_directory(configured: Option<&Path>) -> Result<PathBuf, RulesError> {
    let holds_rules = |path: &PathBuf| path.join(format!("{MAPPING_RULE}.wasm")).is_file();
    if let Some(path) = configured {
        let path = path.to_owned();
        return if holds_rules(&path) {
            Ok(path)
        } else {
            Err(RulesError::NoDirectory(path.display().to_string()))
        };
    }
    let beside = std::env::current_exe().ok();
    let beside = beside.iter().flat_map(|program| {
        program
            .ancestors()
            .skip(1)
            .take(3)
            .map(|parent| parent.join("rules"))
    });
    let places: Vec<PathBuf> = std::env::var_os("SIDEWATCH_RULES")
        .map(PathBuf::from)
        .into_iter()
        .chain(beside)
        .chain([
            PathBuf::from("/usr/lib/sidewatch/rules"),
            PathBuf::from("target/rules"),
        ])
        .collect();
    places
        .iter()
        .find(|path| holds_rules(path))
        .cloned()
        .ok_or_else(|| {
            RulesError::NoDirectory(
                places
                    .iter()
                    .map(|path| path.display().to_string())
                    .collect::<Vec<_>>()
                    .join(", "),
            )
        })
}

/// A pack and the sources it applies to; no sources means all.
pub type PackInUse = (Pack, Vec<Arc<str>>);

/// Loads and configures the mappings and detections of the packs in use, with
/// the entries' changes.
///
/// # Errors
/// Names the rule and what is wrong with it.
pub fn build(
    engine: &Engine,
    directory: &Path,
    packs: &[PackInUse],
    entries: &[RuleEntry],
) -> Result<RuleSet, RulesError> {
    let mut rules = RuleSet::default();
    let mapping = load(
        engine,
        MAPPING_RULE,
        &directory.join(format!("{MAPPING_RULE}.wasm")),
    )?;
    rules.mappings = mappings(&mapping, packs)?;
    for (id, entry) in detections(packs, entries) {
        rules
            .detections
            .push(detection(engine, directory, &id, entry)?);
    }
    Ok(rules)
}

/// The mapping rule with the table of each pack.
///
/// # Errors
/// Names the pack whose table is refused.
pub(crate) fn mappings(
    mapping: &LoadedRule,
    packs: &[PackInUse],
) -> Result<Vec<RoutedMapping>, RulesError> {
    packs
        .iter()
        .map(|(pack, sources)| {
            let rule = mapping
                .mapping(&pack.mapping, RuleLimits::default())
                .map_err(|source| RulesError::Configure {
                    id: format!("{MAPPING_RULE} of pack {}", pack.id),
                    source,
                })?;
            Ok(RoutedMapping {
                rule,
                sources: sources.clone(),
            })
        })
        .collect()
}

/// Largest manifest read, in bytes.
const LARGEST: u64 = 1 << 20;

/// `<id>.toml` beside `<id>.wasm`: what a `[[rules]]` entry says, for a rule
/// that is added by putting files into the rules directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    parameters: toml::Table,
    #[serde(default)]
    limits: RuleLimits,
}

fn yes() -> bool {
    true
}

/// Where a rule's manifest lies.
pub(crate) fn manifest_path(directory: &Path, id: &str) -> PathBuf {
    directory.join(format!("{id}.toml"))
}

/// The entries of the configuration and those of the manifests in the rules
/// directory; what the configuration says of a rule counts.
///
/// # Errors
/// A manifest is wrong.
pub fn entries(directory: &Path, configured: &[RuleEntry]) -> Result<Vec<RuleEntry>, RulesError> {
    let Entries { entries, broken } = read_entries(directory, configured, &[]);
    match broken.into_iter().next() {
        Some((_, error)) => Err(error),
        None => Ok(entries),
    }
}

/// What is said of the rules.
#[derive(Debug, Default)]
pub struct Entries {
    /// The entries that can be used.
    pub entries: Vec<RuleEntry>,
    /// Rules whose manifest is wrong, and how.
    pub broken: Vec<(String, RulesError)>,
}

/// As [`entries`], but a wrong manifest concerns its rule alone, which keeps
/// its entry of `before`.
#[must_use]
pub fn read_entries(directory: &Path, configured: &[RuleEntry], before: &[RuleEntry]) -> Entries {
    let mut entries = configured.to_vec();
    let mut broken = Vec::new();
    for id in names(directory) {
        let path = manifest_path(directory, &id);
        if configured.iter().any(|entry| entry.id == id) || !path.is_file() {
            continue;
        }
        match read_manifest(&path) {
            Ok(manifest) => entries.push(RuleEntry {
                id,
                enabled: manifest.enabled,
                file: None,
                parameters: manifest.parameters,
                limits: manifest.limits,
            }),
            Err(error) => {
                entries.extend(before.iter().find(|entry| entry.id == id).cloned());
                broken.push((id, RulesError::Manifest(error)));
            }
        }
    }
    Entries { entries, broken }
}

fn read_manifest(path: &Path) -> Result<Manifest, ConfigError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
        .map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
    let placed = |error| TextError::from_toml(&path.display().to_string(), &text, &error);
    Ok(toml::from_str(&text).map_err(placed)?)
}

/// Rule names in order, the packs' first, with their entries.
pub(crate) fn detections<'a>(
    packs: &[PackInUse],
    entries: &'a [RuleEntry],
) -> Vec<(String, Option<&'a RuleEntry>)> {
    let by_id: BTreeMap<&str, &RuleEntry> = entries
        .iter()
        .map(|entry| (entry.id.as_str(), entry))
        .collect();
    let mut names: Vec<String> = Vec::new();
    let all = packs
        .iter()
        .flat_map(|(pack, _)| &pack.detections)
        .chain(entries.iter().map(|entry| &entry.id));
    for name in all {
        if !names.contains(name) && by_id.get(name.as_str()).is_none_or(|entry| entry.enabled) {
            names.push(name.clone());
        }
    }
    names
        .into_iter()
        .map(|name| (name.clone(), by_id.get(name.as_str()).copied()))
        .collect()
}

fn detection(
    engine: &Engine,
    directory: &Path,
    id: &str,
    entry: Option<&RuleEntry>,
) -> Result<DetectionRule, RulesError> {
    let path = component_path(directory, id, entry);
    if !path.is_file() {
        return Err(unknown(directory, id, path));
    }
    let loaded = load(engine, id, &path)?;
    let (parameters, limits) = settings(entry);
    configure(id, &loaded, &parameters, limits)
}

/// A rule with its parameters, if it is the one it is taken for.
fn configure(
    id: &str,
    loaded: &LoadedRule,
    parameters: &Value,
    limits: RuleLimits,
) -> Result<DetectionRule, RulesError> {
    let rule = loaded
        .detection(parameters, limits)
        .map_err(|source| RulesError::Configure {
            id: id.to_owned(),
            source,
        })?;
    let found = &*rule.descriptor.id;
    if found != id {
        return Err(RulesError::Misnamed {
            id: id.to_owned(),
            found: found.to_owned(),
        });
    }
    Ok(rule)
}

/// What is said of a component that is another rule than it is taken for.
pub(crate) fn misnamed(id: &str, found: &str) -> String {
    let found = found.escape_default();
    format!(
        "the component calls itself `{found}`; name its file, manifest and `[[rules]]` entry `{found}`, or build it under the name `{id}`"
    )
}

/// The file a rule comes from: its entry's, else `<id>.wasm`.
pub(crate) fn component_path(directory: &Path, id: &str, entry: Option<&RuleEntry>) -> PathBuf {
    let file = entry.and_then(|entry| entry.file.clone());
    directory.join(file.unwrap_or_else(|| PathBuf::from(format!("{id}.wasm"))))
}

/// The error about a rule that has no file.
pub(crate) fn unknown(directory: &Path, id: &str, path: PathBuf) -> RulesError {
    RulesError::Unknown {
        id: id.to_owned(),
        path,
        known: known(directory, id),
    }
}

/// Parameters and limits of an entry, or the defaults.
pub(crate) fn settings(entry: Option<&RuleEntry>) -> (Value, RuleLimits) {
    match entry {
        Some(entry) => (
            serde_json::to_value(&entry.parameters).unwrap_or(Value::Null),
            entry.limits,
        ),
        None => (Value::Object(serde_json::Map::new()), RuleLimits::default()),
    }
}

/// A detection rule that is not yet configured.
pub struct DetectionComponent {
    /// Its name.
    pub id: String,
    /// The component.
    pub loaded: LoadedRule,
    /// Its parameters, a JSON object.
    pub parameters: Value,
    /// What it may use.
    pub limits: RuleLimits,
}

impl DetectionComponent {
    /// Configures it; it knows nothing yet.
    ///
    /// # Errors
    /// The rule refuses its parameters.
    pub fn configure(&self) -> Result<DetectionRule, RulesError> {
        configure(&self.id, &self.loaded, &self.parameters, self.limits)
    }
}

/// Every detection rule of a directory by name, with the entries' parameters;
/// without those an entry switches off.
///
/// # Errors
/// A component is unusable.
pub fn detection_components(
    engine: &Engine,
    directory: &Path,
    entries: &[RuleEntry],
) -> Result<Vec<DetectionComponent>, RulesError> {
    let mut components = Vec::new();
    for id in names(directory) {
        let entry = entries.iter().find(|entry| entry.id == id);
        if entry.is_some_and(|entry| !entry.enabled) {
            continue;
        }
        let loaded = load(engine, &id, &directory.join(format!("{id}.wasm")))?;
        if loaded.kind != RuleKind::Detection {
            continue;
        }
        let (parameters, limits) = settings(entry);
        components.push(DetectionComponent {
            id,
            loaded,
            parameters,
            limits,
        });
    }
    Ok(components)
}

fn load(engine: &Engine, id: &str, path: &Path) -> Result<LoadedRule, RulesError> {
    engine.load_file(path).map_err(|source| RulesError::Load {
        id: id.to_owned(),
        path: path.to_owned(),
        source,
    })
}

fn known(directory: &Path, wanted: &str) -> String {
    let names = names(directory);
    names.join(", ") + &did_you_mean(names.iter().map(String::as_str), wanted)
}

/// Rules of a directory, in alphabetical order.
pub(crate) fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            entry
                .file_name()
                .to_str()?
                .strip_suffix(".wasm")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}
