//! `sidewatch dlq …`: records a sink refused for good.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::store_access::ask;
use super::usage::usage;
use super::{show, terminal};
use crate::admin::control::{ControlRequest, Selection};
use crate::config::ConfigFile;

/// What to do with dead letters.
#[derive(Debug, Args)]
#[command(after_help = "\
Works whether the sidecar runs or not. A record ends here when a sink refuses it
for good: too long, a field missing, a wrong key. After the cause is gone:

  sidewatch dlq ls /etc/sidewatch/sidewatch.toml
  sidewatch dlq replay /etc/sidewatch/sidewatch.toml --sink tirreno")]
pub(crate) struct DlqArguments {
    #[command(subcommand)]
    verb: DlqVerb,
}

#[derive(Debug, Subcommand)]
enum DlqVerb {
    /// List refused records, oldest first
    Ls(ListArguments),
    /// Show one refused record whole
    Show(ShowArguments),
    /// Offer refused records to their sink again
    Replay(SelectArguments),
    /// Remove refused records
    Purge(SelectArguments),
    /// Drop what waits for a sink that was taken out of the configuration
    GiveUp(GiveUpArguments),
}

#[derive(Debug, Args)]
struct GiveUpArguments {
    /// The configuration file
    config: PathBuf,
    /// The name the sink had
    sink: String,
}

#[derive(Debug, Args)]
struct ListArguments {
    /// The configuration file
    config: PathBuf,
    /// Of this sink alone
    #[arg(long)]
    sink: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// As JSON lines, records included
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ShowArguments {
    /// The configuration file
    config: PathBuf,
    /// Its number
    number: u64,
}

#[derive(Debug, Args)]
struct SelectArguments {
    /// The configuration file
    config: PathBuf,
    /// Numbers of the records
    numbers: Vec<u64>,
    /// Of this sink alone
    #[arg(long)]
    sink: Option<String>,
    /// All of them
    #[arg(long)]
    all: bool,
}

pub(super) fn run(arguments: &DlqArguments) -> Result<u8> {
    match &arguments.verb {
        DlqVerb::Ls(arguments) => list(arguments),
        DlqVerb::Show(arguments) => show_one(arguments),
        DlqVerb::Replay(arguments) => {
            let done = select(arguments, ControlRequest::Replay)?;
            let unknown = done.get("of_unknown_sinks").and_then(Value::as_u64);
            terminal::print(&format!("{} offered again\n", count(&done)))?;
            if let Some(unknown @ 1..) = unknown {
                terminal::note(&format!(
                    "{unknown} kept: their sinks are configured no more"
                ));
            }
            Ok(0)
        }
        DlqVerb::Purge(arguments) => {
            let done = select(arguments, ControlRequest::Purge)?;
            terminal::print(&format!("{} removed\n", count(&done)))?;
            Ok(0)
        }
        DlqVerb::GiveUp(GiveUpArguments { config, sink }) => {
            let sink = sink.clone();
            let done = ask(&ConfigFile::load(config)?, &ControlRequest::GiveUp { sink })?;
            terminal::print(&format!("{} given up\n", count(&done)))?;
            Ok(0)
        }
    }
}

fn count(done: &Value) -> u64 {
    done.get("done").and_then(Value::as_u64).unwrap_or(0)
}

fn letters(answer: &Value) -> &[Value] {
    answer
        .get("letters")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn text<'a>(letter: &'a Value, key: &str) -> &'a str {
    letter.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list(arguments: &ListArguments) -> Result<u8> {
    let config = ConfigFile::load(&arguments.config)?;
    let request = ControlRequest::List {
        from: 0,
        limit: arguments.limit,
        sink: arguments.sink.clone(),
    };
    let answer = ask(&config, &request)?;
    let mut out = String::new();
    for letter in letters(&answer) {
        if arguments.json {
            out.push_str(&format!("{letter}\n"));
            continue;
        }
        let number = letter.get("number").and_then(Value::as_u64).unwrap_or(0);
        let time = letter.get("time").and_then(Value::as_i64).unwrap_or(0);
        out.push_str(&format!(
            "{number:>6}  {}  {:<12}  {:<7}  {}  {}\n",
            show::time(time),
            terminal::visible(text(letter, "sink")),
            text(letter, "kind"),
            text(letter, "id"),
            terminal::visible(text(letter, "reason")),
        ));
    }
    terminal::print(&out)?;
    Ok(0)
}

fn show_one(arguments: &ShowArguments) -> Result<u8> {
    let config = ConfigFile::load(&arguments.config)?;
    let request = ControlRequest::List {
        from: arguments.number,
        limit: 1,
        sink: None,
    };
    let answer = ask(&config, &request)?;
    let is_it =
        |letter: &&Value| letter.get("number").and_then(Value::as_u64) == Some(arguments.number);
    let Some(letter) = letters(&answer).iter().find(is_it) else {
        bail!(
            "there is no refused record {}; see `sidewatch dlq ls`",
            arguments.number
        );
    };
    terminal::print(&format!("{}\n", serde_json::to_string_pretty(letter)?))?;
    Ok(0)
}

fn select(
    arguments: &SelectArguments,
    request: impl FnOnce(Selection) -> ControlRequest,
) -> Result<Value> {
    if arguments.numbers.is_empty() && arguments.sink.is_none() && !arguments.all {
        return Err(usage("name the records by number, or give --sink or --all"));
    }
    let config = ConfigFile::load(&arguments.config)?;
    ask(
        &config,
        &request(Selection {
            numbers: arguments.numbers.clone(),
            sink: arguments.sink.clone(),
        }),
    )
}
