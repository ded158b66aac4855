//! Test vectors of a rule: JSON or TOML files with events and the findings
//! expected.
//!
//! A JSON file holds one case or a list of cases, a TOML file `[[case]]`
//! tables. The same files run natively (here) and through the component
//! (`sidewatch test`). `rules/README.md` describes the format for authors.
//!
//! A case is `{"name", "parameters", "events", "findings"}`. Every finding must
//! be expected and every expected one found, in order; of a finding only what
//! is written down is compared.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::harness::{Harness, Runner, START, TestEvent};
use super::{Activity, NetworkKind, Rule, wire};

mod compare;
mod correct;
mod page;
mod states;

pub use page::check_page;
pub use states::{check_states, check_whereabouts_written, writes};

/// Why vectors could not be read or did not hold.
#[derive(Debug, thiserror::Error)]
pub enum VectorError {
    /// The file or folder cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no list of cases.
    #[error("{path} holds no test cases: {message}")]
    Malformed {
        /// Where.
        path: PathBuf,
        /// What is wrong, with line and column where known.
        message: String,
    },
    /// Some cases did not hold.
    #[error("{}", failures.join("\n\n"))]
    Failed {
        /// File, case and what differs, one text per case.
        failures: Vec<String>,
    },
}

/// One case of a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows, as a sentence.
    pub name: String,
    /// The rule's parameters.
    #[serde(default)]
    pub parameters: serde_json::Map<String, Value>,
    /// Values every event of the case has unless it says otherwise.
    #[serde(default)]
    defaults: serde_json::Map<String, Value>,
    events: Vec<serde_json::Map<String, Value>>,
    /// The findings expected, in the order of their events.
    #[serde(default)]
    pub findings: Vec<Expected>,
}

/// A finding expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Kind of the finding by its name.
    pub kind: String,
    /// Index of the event that raises it, from 0.
    pub event: u32,
    /// A label: findings of the same label are of the same incident, findings
    /// of different labels are not.
    pub incident: Option<String>,
    /// Its occurrence.
    pub occurrence: Option<u32>,
    /// Its severity.
    pub severity: Option<u32>,
    /// Its score, to two decimal places.
    pub score: Option<f32>,
    /// Words its title must contain.
    pub title: Option<String>,
    /// Evidence by name: a text, a number, minutes for a time, an address as
    /// text, `[latitude, longitude]`, `{"at_least": …, "at_most": …}`, or
    /// `null` (in TOML `false`) for evidence that must be absent.
    #[serde(default)]
    pub evidence: BTreeMap<String, Value>,
}

/// An event as a vector writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EventText {
    minutes: f64,
    user: String,
    from: Option<std::net::IpAddr>,
    at: Option<(f64, f64, f32)>,
    session: String,
    device: String,
    user_agent: String,
    as_number: u32,
    country: String,
    network: String,
    activity: String,
    status: u32,
    texts: BTreeMap<String, String>,
}

impl EventText {
    fn into_event(self) -> Result<TestEvent, String> {
        let network_kind = number_of(
            &self.network,
            NetworkKind::ALL.map(NetworkKind::as_str),
            "network",
        )?;
        let activity = number_of(
            &self.activity,
            Activity::ALL.map(|(_, name)| name),
            "activity",
        )?;
        #[expect(clippy::cast_possible_truncation, reason = "test times are small")]
        Ok(TestEvent {
            time: START.saturating_add((self.minutes * 60_000.0).round() as i64),
            user: self.user,
            session: self.session,
            device: self.device,
            user_agent: self.user_agent,
            address: self.from,
            place: self.at,
            as_number: self.as_number,
            country: self.country,
            network_kind,
            activity,
            status: self.status,
            texts: self.texts,
        })
    }
}

fn number_of<const N: usize>(name: &str, names: [&str; N], what: &str) -> Result<u32, String> {
    match names.iter().zip(0..).find(|(known, _)| **known == name) {
        Some((_, number)) => Ok(number),
        None if name.is_empty() => Ok(0),
        None => Err(format!(
            "unknown {what} `{name}`; one of {}",
            names.join(", ")
        )),
    }
}

impl Case {
    /// The events of the case.
    ///
    /// # Errors
    /// Names the event and the member that makes no sense.
    pub fn events(&self) -> Result<Vec<TestEvent>, String> {
        self.events
            .iter()
            .enumerate()
            .map(|(index, own)| {
                let mut members = self.defaults.clone();
                members.extend(own.clone());
                let text: EventText = serde_json::from_value(Value::Object(members))
                    .map_err(|error| format!("event {index}: {error}"))?;
                text.into_event()
                    .map_err(|error| format!("event {index}: {error}"))
            })
            .collect()
    }

    /// The parameters as the rule takes them.
    #[must_use]
    pub fn parameters(&self) -> String {
        Value::Object(self.parameters.clone()).to_string()
    }

    /// Compares what a rule found with what is expected.
    ///
    /// # Errors
    /// Says what differs.
    pub fn check(
        &self,
        descriptor: &wire::Descriptor,
        found: &[wire::Finding],
    ) -> Result<(), String> {
        compare::check(&self.findings, descriptor, found)
    }

    /// The findings as the case would have to expect them, to hold: of each
    /// what the case says of it now, of new ones everything.
    #[must_use]
    pub fn corrected(&self, descriptor: &wire::Descriptor, found: &[wire::Finding]) -> Vec<Value> {
        correct::corrected(&self.findings, descriptor, found)
    }
}

/// Largest vector file read, in bytes.
const LARGEST: u64 = 16 << 20;

/// The text of a vector file.
///
/// # Errors
/// The file cannot be read.
pub fn read(path: &Path) -> Result<String, VectorError> {
    let unreadable = |source| VectorError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    // Opening a pipe would wait for somebody to write to it.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(unreadable(std::io::Error::other("is no regular file")));
    }
    std::fs::File::open(path)
        .and_then(|file| file.take(LARGEST).read_to_string(&mut text))
        .map_err(unreadable)?;
    Ok(text)
}

/// Reads the cases of one file.
///
/// # Errors
/// When the file cannot be read, is no case and no list of cases, or holds none.
pub fn load(path: &Path) -> Result<Vec<Case>, VectorError> {
    let text = read(path)?;
    let is_toml = path.extension().is_some_and(|kind| kind == "toml");
    let cases = if is_toml {
        from_toml(&text)
    } else if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(|error| error.to_string())
    } else {
        serde_json::from_str(&text)
            .map(|case| vec![case])
            .map_err(|error| error.to_string())
    };
    let cases = cases.and_then(|cases: Vec<Case>| {
        if cases.is_empty() {
            return Err("it is empty; write at least one, or remove the file".to_owned());
        }
        Ok(cases)
    });
    cases.map_err(|message| VectorError::Malformed {
        path: path.to_owned(),
        message,
    })
}

#[cfg(not(target_arch = "wasm32"))]
fn from_toml(text: &str) -> Result<Vec<Case>, String> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        case: Vec<Case>,
    }
    toml::from_str(text)
        .map(|file: File| file.case)
        .map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|one| *one != '\n').count() + 1;
            format!("line {line}, column {column}: {}", error.message().trim())
        })
}

#[cfg(target_arch = "wasm32")]
fn from_toml(_: &str) -> Result<Vec<Case>, String> {
    Err("a component reads no files".to_owned())
}

/// Runs the vectors of a file, or of every one in a folder, against a
/// rule natively: all events in one frame and one frame each must find the same.
/// Returns how many cases held.
///
/// # Errors
/// Every case that does not hold, or a file that cannot be read.
pub fn run<R: Rule + 'static>(path: &Path) -> Result<usize, VectorError> {
    let mut held = 0;
    let mut failures = Vec::new();
    for file in files(path)? {
        for case in load(&file)? {
            match run_case::<R>(&case) {
                Ok(()) => held += 1,
                Err(message) => failures.push(format!(
                    "{}: case `{}`: {message}",
                    file.display(),
                    case.name
                )),
            }
        }
    }
    if failures.is_empty() {
        Ok(held)
    } else {
        Err(VectorError::Failed { failures })
    }
}

/// The vector files of a folder, `.json` and `.toml`, by name; a file is itself.
///
/// # Errors
/// The folder cannot be read.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, VectorError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let unreadable = |source| VectorError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if file
            .extension()
            .is_some_and(|extension| extension == "json" || extension == "toml")
        {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

fn run_case<R: Rule + 'static>(case: &Case) -> Result<(), String> {
    let events = case.events()?;
    let harness = || {
        Harness::<R>::new(&case.parameters())
            .map_err(|error| format!("parameter `{}`: {}", error.parameter, error.message))
    };
    let mut together = harness()?;
    let found = together.run(&events);
    case.check(together.descriptor(), &found)?;
    let mut singly = harness()?;
    let found = singly.run_singly(&events);
    case.check(singly.descriptor(), &found)
        .map_err(|message| format!("one event per frame: {message}"))?;
    within_limit(&singly)
}

fn within_limit<F: FnMut(&wire::Frame) -> wire::Outcome>(runner: &Runner<F>) -> Result<(), String> {
    let (largest, limit) = (runner.largest_state(), runner.descriptor().state_limit);
    if usize::try_from(limit).is_ok_and(|limit| largest <= limit) {
        Ok(())
    } else {
        Err(format!(
            "a state of {largest} bytes exceeds the stated limit of {limit}"
        ))
    }
}

#[cfg(test)]
mod tests;
