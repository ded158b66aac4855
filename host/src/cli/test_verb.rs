//! `sidewatch test [PATH]`: the vectors of rules and the table tests of packs.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rule_sdk::detection::vectors;
use sidewatch_engine::{Engine, RuleKind};

use super::pack::cases;
use super::rule::{LimitArguments, engine};
use super::terminal;
use super::usage::usage;
use crate::config::rules::rules_directory;
use crate::vectors::{FOLDER, Failure, Outcome, rewrite::rewrite, run as run_vectors};

/// What to test.
#[derive(Debug, Args)]
#[command(after_help = "\
A rule's vectors are in its folder's `tests`: JSON or TOML files with events
and the findings expected. Of a finding only what is written down is compared.
rules/README.md describes the format.")]
pub(crate) struct TestArguments {
    /// Folder with rules, of one rule or of one pack, or a file of vectors
    #[arg(default_value = "rules", value_name = "PATH")]
    path: PathBuf,
    /// Component to test [default: <id>.wasm in --rules, or what `rule build` made in the folder]
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Directory with rule components [default: beside the program]
    #[arg(long, value_name = "DIRECTORY")]
    rules: Option<PathBuf>,
    /// Write down what is found where a case does not hold (.json files only)
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    limits: LimitArguments,
}

pub(super) fn run(arguments: &TestArguments) -> Result<u8> {
    let engine = engine(false)?;
    let subjects = subjects(&arguments.path)?;
    if arguments.component.is_some() && subjects.len() > 1 {
        return Err(usage(format!(
            "--component fits one rule; {} holds several",
            arguments.path.display()
        )));
    }
    let (mut held, mut failed) = (0, 0);
    for subject in subjects {
        let begun = Instant::now();
        let (right, wrong) = match &subject {
            Subject::Pack(directory) => cases::check_pack(directory, arguments.rules.as_deref())?,
            Subject::Rule { id, vectors } => {
                let outcome = test_rule(arguments, &engine, id, vectors)?;
                (outcome.held, outcome.failures.len())
            }
        };
        terminal::print(&format!(
            "{:<28} {right} cases hold{}, {} ms\n",
            subject.name(),
            if wrong > 0 {
                format!(", {wrong} do not")
            } else {
                String::new()
            },
            begun.elapsed().as_millis()
        ))?;
        held += right;
        failed += wrong;
    }
    terminal::print(&format!("{held} cases hold, {failed} do not\n"))?;
    Ok(u8::from(failed > 0))
}

/// Something with tests.
enum Subject {
    Pack(PathBuf),
    Rule { id: String, vectors: PathBuf },
}

impl Subject {
    fn name(&self) -> String {
        match self {
            Self::Pack(directory) => format!("pack {}", last_name(directory)),
            Self::Rule { id, .. } => id.clone(),
        }
    }
}

fn last_name(path: &Path) -> String {
    let name = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    name.file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn subjects(path: &Path) -> Result<Vec<Subject>> {
    if path.is_file() {
        // rules/<id>/tests/file.json
        let folder = path.canonicalize()?;
        let rule = folder
            .ancestors()
            .nth(2)
            .context("a vector file lies in <rule>/tests/")?;
        return Ok(vec![Subject::Rule {
            id: rule_id(rule),
            vectors: path.to_owned(),
        }]);
    }
    if let Some(one) = subject(path) {
        return Ok(vec![one]);
    }
    let mut found = Vec::new();
    for folder in [path.to_owned(), path.join("packs")] {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        entries.sort();
        found.extend(entries.iter().filter_map(|entry| subject(entry)));
    }
    if found.is_empty() {
        bail!(
            "no tests in {}; a rule's are in <rule>/tests/*.json or *.toml",
            path.display()
        );
    }
    Ok(found)
}

fn subject(directory: &Path) -> Option<Subject> {
    let tests = directory.join(FOLDER);
    if !tests.is_dir() {
        return None;
    }
    if directory.join("pack.toml").is_file() {
        return Some(Subject::Pack(directory.to_owned()));
    }
    let any = vectors::files(&tests).ok()?;
    (!any.is_empty()).then(|| Subject::Rule {
        id: rule_id(directory),
        vectors: tests,
    })
}

/// A crate's name, else the folder's.
fn rule_id(directory: &Path) -> String {
    super::rule::crate_name(&directory.join("Cargo.toml")).unwrap_or_else(|_| last_name(directory))
}

fn test_rule(
    arguments: &TestArguments,
    engine: &Engine,
    id: &str,
    vectors: &Path,
) -> Result<Outcome> {
    let path = match &arguments.component {
        Some(path) => path.clone(),
        None => find_component(arguments, id, vectors)?,
    };
    let loaded = engine
        .load_file(&path)
        .with_context(|| path.display().to_string())?;
    if loaded.kind != RuleKind::Detection {
        bail!(
            "{} is a mapping; its table tests belong to packs",
            path.display()
        );
    }
    let outcome = run_vectors(&loaded, arguments.limits.limits(), vectors)?;
    for failure in &outcome.failures {
        terminal::note(&terminal::visible_lines(&failure.to_string()));
    }
    if arguments.update {
        return update(outcome);
    }
    Ok(outcome)
}

fn find_component(arguments: &TestArguments, id: &str, vectors: &Path) -> Result<PathBuf> {
    let folder = if vectors.is_file() {
        vectors.ancestors().nth(2)
    } else {
        vectors.parent()
    };
    let built = folder.map(|folder| folder.join("target").join(format!("{id}.wasm")));
    if let Some(built) = built.filter(|path| path.is_file() && arguments.rules.is_none()) {
        return Ok(built);
    }
    let directory = rules_directory(arguments.rules.as_deref())?;
    let path = directory.join(format!("{id}.wasm"));
    if !path.is_file() {
        bail!(
            "there is no component of `{id}`: {} does not exist; build it with `sidewatch rule build`, or give --component",
            path.display()
        );
    }
    Ok(path)
}

/// Rewrites the files; what cannot be rewritten stays a failure.
fn update(outcome: Outcome) -> Result<Outcome> {
    let Outcome { mut held, failures } = outcome;
    let mut left: Vec<Failure> = Vec::new();
    let mut files: Vec<PathBuf> = failures
        .iter()
        .map(|failure| failure.file.clone())
        .collect();
    files.dedup();
    for file in files {
        let is_json = file.extension().is_some_and(|kind| kind == "json");
        let of_file = failures.iter().filter(|failure| failure.file == file);
        let (known, rest): (Vec<&Failure>, Vec<&Failure>) =
            of_file.partition(|failure| is_json && failure.corrected.is_some());
        left.extend(rest.into_iter().cloned());
        let findings: Vec<_> = known
            .iter()
            .filter_map(|failure| Some((failure.index, failure.corrected.clone()?)))
            .collect();
        if findings.is_empty() {
            continue;
        }
        let text = vectors::read(&file)?;
        let text = rewrite(&text, &findings)
            .with_context(|| format!("{} changed meanwhile", file.display()))?;
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        held += findings.len();
        terminal::note(&format!(
            "{}: {} cases rewritten",
            file.display(),
            findings.len()
        ));
    }
    Ok(Outcome {
        held,
        failures: left,
    })
}
