//! What a version has to pass before it sees the next event, at the start and
//! at a swap.
//!
//! In order, and each says why: size and signature, compiling, the interface,
//! parameters, name, version, the rule's own vectors, a trial on recent
//! traffic. Whatever fails, the version in force stays as it is.

use std::path::{Path, PathBuf};

use semver::Version;
use serde_json::Value;
use sidewatch_engine::rule_set::RoutedMapping;
use sidewatch_engine::{
    ConfigureError, DetectionRule, Engine, LoadError, LoadedRule, RuleLimits, SampledState, canary,
};
use sidewatch_event::Event;

use crate::config::error::one_line;
use crate::config::rules::{MAPPING_RULE, PackInUse, mappings, misnamed};
use crate::vectors;

/// Why a version is not put in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{stage}: {reason}")]
pub struct Refusal {
    /// The check that failed; the value of the metric label `reason`.
    pub stage: &'static str,
    /// What is wrong and what to do, on one line.
    pub reason: String,
}

impl Refusal {
    pub(super) fn new(stage: &'static str, reason: impl std::fmt::Display) -> Self {
        Self {
            stage,
            reason: one_line(&reason.to_string()),
        }
    }

    /// About a version that was left on purpose.
    pub(super) fn left(id: &str) -> Self {
        let reason = format!(
            "this version was rolled back, or another file was preferred to it; `sidewatch rules swap {id}` takes it all the same"
        );
        Self::new("left", reason)
    }

    /// Whether trying again may help though nothing was changed.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self.stage, "exchange" | "file")
    }
}

/// A version that may be put in force.
#[derive(Debug)]
pub struct Passed {
    /// Configured, and has seen nothing yet.
    pub rule: Box<DetectionRule>,
    /// The component.
    pub loaded: LoadedRule,
    /// What the vectors and the trial showed, one line.
    pub notes: String,
}

/// A version as it wants to be put in force.
#[derive(Debug)]
pub struct Candidate<'a> {
    /// Name of the rule.
    pub id: &'a str,
    /// The component's bytes.
    pub component: &'a [u8],
    /// The text of its signature, if there is one.
    pub signature: Option<&'a str>,
    /// Its parameters, a JSON object.
    pub parameters: &'a Value,
    /// What it may use.
    pub limits: RuleLimits,
    /// Folder with its vectors, if there is one.
    pub vectors: Option<PathBuf>,
}

/// What the candidate is compared with.
#[derive(Debug)]
pub struct Surroundings<'a> {
    /// The engine.
    pub engine: &'a Engine,
    /// The version in force with its parameters and limits.
    pub in_force: Option<(&'a LoadedRule, &'a Value, RuleLimits)>,
    /// The highest version that was in force, where older ones are refused.
    pub highest: Option<&'a Version>,
    /// Recent traffic.
    pub recent: &'a [Box<Event>],
    /// States of the version in force.
    pub states: &'a [SampledState],
}

/// Checks a candidate.
///
/// # Errors
/// The first check that fails, with its reason.
pub fn check(candidate: &Candidate<'_>, around: &Surroundings<'_>) -> Result<Passed, Refusal> {
    let loaded = around
        .engine
        .load_signed(candidate.component, candidate.signature)
        .map_err(|error| Refusal::new(stage_of(&error), error))?;
    let configure = || {
        loaded
            .detection(candidate.parameters, candidate.limits)
            .map_err(|error| {
                let stage = match error {
                    ConfigureError::Kind(_) | ConfigureError::Description(_) => "interface",
                    _ => "parameters",
                };
                Refusal::new(stage, error)
            })
    };
    let mut trial = configure()?;
    let named = &*trial.descriptor.id;
    if named != candidate.id {
        return Err(Refusal::new("name", misnamed(candidate.id, named)));
    }
    check_version(&trial.descriptor.version, around.highest)?;
    let told = run_vectors(candidate, &loaded)?;
    let mut twin = match around.in_force {
        None => None,
        Some((loaded, parameters, limits)) => loaded.detection(parameters, limits).ok(),
    };
    // States of another key say nothing to this version.
    let same_key = twin
        .as_ref()
        .is_some_and(|twin| twin.descriptor.key == trial.descriptor.key);
    let states = if same_key { around.states } else { &[] };
    let report = canary(&mut trial, twin.as_mut(), around.recent, states)
        .map_err(|reason| Refusal::new("canary", reason))?;
    Ok(Passed {
        rule: Box::new(configure()?),
        loaded,
        notes: format!("{told}; {report}"),
    })
}

/// Mappings that may be put in force.
#[derive(Debug)]
pub struct Mapped {
    /// One for each pack; they have seen nothing yet.
    pub mappings: Vec<RoutedMapping>,
    /// The component.
    pub loaded: LoadedRule,
    /// Its version.
    pub version: String,
    /// What the trial showed, one line.
    pub notes: String,
}

/// Checks a mapping rule with the tables of all packs on recent traffic.
///
/// # Errors
/// The first check that fails, with its reason.
pub fn check_mappings(
    engine: &Engine,
    component: &[u8],
    signature: Option<&str>,
    packs: &[PackInUse],
    recent: &mut [Box<Event>],
) -> Result<Mapped, Refusal> {
    let loaded = engine
        .load_signed(component, signature)
        .map_err(|error| Refusal::new(stage_of(&error), error))?;
    let build = || mappings(&loaded, packs).map_err(|error| Refusal::new("parameters", error));
    let mut trial = build()?;
    let mut version = String::new();
    for routed in &mut trial {
        let named = &*routed.rule.descriptor.id;
        if named != MAPPING_RULE {
            return Err(Refusal::new("name", misnamed(MAPPING_RULE, named)));
        }
        version = routed.rule.descriptor.version.to_string();
        routed.rule.map(recent, |_| true);
        let failed = routed.rule.counters.failed();
        if failed > 0 {
            let reason = format!("it fails on {failed} of {} recent events", recent.len());
            return Err(Refusal::new("canary", reason));
        }
    }
    let notes = format!("{} tables; {} recent events", trial.len(), recent.len());
    Ok(Mapped {
        mappings: build()?,
        loaded,
        version,
        notes,
    })
}

/// The check a component failed at when it could not be loaded.
fn stage_of(error: &LoadError) -> &'static str {
    match error {
        LoadError::Read { .. } => "file",
        LoadError::Signature(_) => "signature",
        LoadError::TooLarge { .. } => "size",
        LoadError::Malformed(_) | LoadError::CoreModule => "component",
        LoadError::Compile(_) => "compile",
        LoadError::Import(_) => "imports",
        LoadError::InterfaceVersion { .. } | LoadError::NoRule | LoadError::Mismatch(_) => {
            "interface"
        }
    }
}

fn check_version(version: &str, highest: Option<&Version>) -> Result<(), Refusal> {
    let Some(highest) = highest else {
        return Ok(());
    };
    let given = Version::parse(version)
        .map_err(|error| Refusal::new("version", format!("`{version}` is no version: {error}")))?;
    if given < *highest {
        return Err(Refusal::new(
            "version",
            format!(
                "{given} is older than {highest}, which was in force; ask for `sidewatch rules rollback`, or set `trust.older_versions = \"allow\"`"
            ),
        ));
    }
    Ok(())
}

fn run_vectors(candidate: &Candidate<'_>, loaded: &LoadedRule) -> Result<String, Refusal> {
    let Some(folder) = candidate.vectors.as_deref().filter(|path| path.is_dir()) else {
        return Ok("no vectors".to_owned());
    };
    let outcome = vectors::run(loaded, candidate.limits, folder)
        .map_err(|error| Refusal::new("vectors", error))?;
    match outcome.failures.first() {
        None => Ok(format!("{} vectors hold", outcome.held)),
        Some(first) => Err(Refusal::new(
            "vectors",
            format!(
                "{} of {} cases do not hold; {first}",
                outcome.failures.len(),
                outcome.held + outcome.failures.len()
            ),
        )),
    }
}

/// The folder with a rule's vectors beside its component.
#[must_use]
pub fn vectors_of(directory: &Path, id: &str) -> PathBuf {
    directory.join(id).join(vectors::FOLDER)
}
