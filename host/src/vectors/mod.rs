//! A rule's test vectors through its component: events in, findings out.
//!
//! The same function is `sidewatch test` and the gate a new version has to
//! pass before it sees traffic. Rule authors run the same files natively with
//! `rule-sdk`; the format is described in `rules/README.md`.
//!
//! Invariant: a vector runs within the rule's own limits, so files from
//! outside cannot hang the host.

mod convert;
pub mod rewrite;

use std::path::{Path, PathBuf};

use rule_sdk::detection::vectors::{self, Case, VectorError};
use rule_sdk::detection::wire;
use sidewatch_engine::{ConfigureError, DetectionRule, LoadedRule, RuleLimits};
use sidewatch_event::Event;

/// Folder of the vectors within a rule's folder.
pub const FOLDER: &str = "tests";
/// Most cases a gate runs.
const MOST_CASES: usize = 10_000;

/// A case that does not hold.
#[derive(Debug, Clone)]
pub struct Failure {
    /// File of the case.
    pub file: PathBuf,
    /// Its index within the file.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// What differs, several lines.
    pub message: String,
    /// The findings it would have to expect; none when the rule failed.
    pub corrected: Option<Vec<serde_json::Value>>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (file, name) = (self.file.display(), &self.name);
        write!(formatter, "{file}: case `{name}`: {}", self.message)
    }
}

/// How the vectors of a rule ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Cases that hold.
    pub held: usize,
    /// Those that do not.
    pub failures: Vec<Failure>,
}

/// Runs the cases of a file, or of every file in a folder; both in one frame
/// and one event per frame, as the sidecar does under load and in quiet hours.
///
/// # Errors
/// A file cannot be read or holds no cases.
pub fn run(loaded: &LoadedRule, limits: RuleLimits, path: &Path) -> Result<Outcome, VectorError> {
    let mut outcome = Outcome::default();
    for file in vectors::files(path)? {
        for (index, case) in vectors::load(&file)?.into_iter().enumerate() {
            if outcome.held + outcome.failures.len() >= MOST_CASES {
                return Ok(outcome);
            }
            match run_case(loaded, limits, &case) {
                Ok(()) => outcome.held += 1,
                Err((message, corrected)) => outcome.failures.push(Failure {
                    file: file.clone(),
                    index,
                    name: case.name.clone(),
                    message,
                    corrected,
                }),
            }
        }
    }
    Ok(outcome)
}

/// What is wrong, and the findings there were.
type Wrong = (String, Option<Vec<serde_json::Value>>);

fn run_case(loaded: &LoadedRule, limits: RuleLimits, case: &Case) -> Result<(), Wrong> {
    let events = case.events().map_err(|message| (message, None))?;
    let events: Vec<Box<Event>> = (0..)
        .zip(&events)
        .map(|(number, event)| convert::event(number, event))
        .collect();
    for (frame, name) in [(events.len().max(1), ""), (1, "one event per frame: ")] {
        let (found, descriptor) = fold(loaded, limits, case, &events, frame)
            .map_err(|message| (format!("{name}{message}"), None))?;
        case.check(&descriptor, &found).map_err(|message| {
            let corrected = case.corrected(&descriptor, &found);
            (format!("{name}{message}"), Some(corrected))
        })?;
    }
    Ok(())
}

fn fold(
    loaded: &LoadedRule,
    limits: RuleLimits,
    case: &Case,
    events: &[Box<Event>],
    frame: usize,
) -> Result<(Vec<wire::Finding>, wire::Descriptor), String> {
    let parameters = serde_json::Value::Object(case.parameters.clone());
    let mut rule = loaded
        .detection(&parameters, limits)
        .map_err(|error: ConfigureError| error.to_string())?;
    let mut findings = Vec::new();
    for (number, chunk) in events.chunks(frame).enumerate() {
        let mut found = Vec::new();
        rule.fold(chunk, &mut found);
        for finding in &mut found {
            finding.event += number * frame;
        }
        found.sort_by_key(|finding| finding.event);
        findings.extend(found);
    }
    faultless(&rule)?;
    let descriptor = convert::descriptor(&rule.descriptor);
    let findings = findings
        .iter()
        .map(|finding| convert::finding(&rule.descriptor, finding))
        .collect();
    Ok((findings, descriptor))
}

fn faultless(rule: &DetectionRule) -> Result<(), String> {
    if rule.counters.failed() == 0 {
        return Ok(());
    }
    let failed = rule.counters.failures.latest();
    let told = failed.first().map_or_else(
        || "it was suspended".to_owned(),
        |first| format!("event {}: it {}", first.event, first.fault),
    );
    Err(format!("the rule failed: {told}"))
}
