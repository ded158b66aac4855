//! `sidewatch evaluate`: how good the detection rules are, on labelled traffic.
//!
//! The components themselves are judged, with the parameters of a
//! configuration if one is given, next to three plain detectors in use
//! elsewhere. The same seed and size always give the same report.

pub(super) mod components;

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sidewatch_corpus::{Report, Size, evaluate};

use super::terminal;
use crate::config::secrets::{Keys, personal_directory};
use crate::config::{ConfigFile, rules};
use crate::pipeline::run::engine;
use components::Components;

/// How to evaluate.
#[derive(Debug, Args)]
#[command(after_help = "\
The corpora are made by this program from the seed; rules/CORPORA.md describes them.
At full size this folds some nine million events through every rule: minutes.

  sidewatch evaluate --scale 0.1                 a tenth of everything
  sidewatch evaluate --seed 7 --users 1000       another world, a smaller month
  sidewatch evaluate --config sidewatch.toml     with your own parameters")]
pub(crate) struct EvaluateArguments {
    /// Seed of the corpora: another number, another world
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// Size of everything, in proportion to the full corpora
    #[arg(long, default_value_t = 1.0, value_name = "FACTOR", value_parser = factor, allow_negative_numbers = true)]
    scale: f64,
    /// Users of the ordinary month [default: 5000 × scale]
    #[arg(long, value_name = "NUMBER")]
    users: Option<usize>,
    /// Days of the ordinary month
    #[arg(long, default_value_t = 30, value_name = "NUMBER")]
    days: usize,
    /// Scenarios of each benign family [default: 200 × scale]
    #[arg(long, value_name = "NUMBER")]
    benign: Option<usize>,
    /// Scenarios of each kind of incident [default: 200 × scale]
    #[arg(long, value_name = "NUMBER")]
    incidents: Option<usize>,
    /// Take rules and their parameters from this configuration file
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Directory with rule components [default: beside the program]
    #[arg(long, value_name = "DIRECTORY")]
    rules: Option<PathBuf>,
    /// Fail unless every goal of rules/CORPORA.md is reached
    #[arg(long)]
    check: bool,
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

fn factor(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(factor) if (0.0..=100.0).contains(&factor) => Ok(factor),
        _ => Err("a number from 0 to 100, such as 0.1".to_owned()),
    }
}

impl EvaluateArguments {
    fn size(&self) -> Size {
        let scaled = Size::of_scale(self.scale);
        Size {
            users: self.users.unwrap_or(scaled.users),
            days: self.days,
            benign_each: self.benign.unwrap_or(scaled.benign_each),
            incidents_each: self.incidents.unwrap_or(scaled.incidents_each),
        }
    }
}

pub(super) fn run(arguments: &EvaluateArguments) -> Result<u8> {
    let report = report(arguments)?;
    terminal::print(&report.to_string())?;
    Ok(u8::from(arguments.check && !report.reaches_goals()))
}

fn report(arguments: &EvaluateArguments) -> Result<Report> {
    let config = match &arguments.config {
        Some(path) => ConfigFile::load(path)?,
        None => ConfigFile {
            data_directory: Some(personal_directory()),
            ..ConfigFile::default()
        },
    };
    let keys = Keys::open(config.directory())?;
    let engine = engine(&config, &keys)?;
    let directory = rules::rules_directory(
        arguments
            .rules
            .as_deref()
            .or(config.rules_directory.as_deref()),
    )?;
    let components = rules::detection_components(&engine, &directory, &config.rules)?;
    let mut components = Components::new(components)?;
    let size = arguments.size();
    let bar = progress(size.steps(), arguments.quiet);
    let report = evaluate(&mut components, arguments.seed, size, &mut |steps| {
        bar.inc(steps);
    });
    bar.finish_and_clear();
    report.map_err(|error| anyhow!("a rule cannot be made anew: {error}"))
}

/// indicatif hides it when standard error is no terminal.
fn progress(steps: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(steps);
    match ProgressStyle::with_template("{bar:40} {percent}% {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
