//! Where a batch verb writes: a file or standard output, in a chosen format.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use sidewatch_codecs::{cef, json};
use sidewatch_event::{Delivery, Event, Finding};

use super::show;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// One JSON object (ECS) per event and finding
    Json,
    /// One CEF line per event and finding
    Cef,
    /// Findings only, for a person to read
    Findings,
    /// Nothing but the summary
    None,
}

/// A buffered writer of records.
pub(super) struct Output {
    writer: Box<dyn Write + Send>,
    format: OutputFormat,
    cef: cef::CefSettings,
    buffer: Vec<u8>,
}

/// Written to the stream in pieces of this size.
const CHUNK: usize = 64 * 1024;

impl Output {
    pub(super) fn open(path: Option<&Path>, format: OutputFormat) -> Result<Self> {
        let writer: Box<dyn Write + Send> = match path {
            Some(path) if path != Path::new("-") => {
                let file = File::create(path)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Box::new(BufWriter::with_capacity(CHUNK, file))
            }
            _ => Box::new(io::stdout()),
        };
        Ok(Self {
            writer,
            format,
            cef: cef::CefSettings::default(),
            buffer: Vec::with_capacity(CHUNK * 2),
        })
    }

    /// Writes one event; gives it back, since encoders share events.
    pub(super) fn event(&mut self, event: Box<Event>) -> io::Result<()> {
        match self.format {
            OutputFormat::Json => {
                json::encode(&Delivery::Event(Arc::from(event)), &mut self.buffer)
            }
            OutputFormat::Cef => cef::encode(
                &Delivery::Event(Arc::from(event)),
                &self.cef,
                &mut self.buffer,
            ),
            OutputFormat::Findings | OutputFormat::None => return Ok(()),
        }
        self.end_record()
    }

    pub(super) fn finding(&mut self, finding: &Arc<Finding>) -> io::Result<()> {
        let delivery = Delivery::Finding(Arc::clone(finding));
        match self.format {
            OutputFormat::Json => json::encode(&delivery, &mut self.buffer),
            OutputFormat::Cef => cef::encode(&delivery, &self.cef, &mut self.buffer),
            OutputFormat::Findings => self
                .buffer
                .extend_from_slice(show::finding(finding).as_bytes()),
            OutputFormat::None => return Ok(()),
        }
        self.end_record()
    }

    /// Whether events are written at all.
    pub(super) fn wants_events(&self) -> bool {
        matches!(self.format, OutputFormat::Json | OutputFormat::Cef)
    }

    fn end_record(&mut self) -> io::Result<()> {
        self.buffer.push(b'\n');
        if self.buffer.len() >= CHUNK {
            self.write_out()
        } else {
            Ok(())
        }
    }

    fn write_out(&mut self) -> io::Result<()> {
        self.writer.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is buffered.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write_out()?;
        self.writer.flush()
    }
}
