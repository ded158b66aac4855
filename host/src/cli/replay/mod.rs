//! `sidewatch replay FILE…`: log files through the same pipeline.
//!
//! Invariant: every line ends in exactly one counter (event, discarded,
//! suppressed, unreadable with its number and reason), and one bad line never
//! stops the run.

mod resume;

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::ProgressBar;
use sidewatch_codecs::cef::{CefSettings, Layout};
use sidewatch_sources::checkpoint::HeadKeeper;
use sidewatch_sources::{LineReader, lines, replay};

use super::feed::{self, Ended, Feed};
use super::output::{Output, OutputFormat, refuse_input};
use super::prepare::{Common, prepare};
use super::syslog_output::SyslogArguments;
use super::usage::usage;
use super::{INCOMPLETE, terminal};
use crate::config::Pack;
use crate::pipeline::hidden_clients::HINT;
use resume::{Planned, Resume};

/// What to replay.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    #[command(flatten)]
    common: Common,
    /// What to write [default: json; cef with --syslog]
    #[arg(long, short, value_enum)]
    format: Option<OutputFormat>,
    /// Where to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write over an output file that is there already
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    syslog: SyslogArguments,
    /// Leave out activity the pack's table says nothing particular about
    #[arg(long)]
    suppress: bool,
    /// Run detection rules although the pack's audit records are written
    #[arg(long)]
    detect: bool,
    /// Go on where the run before stopped, and keep the position in this file; output is appended
    #[arg(long, value_name = "STATE")]
    resume: Option<PathBuf>,
    /// Name every line that cannot be read
    #[arg(long, short)]
    verbose: bool,
    /// Write no summary
    #[arg(long, short)]
    quiet: bool,
    /// Log files, plain or gzip; `-` for standard input [default: standard input]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// The files asked for; standard input when there are none.
///
/// # Errors
/// Nobody writes to standard input.
pub(super) fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if !given.is_empty() {
        return Ok(given.to_vec());
    }
    if io::stdin().is_terminal() {
        return Err(usage("name a log file, or pipe a log into standard input"));
    }
    Ok(vec![PathBuf::from("-")])
}

impl ReplayArguments {
    fn format(&self) -> OutputFormat {
        self.format.unwrap_or(if self.syslog.is_wanted() {
            OutputFormat::Cef
        } else {
            OutputFormat::Json
        })
    }

    /// Audit records in the form other programs expect: nothing else may stand
    /// between them unless asked for.
    fn is_audit_trail(&self, pack: &Pack) -> bool {
        let short = pack
            .cef
            .as_ref()
            .is_some_and(|cef| cef.layout == Layout::Request);
        short && self.format() == OutputFormat::Cef && !self.detect
    }

    fn adjust(&self, pack: &mut Pack) -> Result<()> {
        if self.suppress {
            pack.set("suppress_unspecified", &["true"])
                .context("--suppress")?;
        }
        if self.is_audit_trail(pack) {
            pack.detections.clear();
        }
        Ok(())
    }

    fn open_output(
        &self,
        cef: CefSettings,
        inputs: &[PathBuf],
        resume: Option<&Resume>,
    ) -> Result<Output> {
        let format = self.format();
        if let Some(path) = &self.output {
            refuse_input(path, inputs)?;
        }
        if let Some(syslog) = self.syslog.build(format, cef.clone())? {
            return Ok(Output::syslog(syslog));
        }
        match (&self.output, resume) {
            (Some(path), Some(resume)) if path != Path::new("-") => {
                Output::append(path, resume.output(), format, cef)
            }
            (path, _) => Output::open(path.as_deref(), self.force, format, cef),
        }
    }
}

pub(super) fn run(arguments: &ReplayArguments) -> Result<u8> {
    let files = files(&arguments.files)?;
    let prepared = prepare(&arguments.common, &|pack| arguments.adjust(pack))?;
    let resume = match &arguments.resume {
        Some(path) => {
            let resume = Resume::open(path)?;
            let planned = resume.plan(&files)?;
            Some((resume, planned))
        }
        None => None,
    };
    let cef = prepared.cef.clone().unwrap_or_default();
    let bare = cef.layout == Layout::Request
        && arguments.format() == OutputFormat::Cef
        && !arguments.common.has_context()
        && prepared.processor.rules.detections.is_empty();
    let output = arguments.open_output(cef, &files, resume.as_ref().map(|(resume, _)| resume))?;
    let mut feed = Feed::new(prepared, output);
    feed.bare = bare;
    feed.verbose = arguments.verbose;
    let started = Instant::now();
    let progress = feed::progress(&files);
    let outcome = match resume {
        Some((resume, planned)) => read_on(&mut feed, resume, planned, &progress),
        None => read_all(&mut feed, &files, &progress),
    };
    progress.finish_and_clear();
    let failed = match outcome.and_then(|failed| feed.consumer.finish().map(|()| failed)) {
        Ok(failed) => failed,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
        Err(error) => return Err(error).context("cannot write the output"),
    };
    feed.tally.refused = feed.consumer.refused();
    if !arguments.quiet {
        summary(&feed, started);
    }
    Ok(match (failed, feed.tally.is_complete()) {
        (true, _) => 1,
        (false, false) => INCOMPLETE,
        (false, true) => 0,
    })
}

fn summary(feed: &Feed<Output>, started: Instant) {
    let mut text = feed.tally.text(started.elapsed());
    if feed.has_detections() {
        text.push_str(&feed.tally.findings_text());
    }
    if feed.tally.events > 0 && feed.tally.with_user == 0 {
        text.push_str(NO_USER);
    }
    if let Some(withheld) = feed.withheld() {
        text.push_str(&format!("  {HINT} ({withheld} findings held back)\n"));
    }
    terminal::note(text.trim_end());
}

/// Said when a log names nobody.
pub(super) const NO_USER: &str = "  no event names a user: add user=$upstream_http_x_username (or $remote_user) to nginx' log_format, and for Archivematica\n  let its dashboard send X-Username; see rules/packs/archivematica/README.md\n";

/// Reads all files; whether one could not be read.
fn read_all(
    feed: &mut Feed<Output>,
    files: &[PathBuf],
    progress: &ProgressBar,
) -> io::Result<bool> {
    let mut failed = false;
    for path in files {
        let ended = match replay::open(path) {
            Ok(input) => {
                let mut lines = LineReader::new(HeadKeeper::new(input), lines::DEFAULT_LINE_LIMIT);
                feed.read(path, &mut lines, true, progress, &mut |_, _| Ok(()))
            }
            Err(error) => Err(Ended::Input(error)),
        };
        failed |= is_failed(ended, path, progress)?;
    }
    Ok(failed)
}

/// Reads on where the run before stopped; whether a file could not be read.
fn read_on(
    feed: &mut Feed<Output>,
    mut resume: Resume,
    planned: Vec<Planned>,
    progress: &ProgressBar,
) -> io::Result<bool> {
    let mut failed = false;
    for mut file in planned {
        let path = file.path.clone();
        let ended = read_one(feed, &mut resume, &mut file, progress);
        failed |= is_failed(ended, &path, progress)?;
        let mark = feed.consumer.settle()?;
        resume.save(mark)?;
    }
    Ok(failed)
}

fn read_one(
    feed: &mut Feed<Output>,
    resume: &mut Resume,
    file: &mut Planned,
    progress: &ProgressBar,
) -> Result<(), Ended> {
    let mut opened = match resume.start(file) {
        Ok(opened) => opened,
        Err(error) => {
            resume.note_missing(file);
            return Err(Ended::Input(error));
        }
    };
    let path = file.path.clone();
    let metadata = opened.metadata;
    feed.read(
        &path,
        &mut opened.lines,
        opened.complete,
        progress,
        &mut |output, standing| {
            // The file's end is saved by our caller.
            if standing.ended {
                resume.note(file, &metadata, standing);
            } else if resume.is_due(standing.lines) {
                resume.note(file, &metadata, standing);
                let mark = output.settle()?;
                resume.save(mark)?;
            }
            Ok(())
        },
    )
}

fn is_failed(ended: Result<(), Ended>, path: &Path, progress: &ProgressBar) -> io::Result<bool> {
    match ended {
        Ok(()) => Ok(false),
        Err(Ended::Output(error)) => Err(error),
        Err(Ended::Input(error)) => {
            progress.suspend(|| terminal::note(&format!("sidewatch: {}: {error}", path.display())));
            Ok(true)
        }
    }
}
