//! `sidewatch rules …`: what is in force in a running sidecar, and changing it.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use chrono::DateTime;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::reach::Reach;
use super::terminal::{self, visible};
use crate::admin::control::ControlRequest;
use crate::lifecycle::board::Line;
use crate::lifecycle::request::RulesRequest;

/// Which sidecar, and what to do.
#[derive(Debug, Args)]
pub(crate) struct RulesArguments {
    #[command(flatten)]
    reach: Reach,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: RulesVerb,
}

#[derive(Debug, Subcommand)]
enum RulesVerb {
    /// Show the rules in force, their versions and what became of newer ones
    List,
    /// Put a version in force, from the rules directory or from FILE, if it passes every check
    Swap {
        /// Name of the rule
        id: String,
        /// Its component, instead of the one in the rules directory
        file: Option<PathBuf>,
    },
    /// Put the version before in force again
    Rollback {
        /// Name of the rule
        id: String,
    },
    /// Switch a rule on
    Enable {
        /// Name of the rule
        id: String,
    },
    /// Switch a rule off; its states stay
    Disable {
        /// Name of the rule
        id: String,
    },
    /// Run a version beside the one in force, unheard
    Shadow {
        /// Name of the rule
        id: String,
        /// Its component
        #[arg(required_unless_present = "end")]
        file: Option<PathBuf>,
        /// End it
        #[arg(long, conflicts_with = "file")]
        end: bool,
    },
    /// Show what only one of the two versions found, and the cost of each
    Diff {
        /// Name of the rule
        id: String,
    },
    /// Show the latest events a rule could not evaluate
    Quarantine {
        /// Name of the rule
        id: String,
    },
    /// Read configuration and rules directory again, as SIGHUP does
    Reload,
}

/// The sidecar may run elsewhere.
fn absolute(path: &std::path::Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("cannot find {}", path.display()))
}

fn request(verb: &RulesVerb) -> Result<RulesRequest> {
    Ok(match verb {
        RulesVerb::List => RulesRequest::List,
        RulesVerb::Swap { id, file } => RulesRequest::Swap {
            id: id.clone(),
            file: file.as_deref().map(absolute).transpose()?,
        },
        RulesVerb::Rollback { id } => RulesRequest::Rollback { id: id.clone() },
        RulesVerb::Enable { id } => RulesRequest::Enable { id: id.clone() },
        RulesVerb::Disable { id } => RulesRequest::Disable { id: id.clone() },
        RulesVerb::Shadow { id, file, .. } => match file {
            Some(file) => RulesRequest::Shadow {
                id: id.clone(),
                file: absolute(file)?,
            },
            None => RulesRequest::EndShadow { id: id.clone() },
        },
        RulesVerb::Diff { id } => RulesRequest::Diff { id: id.clone() },
        RulesVerb::Quarantine { id } => RulesRequest::Quarantine { id: id.clone() },
        RulesVerb::Reload => RulesRequest::Reload,
    })
}

pub(super) fn run(arguments: &RulesArguments) -> Result<u8> {
    let answer = arguments
        .reach
        .ask(&ControlRequest::Rules(request(&arguments.verb)?))?;
    let text = if arguments.json {
        format!("{answer:#}\n")
    } else {
        match &arguments.verb {
            RulesVerb::List => list(&lines(&answer)?)?,
            RulesVerb::Diff { .. } => diff(&answer)?,
            RulesVerb::Quarantine { .. } => quarantine(&answer)?,
            _ => done(&answer),
        }
    };
    terminal::print(&text)?;
    Ok(0)
}

/// The rules of an answer to [`RulesRequest::List`].
pub(super) fn lines(answer: &Value) -> Result<Vec<Line>> {
    let rules = answer.get("rules").cloned().unwrap_or(Value::Null);
    serde_json::from_value(rules).context("the sidecar answers in another version's words")
}

fn done(answer: &Value) -> String {
    let text = |value: &Value| visible(value.as_str().unwrap_or_default());
    let mut told = answer.get("done").map(text).unwrap_or_default();
    told.push('\n');
    for change in answer
        .get("changes")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        told.push_str(&format!("  {}\n", text(change)));
    }
    told
}

/// Local time of a moment in milliseconds.
fn clock(time: i64) -> String {
    DateTime::from_timestamp_millis(time).map_or_else(String::new, |time| {
        time.with_timezone(&chrono::Local)
            .format("%Y-%m-%d %H:%M:%S")
            .to_string()
    })
}

/// What one event took; nothing where there was none.
pub(super) fn each(nanoseconds: u64, events: u64) -> String {
    let cost = nanoseconds.checked_div(events);
    cost.map_or_else(|| "-".to_owned(), |cost| cost.to_string())
}

fn list(lines: &[Line]) -> Result<String> {
    let mut text = format!(
        "{:<22} {:<9} {:<10} {:<12} {:>10} {:>9} {:>7} {:>9}  since\n",
        "rule", "state", "version", "digest", "events", "findings", "failed", "ns/event"
    );
    for line in lines {
        writeln!(
            text,
            "{:<22} {:<9} {:<10} {:<12} {:>10} {:>9} {:>7} {:>9}  {}",
            visible(&line.id),
            line.state,
            visible(&line.version),
            line.digest.get(..12).unwrap_or("-"),
            line.events,
            line.findings,
            line.failed,
            each(line.nanoseconds, line.events),
            clock(line.since)
        )?;
        if !line.notes.is_empty() {
            writeln!(
                text,
                "  {}; signature {}",
                visible(&line.notes),
                visible(&line.signature)
            )?;
        }
        if let Some(before) = &line.before {
            writeln!(
                text,
                "  before: {} (sidewatch rules rollback {})",
                visible(before),
                visible(&line.id)
            )?;
        }
        if let Some(shadow) = &line.shadow {
            writeln!(
                text,
                "  in the shadow: {} (sidewatch rules diff {})",
                visible(shadow),
                visible(&line.id)
            )?;
        }
        if let Some(refused) = &line.refused {
            writeln!(
                text,
                "  refused {}: {}: {}",
                clock(refused.time),
                refused.stage,
                visible(&refused.reason)
            )?;
        }
    }
    Ok(text)
}

fn diff(answer: &Value) -> Result<String> {
    let number = |path: &str| answer.pointer(path).and_then(Value::as_u64).unwrap_or(0);
    let word = |path: &str| {
        visible(
            answer
                .pointer(path)
                .and_then(Value::as_str)
                .unwrap_or_default(),
        )
    };
    let mut text = String::new();
    for (name, at) in [("in force", "/in_force"), ("shadow", "/shadow")] {
        let events = number(&format!("{at}/events"));
        writeln!(
            text,
            "{name:<9} {:<10} {events} events, {} ns each, {} failed",
            word(&format!("{at}/version")),
            each(number(&format!("{at}/nanoseconds")), events),
            number(&format!("{at}/failed")),
        )?;
    }
    writeln!(
        text,
        "findings  both {}, only in force {}, only shadow {}",
        number("/both"),
        number("/only_in_force"),
        number("/only_shadow")
    )?;
    let differences = answer.get("differences").and_then(Value::as_array);
    for one in differences.into_iter().flatten() {
        let word = |name: &str| visible(one.get(name).and_then(Value::as_str).unwrap_or_default());
        let side = if word("only") == "shadow" { '+' } else { '-' };
        writeln!(
            text,
            "{side} {} {} (severity {}): {}  event {}",
            clock(one.get("time").and_then(Value::as_i64).unwrap_or(0)),
            word("kind"),
            one.get("severity").and_then(Value::as_u64).unwrap_or(0),
            word("title"),
            word("event")
        )?;
    }
    Ok(text)
}

fn quarantine(answer: &Value) -> Result<String> {
    let mut text = String::new();
    let events = answer.get("events").and_then(Value::as_array);
    for one in events.into_iter().flatten() {
        let word = |name: &str| visible(one.get(name).and_then(Value::as_str).unwrap_or("-"));
        writeln!(
            text,
            "{} event {} of {} (version {}): {}",
            clock(one.get("time").and_then(Value::as_i64).unwrap_or(0)),
            word("event"),
            word("source"),
            word("version"),
            word("detail")
        )?;
    }
    if text.is_empty() {
        text.push_str("none\n");
    }
    Ok(text)
}
