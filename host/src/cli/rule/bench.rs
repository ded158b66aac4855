//! `sidewatch rule bench FILE.wasm --baseline OLD.wasm`: what an event costs.
//!
//! Both versions fold the same invented days, turn by turn, so that a busy
//! machine slows both; of several rounds the quickest counts. Instructions are
//! those of WebAssembly, counted in runs of their own; they are the same on
//! every machine.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use cpu_time::ThreadTime;
use serde_json::Value;
use sidewatch_corpus::month::Month;
use sidewatch_corpus::random::Random;
use sidewatch_engine::{DetectionRule, Engine, LoadedRule, RuleLimits};
use sidewatch_event::Event;

use super::{LimitArguments, engine};
use crate::cli::evaluate::components::fill;
use crate::cli::terminal;
use crate::cli::usage::json_object;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// The component
    file: PathBuf,
    /// Version to compare with
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Parameters of both, a JSON object
    #[arg(long, default_value = "{}", value_name = "JSON", value_parser = json_object)]
    parameters: Value,
    /// Users of the invented traffic
    #[arg(long, default_value_t = 1000, value_name = "NUMBER")]
    users: usize,
    /// Days of it
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    days: usize,
    /// Rounds; the quickest counts
    #[arg(long, default_value_t = 5, value_name = "NUMBER")]
    rounds: usize,
    /// Events per call: 64 under load, 1 when it is quiet
    #[arg(long, default_value_t = 64, value_name = "NUMBER")]
    frame: usize,
    #[command(flatten)]
    limits: LimitArguments,
}

/// A version and what was measured of it.
struct Contender {
    label: String,
    timed: LoadedRule,
    counted: LoadedRule,
    best: Duration,
    instructions: u64,
    findings: usize,
    failed: u64,
}

pub(super) fn run(arguments: &BenchArguments) -> Result<u8> {
    let parameters = &arguments.parameters;
    let timing = engine(false)?;
    let counting = engine(true)?;
    let limits = arguments.limits.limits();
    let mut contenders = Vec::new();
    for path in std::iter::once(&arguments.file).chain(&arguments.baseline) {
        contenders.push(contender(path, &timing, &counting, parameters, limits)?);
    }
    let events = traffic(arguments.users, arguments.days);
    let frame = arguments.frame.max(1);
    for contender in &mut contenders {
        let mut rule = contender.counted.detection(parameters, limits)?;
        let before = rule.instructions();
        let mut found = Vec::new();
        for chunk in events.chunks(frame) {
            rule.fold(chunk, &mut found);
        }
        contender.instructions = rule.instructions().saturating_sub(before);
        contender.findings = found.len();
        contender.failed = rule.counters.failed();
    }
    for _ in 0..arguments.rounds.max(1) {
        for contender in &mut contenders {
            let mut rule = contender.timed.detection(parameters, limits)?;
            contender.best = contender.best.min(time(&mut rule, &events, frame)?);
        }
    }
    terminal::print(&table(&contenders, events.len())?)?;
    Ok(u8::from(contenders.iter().any(|one| one.failed > 0)))
}

fn contender(
    path: &Path,
    timing: &Engine,
    counting: &Engine,
    parameters: &Value,
    limits: RuleLimits,
) -> Result<Contender> {
    let place = || path.display().to_string();
    let timed = timing.load_file(path).with_context(place)?;
    let counted = counting.load_file(path).with_context(place)?;
    let rule = timed.detection(parameters, limits).with_context(place)?;
    Ok(Contender {
        label: format!("{} {}", rule.descriptor.id, rule.descriptor.version),
        timed,
        counted,
        best: Duration::MAX,
        instructions: 0,
        findings: 0,
        failed: 0,
    })
}

fn traffic(users: usize, days: usize) -> Vec<Box<Event>> {
    Month::new(users.max(10), days.max(1), &Random::new(1))
        .flatten()
        .map(|source| {
            let mut event = Box::new(Event::new());
            fill(&mut event, &source);
            event
        })
        .collect()
}

fn time(rule: &mut DetectionRule, events: &[Box<Event>], frame: usize) -> Result<Duration> {
    let begun = ThreadTime::try_now().context("the system cannot tell processor time")?;
    let mut found = Vec::new();
    for chunk in events.chunks(frame) {
        rule.fold(chunk, &mut found);
        found.clear();
    }
    Ok(begun.elapsed())
}

fn table(contenders: &[Contender], events: usize) -> Result<String> {
    let mut text = format!(
        "{events} events\n{:<32} {:>12} {:>16} {:>10} {:>8}\n",
        "", "ns/event", "instr./event", "findings", "failed"
    );
    let per_event = |total: f64| total / small(events.max(1));
    for one in contenders {
        writeln!(
            text,
            "{:<32} {:>12.0} {:>16.0} {:>10} {:>8}",
            terminal::visible(&one.label),
            per_event(one.best.as_secs_f64() * 1e9),
            per_event(small(usize::try_from(one.instructions)?)),
            one.findings,
            one.failed
        )?;
    }
    if let [new, old] = contenders {
        let ratio = |new: f64, old: f64| if old > 0.0 { new / old } else { f64::NAN };
        writeln!(
            text,
            "{:<32} {:>11.2}x {:>15.2}x",
            "against the baseline",
            ratio(new.best.as_secs_f64(), old.best.as_secs_f64()),
            ratio(
                small(usize::try_from(new.instructions)?),
                small(usize::try_from(old.instructions)?)
            )
        )?;
    }
    Ok(text)
}

#[expect(clippy::cast_precision_loss, reason = "shown with four digits at most")]
fn small(number: usize) -> f64 {
    number as f64
}
