//! `sidewatch replay FILE…`: log files through the same pipeline.
//!
//! Invariant: every line ends in exactly one counter (event, suppressed,
//! unreadable with its number and reason), and one bad line never stops the
//! run.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sidewatch_codecs::{Decoder as _, LogFormat};
use sidewatch_engine::cache::digest;
use sidewatch_enrich::Enricher;
use sidewatch_event::{Event, Finding};
use sidewatch_sources::{identity, lines, replay};

use super::output::{Output, OutputFormat};
use super::{INCOMPLETE, show, terminal};
use crate::config::secrets::{Keys, personal_directory};
use crate::config::{ConfigFile, Pack, rules};
use crate::pipeline::Processor;
use crate::pipeline::run::{engine, log_format};

/// Events evaluated at a time: a few full frames.
const BATCH: usize = 256;
/// Unreadable lines shown one by one.
const SHOWN: u64 = 10;

/// What `replay` and `explain` have in common.
#[derive(Debug, Args)]
pub struct Common {
    /// Pack of the application the log is from
    #[arg(long, default_value = "nginx", value_name = "NAME")]
    pub pack: String,
    /// The log's own `log_format`: a preset's name, the format text, or the whole directive as in nginx.conf [default: the pack's]
    #[arg(long, value_name = "TEXT")]
    pub log_format: Option<String>,
    /// Take enrichment and rules from this configuration file
    #[arg(long, short, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// GeoIP city database (.mmdb)
    #[arg(long, value_name = "FILE")]
    pub geoip_city: Option<PathBuf>,
    /// GeoIP autonomous-system database (.mmdb)
    #[arg(long, value_name = "FILE")]
    pub geoip_asn: Option<PathBuf>,
    /// Directory with rule components [default: beside the program]
    #[arg(long, value_name = "DIRECTORY")]
    pub rules: Option<PathBuf>,
}

/// What to replay.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    #[command(flatten)]
    common: Common,
    /// What to write
    #[arg(long, short, value_enum, default_value = "json")]
    format: OutputFormat,
    /// Where to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write no summary
    #[arg(long, short)]
    quiet: bool,
    /// Log files, plain or gzip; `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Everything a line goes through.
pub struct Prepared {
    /// Reads lines.
    pub format: LogFormat,
    /// The format as text, for messages.
    pub format_text: String,
    /// Enricher and rules.
    pub processor: Processor,
}

/// Builds codec, enricher and rules from the arguments.
///
/// # Errors
/// Says which part cannot be used.
pub fn prepare(common: &Common) -> Result<Prepared> {
    let mut config = match &common.config {
        Some(path) => ConfigFile::load(path)?,
        None => ConfigFile {
            data_directory: personal_directory(),
            ..ConfigFile::default()
        },
    };
    let geoip = &mut config.enrichment.geoip;
    geoip.city = common.geoip_city.clone().or(geoip.city.take());
    geoip.asn = common.geoip_asn.clone().or(geoip.asn.take());
    let pack = Pack::load(&common.pack)?;
    let format_text = common
        .log_format
        .clone()
        .unwrap_or_else(|| pack.format.clone());
    let format = log_format(&format_text, &pack).context("--log-format")?;
    let keys = Keys::open(&config.data_directory)?;
    let enricher = Enricher::new(&config.enrichment, keys.hash)?;
    let engine = engine(&config.data_directory, &keys)?;
    let directory = rules::rules_directory(
        common
            .rules
            .as_deref()
            .or(config.rules_directory.as_deref()),
    )?;
    let rule_set = rules::build(&engine, &directory, &[(pack, Vec::new())], &config.rules)?;
    Ok(Prepared {
        format,
        format_text,
        processor: Processor::new(enricher, rule_set),
    })
}

/// What became of the lines.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lines read.
    pub lines: u64,
    /// Lines that became events.
    pub events: u64,
    /// Events a mapping called noise.
    pub suppressed: u64,
    /// Lines that could not be read.
    pub unreadable: u64,
    /// Incidents and users by kind of finding.
    pub findings: BTreeMap<Arc<str>, (BTreeSet<u64>, BTreeSet<u64>)>,
}

impl Tally {
    fn add(&mut self, finding: &Finding) {
        let (incidents, users) = self.findings.entry(Arc::clone(&finding.kind)).or_default();
        incidents.insert(finding.incident);
        users.insert(finding.event.keys.user);
    }

    fn text(&self, elapsed: Duration) -> String {
        let mut text = String::new();
        let rate = self.lines as f64 / elapsed.as_secs_f64().max(1e-9);
        text.push_str(&format!(
            "{} lines in {:.1} s ({rate:.0}/s): {} events, {} suppressed, {} unreadable\n",
            self.lines,
            elapsed.as_secs_f64(),
            self.events - self.suppressed,
            self.suppressed,
            self.unreadable
        ));
        let findings = self
            .findings
            .iter()
            .map(|(kind, (incidents, users))| (&**kind, incidents.len(), users.len()));
        let table = show::summary(findings);
        text.push_str(if table.is_empty() {
            "  no findings\n"
        } else {
            &table
        });
        text
    }
}

struct Replay {
    prepared: Prepared,
    output: Output,
    tally: Tally,
    batch: Vec<Box<Event>>,
    spare: Vec<Box<Event>>,
    source: Arc<str>,
    received: i64,
}

pub(super) fn run(arguments: &ReplayArguments) -> Result<u8> {
    let prepared = prepare(&arguments.common)?;
    let output = Output::open(arguments.output.as_deref(), arguments.format)?;
    let mut replay = Replay {
        prepared,
        output,
        tally: Tally::default(),
        batch: Vec::with_capacity(BATCH),
        spare: Vec::new(),
        source: Arc::from("replay"),
        received: identity::now(),
    };
    let started = Instant::now();
    let progress = progress(&arguments.files);
    let mut failed = false;
    for path in &arguments.files {
        match replay.file(path, &progress) {
            Ok(()) => {}
            Err(Ended::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            Err(Ended::Output(error)) => return Err(error).context("cannot write the output"),
            Err(Ended::Input(error)) => {
                failed = true;
                progress
                    .suspend(|| terminal::note(&format!("sidewatch: {}: {error}", path.display())));
            }
        }
    }
    progress.finish_and_clear();
    match replay.flush().and_then(|()| replay.output.finish()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            return Err(error).context("cannot write the output");
        }
        _ => {}
    }
    if !arguments.quiet {
        terminal::note(replay.tally.text(started.elapsed()).trim_end());
    }
    Ok(if failed {
        1
    } else if replay.tally.unreadable > 0 {
        INCOMPLETE
    } else {
        0
    })
}

/// A bar over the bytes of all files; indicatif hides it when standard error
/// is no terminal.
fn progress(files: &[PathBuf]) -> ProgressBar {
    let sizes: Option<Vec<u64>> = files
        .iter()
        .map(|path| std::fs::metadata(path).map(|data| data.len()).ok())
        .collect();
    let gzip = files
        .iter()
        .any(|path| path.extension().is_some_and(|extension| extension == "gz"));
    let (bar, template) = match sizes {
        Some(sizes) if !gzip => (
            ProgressBar::new(sizes.iter().sum()),
            "{bar:40} {percent}% {bytes}/{total_bytes} {eta} left",
        ),
        _ => (
            ProgressBar::new_spinner(),
            "{spinner} {bytes} read, {bytes_per_sec}",
        ),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

enum Ended {
    Input(io::Error),
    Output(io::Error),
}

impl Replay {
    fn file(&mut self, path: &Path, progress: &ProgressBar) -> Result<(), Ended> {
        let mut reader =
            replay::open_lines(path, lines::DEFAULT_LINE_LIMIT).map_err(Ended::Input)?;
        let name = digest(path.as_os_str().as_encoded_bytes());
        let fingerprint = name
            .iter()
            .take(16)
            .fold(0, |number, byte| (number << 8) | u128::from(*byte));
        let mut shown_to = 0;
        while let Some(line) = reader.next_line().map_err(Ended::Input)? {
            self.tally.lines += 1;
            let mut event = self.spare.pop().unwrap_or_default();
            event.received = self.received;
            event.source = Some(Arc::clone(&self.source));
            event.id = identity::of_position(fingerprint, line.offset);
            event.truncated = line.truncated;
            if line.end - shown_to > 4 << 20 {
                progress.inc(line.end - shown_to);
                shown_to = line.end;
            }
            match self.prepared.format.decode(line.bytes, &mut event) {
                Ok(()) => self.batch.push(event),
                Err(error) => {
                    self.tally.unreadable += 1;
                    if self.tally.unreadable <= SHOWN {
                        let text = format!("{}:{}: {error}", path.display(), line.number);
                        progress.suspend(|| terminal::note(&text));
                    } else if self.tally.unreadable == SHOWN + 1 {
                        progress.suspend(|| {
                            terminal::note("further unreadable lines are only counted")
                        });
                    }
                    event.clear();
                    self.spare.push(event);
                }
            }
            if self.batch.len() >= BATCH {
                self.flush().map_err(Ended::Output)?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.prepared.processor.evaluate(&mut self.batch);
        self.tally.events += self.batch.len() as u64;
        if self.prepared.processor.has_findings() {
            let batch = &self.batch;
            let findings = self
                .prepared
                .processor
                .take_findings(|at| batch.get(at).map(|event| Arc::new(Event::clone(event))));
            for finding in findings {
                self.tally.add(&finding);
                self.output.finding(&finding)?;
            }
        }
        let wants_events = self.output.wants_events();
        for mut event in self.batch.drain(..) {
            self.tally.suppressed += u64::from(event.suppressed);
            if wants_events && !event.suppressed {
                self.output.event(event)?;
            } else {
                event.clear();
                self.spare.push(event);
            }
        }
        Ok(())
    }
}
