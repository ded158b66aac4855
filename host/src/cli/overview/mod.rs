//! `sidewatch overview FILE…`: who did what, from where, when.

mod collect;
mod heavy;
mod html;
mod report;
mod text;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use sidewatch_sources::checkpoint::HeadKeeper;
use sidewatch_sources::{LineReader, lines, replay as input};

use super::feed::{self, Ended, Feed};
use super::prepare::{Common, prepare};
use super::{INCOMPLETE, replay, terminal};
use collect::Collector;
use report::Report;

/// How the overview is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shown {
    /// Tables and a chart for a terminal
    Text,
    /// One JSON object
    Json,
}

/// What to look at, and how.
#[derive(Debug, Args)]
pub(crate) struct OverviewArguments {
    #[command(flatten)]
    common: Common,
    /// What to write to standard output
    #[arg(long, short, value_enum, default_value = "text")]
    format: Shown,
    /// Write a page with charts to this file instead: complete in itself, to be sent on or printed
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Leave out activity the pack's table says nothing particular about
    #[arg(long)]
    suppress: bool,
    /// Name every line that cannot be read
    #[arg(long, short)]
    verbose: bool,
    /// Log files, plain or gzip; `-` for standard input [default: standard input]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &OverviewArguments) -> Result<u8> {
    let files = replay::files(&arguments.files)?;
    let prepared = prepare(&arguments.common, &|pack| {
        pack.detections.clear();
        if arguments.suppress {
            pack.set("suppress_unspecified", &["true"])
                .context("--suppress")?;
        }
        Ok(())
    })?;
    let mut feed = Feed::new(prepared, Collector::default());
    feed.bare = !arguments.common.has_context();
    feed.verbose = arguments.verbose;
    let progress = feed::progress(&files);
    let mut failed = false;
    for path in &files {
        let ended = match input::open(path) {
            Ok(input) => {
                let mut lines = LineReader::new(HeadKeeper::new(input), lines::DEFAULT_LINE_LIMIT);
                feed.read(path, &mut lines, true, &progress, &mut |_, _| Ok(()))
            }
            Err(error) => Err(Ended::Input(error)),
        };
        // Collecting writes nothing, so it cannot fail.
        if let Err(Ended::Input(error) | Ended::Output(error)) = ended {
            failed = true;
            progress.suspend(|| terminal::note(&format!("sidewatch: {}: {error}", path.display())));
        }
    }
    progress.finish_and_clear();
    let report = Report::new(&feed.consumer, &feed.tally, &files);
    show(arguments, &report)?;
    Ok(match (failed, feed.tally.is_complete()) {
        (true, _) => 1,
        (false, false) => INCOMPLETE,
        (false, true) => 0,
    })
}

fn show(arguments: &OverviewArguments, report: &Report) -> Result<()> {
    if let Some(path) = &arguments.html {
        std::fs::write(path, html::page(report))
            .with_context(|| format!("cannot write {}", path.display()))?;
        return Ok(());
    }
    let shown = match arguments.format {
        Shown::Text => text::tables(report),
        Shown::Json => serde_json::to_string_pretty(report)? + "\n",
    };
    match terminal::print(&shown) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ => Ok(()),
    }
}
