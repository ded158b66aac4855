//! `sidewatch top`: the rules of a running sidecar, live: rate, cost, failures.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::reach::Reach;
use super::rules::lines;
use super::terminal::{self, visible};
use crate::admin::control::ControlRequest;
use crate::lifecycle::board::Line;
use crate::lifecycle::request::RulesRequest;

/// Clears a terminal and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Which sidecar, and how often.
#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    #[command(flatten)]
    reach: Reach,
    /// Seconds between two looks
    #[arg(long, default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Show one interval and end
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &TopArguments) -> Result<u8> {
    let look = || {
        lines(
            &arguments
                .reach
                .ask(&ControlRequest::Rules(RulesRequest::List))?,
        )
    };
    let clear = std::io::stdout().is_terminal() && !arguments.once;
    let mut before = (Instant::now(), look()?);
    loop {
        std::thread::sleep(Duration::from_secs(arguments.interval));
        let now = (Instant::now(), look()?);
        let elapsed = now.0.duration_since(before.0);
        let table = table(&before.1, &now.1, elapsed)?;
        terminal::print(&format!("{}{table}", if clear { CLEAR } else { "" }))?;
        if arguments.once {
            return Ok(0);
        }
        before = now;
    }
}

/// What happened between two looks.
fn table(before: &[Line], now: &[Line], elapsed: Duration) -> Result<String> {
    let known: BTreeMap<&str, &Line> = before.iter().map(|line| (line.id.as_str(), line)).collect();
    let none = Line::default();
    let mut text = format!(
        "{:<22} {:<9} {:<10} {:>10} {:>9} {:>7} {:>10} {:>9} {:>10}\n",
        "rule",
        "state",
        "version",
        "events/s",
        "ns/event",
        "cpu %",
        "findings/s",
        "failed/s",
        "states"
    );
    for line in now {
        let before = known.get(line.id.as_str()).copied().unwrap_or(&none);
        let more = |now: u64, before: u64| now.saturating_sub(before);
        let events = more(line.events, before.events);
        let nanoseconds = more(line.nanoseconds, before.nanoseconds);
        let rate = |count: u64| per_second(count, elapsed);
        writeln!(
            text,
            "{:<22} {:<9} {:<10} {:>10.0} {:>9} {:>7.1} {:>10.1} {:>9.1} {:>10}",
            visible(&line.id),
            line.state,
            visible(&line.version),
            rate(events),
            super::rules::each(nanoseconds, events),
            rate(nanoseconds) / 1e7,
            rate(more(line.findings, before.findings)),
            rate(more(line.failed, before.failed)),
            line.states
        )?;
    }
    Ok(text)
}

#[expect(clippy::cast_precision_loss, reason = "shown with few digits")]
fn per_second(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-3)
}
