//! Lines of files through codec, enrichment and rules to whoever wants them.
//!
//! Invariant: one bad line never stops the run; it is counted, and named with
//! its file, number and reason.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use sidewatch_engine::cache::digest;
use sidewatch_event::{Event, Finding};
use sidewatch_sources::checkpoint::Lines;
use sidewatch_sources::{Line, identity};

use super::prepare::Prepared;
use super::tally::Tally;
use super::terminal;

/// Events evaluated at a time: a few full frames.
const BATCH: usize = 256;
/// Unreadable lines shown one by one, unless all are wanted.
const SHOWN: u64 = 10;
/// Bytes read between two moves of the progress bar.
const PROGRESS: u64 = 4 << 20;

/// Takes what comes out.
pub(super) trait Consumer {
    /// Takes an event that is not suppressed; gives it back to be used again
    /// if it can.
    fn event(&mut self, event: Box<Event>) -> io::Result<Option<Box<Event>>>;

    /// Takes a finding.
    fn finding(&mut self, finding: &Arc<Finding>) -> io::Result<()>;
}

/// Why reading ended before the end.
pub(super) enum Ended {
    /// The file cannot be read.
    Input(io::Error),
    /// The output cannot be written.
    Output(io::Error),
}

/// Where reading stands between two batches.
pub(super) struct Standing<'a> {
    /// Where the next line starts.
    pub(super) offset: u64,
    /// Lines before it.
    pub(super) lines: u64,
    /// What the file begins with.
    pub(super) head: &'a [u8],
    /// Nothing more will be read of it.
    pub(super) ended: bool,
}

/// Called after every batch and at the end of a file.
pub(super) type AfterBatch<'a, C> = &'a mut dyn FnMut(&mut C, &Standing<'_>) -> io::Result<()>;

/// One run over any number of files.
pub(super) struct Feed<C> {
    prepared: Prepared,
    pub(super) consumer: C,
    pub(super) tally: Tally,
    batch: Vec<Box<Event>>,
    spare: Vec<Box<Event>>,
    source: Arc<str>,
    received: i64,
    /// Mapping only: nothing else is looked at.
    pub(super) bare: bool,
    /// Every unreadable line is named.
    pub(super) verbose: bool,
}

impl<C: Consumer> Feed<C> {
    pub(super) fn new(prepared: Prepared, consumer: C) -> Self {
        Self {
            prepared,
            consumer,
            tally: Tally::default(),
            batch: Vec::with_capacity(BATCH),
            spare: Vec::with_capacity(BATCH),
            source: Arc::from("replay"),
            received: identity::now(),
            bare: false,
            verbose: false,
        }
    }

    /// Reads a file to its end. `complete` says that nothing is ever added to
    /// it, so that a last line without its end is read too.
    pub(super) fn read(
        &mut self,
        path: &Path,
        lines: &mut Lines,
        complete: bool,
        progress: &ProgressBar,
        after: AfterBatch<'_, C>,
    ) -> Result<(), Ended> {
        let fingerprint = fingerprint(path);
        let (mut offset, mut number) = (lines.offset(), lines.number());
        let mut shown_to = offset;
        let failure = loop {
            let line = if complete {
                lines.next_line()
            } else {
                lines.next_whole_line()
            };
            let line = match line {
                Ok(Some(line)) => line,
                Ok(None) => break None,
                Err(error) => break Some(error),
            };
            (offset, number) = (line.end, line.number);
            if offset - shown_to > PROGRESS {
                progress.inc(offset - shown_to);
                shown_to = offset;
            }
            self.line(path, fingerprint, &line, progress);
            if self.batch.len() >= BATCH {
                self.flush().map_err(Ended::Output)?;
                let standing = Standing {
                    offset,
                    lines: number,
                    head: lines.reader().head(),
                    ended: false,
                };
                after(&mut self.consumer, &standing).map_err(Ended::Output)?;
            }
        };
        if !complete && lines.pending() > 0 {
            self.tally.unfinished += 1;
        }
        self.flush().map_err(Ended::Output)?;
        let standing = Standing {
            offset,
            lines: number,
            head: lines.reader().head(),
            ended: true,
        };
        after(&mut self.consumer, &standing).map_err(Ended::Output)?;
        failure.map_or(Ok(()), |error| Err(Ended::Input(error)))
    }

    /// Findings held back, while a proxy hides the clients.
    pub(super) fn withheld(&self) -> Option<u64> {
        let processor = &self.prepared.processor;
        processor.clients.is_hidden().then_some(processor.withheld)
    }

    /// Whether detections look at the events.
    pub(super) fn has_detections(&self) -> bool {
        !self.prepared.processor.rules.detections.is_empty()
    }

    fn line(&mut self, path: &Path, fingerprint: u128, line: &Line<'_>, progress: &ProgressBar) {
        self.tally.lines += 1;
        let mut event = self.spare.pop().unwrap_or_default();
        event.received = self.received;
        event.source = Some(Arc::clone(&self.source));
        event.id = identity::of_position(fingerprint, line.offset);
        event.truncated = line.truncated;
        match self.prepared.format.decode(line.bytes, &mut event) {
            Ok(()) => self.batch.push(event),
            Err(error) => {
                self.tally.unreadable += 1;
                let said = self.tally.unreadable;
                if self.verbose || said <= SHOWN {
                    let text = format!("{}:{}: {error}", path.display(), line.number);
                    progress.suspend(|| terminal::note(&text));
                } else if said == SHOWN + 1 {
                    let text = "further unreadable lines are only counted; --verbose names all";
                    progress.suspend(|| terminal::note(text));
                }
                event.clear();
                self.spare.push(event);
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let processor = &mut self.prepared.processor;
        if self.bare {
            processor.map(&mut self.batch);
        } else {
            processor.evaluate(&mut self.batch);
        }
        if processor.has_findings() {
            let batch = &self.batch;
            let findings = processor
                .take_findings(|at| batch.get(at).map(|event| Arc::new(Event::clone(event))));
            for finding in findings {
                self.tally.finding(&finding);
                self.consumer.finding(&finding)?;
            }
        }
        for mut event in self.batch.drain(..) {
            self.tally.event(&event);
            let unused = if event.suppressed {
                Some(event)
            } else {
                self.consumer.event(event)?
            };
            if let Some(unused) = unused {
                event = unused;
                event.clear();
                self.spare.push(event);
            }
        }
        Ok(())
    }
}

/// Makes the identifiers of a file's lines its own.
fn fingerprint(path: &Path) -> u128 {
    digest(path.as_os_str().as_encoded_bytes())
        .iter()
        .take(16)
        .fold(0, |number, byte| (number << 8) | u128::from(*byte))
}

/// A bar over the bytes of all files; indicatif hides it when standard error
/// is no terminal.
pub(super) fn progress(files: &[PathBuf]) -> ProgressBar {
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
