//! `sidewatch pack test DIRECTORY`: requests and what the table must say of
//! them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde::Deserialize;
use sidewatch_codecs::{Decoder as _, LogFormat};
use sidewatch_event::{Event, Field, FieldName};
use toml::{Table, Value};

use crate::cli::prepare::{Prepared, prepare_pack};
use crate::cli::terminal;
use crate::config::{Pack, TextError};

/// The pack to test.
#[derive(Debug, Args)]
pub(super) struct TestArguments {
    /// Directory of the pack
    directory: PathBuf,
    /// Directory with rule components [default: beside the program]
    #[arg(long, value_name = "DIRECTORY")]
    rules: Option<PathBuf>,
}

/// One file of tests.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    /// Settings that differ from the table's own.
    #[serde(default)]
    settings: Table,
    case: Vec<Case>,
}

/// A request and the part of the answer that matters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    /// `METHOD /target`.
    #[serde(default)]
    request: Option<String>,
    #[serde(default)]
    status: u16,
    /// Further fields of the event.
    #[serde(default)]
    event: Table,
    /// Fields by name; false for one that must be absent. False as a whole when
    /// no entry may match.
    expect: Value,
}

pub(super) fn run(arguments: &TestArguments) -> Result<u8> {
    let (right, wrong) = check_pack(&arguments.directory, arguments.rules.as_deref())?;
    terminal::print(&format!("{right} cases hold, {wrong} do not\n"))?;
    Ok(u8::from(wrong > 0))
}

/// Runs the table tests of a pack, tells those that do not hold, and counts
/// both.
pub(in crate::cli) fn check_pack(directory: &Path, rules: Option<&Path>) -> Result<(usize, usize)> {
    let name = directory.join("");
    let name = name.to_str().context("the path is not UTF-8")?;
    let tests = directory.join("tests");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&tests)
        .with_context(|| format!("cannot read {}", tests.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "toml"))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!(
            "{} holds no tests; write one, such as requests.toml",
            tests.display()
        );
    }
    let (mut right, mut wrong) = (0, 0);
    for file in files {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let suite: Suite = toml::from_str(&text)
            .map_err(|error| TextError::from_toml(&file.display().to_string(), &text, &error))?;
        if suite.case.is_empty() {
            bail!(
                "{} holds no test cases; write at least one, or remove the file",
                file.display()
            );
        }
        let mut pack = Pack::load(name)?;
        pack.detections.clear();
        pack.set_all(&suite.settings)
            .with_context(|| file.display().to_string())?;
        let mut prepared = prepare_pack(pack, rules)?;
        for case in &suite.case {
            match check(case, &mut prepared) {
                Ok(()) => right += 1,
                Err(error) => {
                    wrong += 1;
                    complain(&file, case, &error.to_string());
                }
            }
        }
    }
    Ok((right, wrong))
}

fn complain(file: &Path, case: &Case, error: &str) {
    terminal::note(&format!("{}: {}: {error}", file.display(), case.name));
}

fn check(case: &Case, prepared: &mut Prepared) -> Result<()> {
    let mut batch = [Box::new(event(case)?)];
    prepared.processor.map(&mut batch);
    let [event] = batch;
    let expected = match &case.expect {
        Value::Boolean(false) if event.annotation.is_none() => return Ok(()),
        Value::Table(expected) => expected,
        Value::Boolean(false) => bail!("no entry should match, but {} does", said(&event)),
        _ => bail!("`expect` is neither a table nor false"),
    };
    if event.annotation.is_none() {
        bail!("no entry matches");
    }
    for (field, value) in flatten(expected) {
        let found = found(&event, &field)?;
        let right = match value {
            Value::Boolean(false) if field != "suppress" => found.is_none(),
            value => found.as_deref() == Some(&*plain(&value)),
        };
        if !right {
            let wanted = plain(&case_value(case, &field));
            let found = found.as_deref().unwrap_or("absent");
            bail!("`{field}` is {found}, not {wanted}; {}", said(&event));
        }
    }
    Ok(())
}

fn case_value(case: &Case, field: &str) -> Value {
    let expected = case.expect.as_table().cloned().unwrap_or_default();
    let mut all = flatten(&expected).into_iter();
    all.find(|(name, _)| name == field)
        .map_or(Value::Boolean(false), |(_, value)| value)
}

/// What the table said, in one line.
fn said(event: &Event) -> String {
    let text = |field| event.get(field).unwrap_or("-");
    format!(
        "the entry is {} ({})",
        text(Field::EventCode),
        text(Field::SidewatchName)
    )
}

/// The event of a case, read as if it were a log line.
fn event(case: &Case) -> Result<Event> {
    let mut event = Event::new();
    if let Some(request) = &case.request {
        let line = format!(
            "192.0.2.1 - - [21/Nov/2026:01:02:03 +0000] \"{request} HTTP/1.1\" {:03} 0 \"-\" \"-\"",
            case.status
        );
        let format = LogFormat::preset("combined").context("the format is built in")?;
        format
            .decode(line.as_bytes(), &mut event)
            .with_context(|| format!("`{request}` is no request"))?;
    }
    event.status = case.status;
    for (name, value) in flatten(&case.event) {
        if name == "server.port" {
            event.server_port = u16::try_from(value.as_integer().unwrap_or(-1))
                .with_context(|| format!("`{name}` must be a number"))?;
            continue;
        }
        match FieldName::parse(&name)? {
            FieldName::Field(field) => event.set(field, &plain(&value)),
            FieldName::Label(label) => event.set_label(&label, &plain(&value)),
        }
    }
    Ok(event)
}

fn found(event: &Event, field: &str) -> Result<Option<String>> {
    Ok(match field {
        "suppress" => Some(event.suppressed.to_string()),
        "event.severity" => Some(event.severity_or_mapped().to_string()),
        _ => event
            .get_named(&FieldName::parse(field)?)
            .map(str::to_owned),
    })
}

/// Nested tables as dotted names.
fn flatten(table: &Table) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => all.extend(
                flatten(inner)
                    .into_iter()
                    .map(|(rest, value)| (format!("{name}.{rest}"), value)),
            ),
            value => all.push((name.clone(), value.clone())),
        }
    }
    all
}

/// A value as an event holds it; lists are joined by commas.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}
