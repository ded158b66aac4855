//! Where a batch verb writes: a file, standard output or a syslog receiver, in
//! a chosen format.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use sidewatch_codecs::cef;
use sidewatch_event::{Delivery, Event, Finding};
use sidewatch_sinks::payload::Format;
use sidewatch_sources::checkpoint::OutputMark;

use super::feed::Consumer;
use super::show;
use super::syslog_output::SyslogOutput;

/// What is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// One JSON object per event and finding, with ECS names and Sidewatch's own
    Json,
    /// One document of the Elastic Common Schema per event and finding
    Ecs,
    /// Documents as Elastic's Mattermost integration makes them
    EcsElastic,
    /// One CEF line per event and finding
    Cef,
    /// One GELF object per line
    Gelf,
    /// Time, severity and name=value pairs
    Plain,
    /// Findings only, for a person to read
    Findings,
    /// Nothing but the summary
    None,
}

/// Refuses an output that is one of the inputs, by whatever name.
pub(super) fn refuse_input(output: &Path, inputs: &[PathBuf]) -> Result<()> {
    let identity = |path: &Path| {
        std::fs::metadata(path)
            .ok()
            .filter(std::fs::Metadata::is_file)
            .map(|file| (file.dev(), file.ino()))
    };
    let Some(written) = identity(output) else {
        return Ok(());
    };
    match inputs.iter().find(|input| identity(input) == Some(written)) {
        Some(input) => bail!(
            "--output {} is the log {}; writing would destroy it",
            output.display(),
            input.display()
        ),
        None => Ok(()),
    }
}

impl OutputFormat {
    /// The format of records, if events are written at all.
    pub(super) fn record(self) -> Option<Format> {
        Some(match self {
            Self::Json => Format::Json,
            Self::Ecs => Format::Ecs,
            Self::EcsElastic => Format::EcsElastic,
            Self::Cef => Format::Cef,
            Self::Gelf => Format::Gelf,
            Self::Plain => Format::Plain,
            Self::Findings | Self::None => return None,
        })
    }
}

/// Written to the stream in pieces of this size.
const CHUNK: usize = 64 * 1024;

enum Target {
    /// Standard output.
    Stream(io::Stdout),
    File(File),
    Syslog(SyslogOutput),
}

/// A buffered writer of records.
pub(super) struct Output {
    target: Target,
    format: OutputFormat,
    cef: cef::CefSettings,
    buffer: Vec<u8>,
}

impl Output {
    fn new(target: Target, format: OutputFormat, cef: cef::CefSettings) -> Self {
        Self {
            target,
            format,
            cef,
            buffer: Vec::with_capacity(CHUNK * 2),
        }
    }

    /// Writes to standard output, or to a file that is made anew; one that is
    /// there already only with `force`.
    pub(super) fn open(
        path: Option<&Path>,
        force: bool,
        format: OutputFormat,
        cef: cef::CefSettings,
    ) -> Result<Self> {
        let target = match path {
            Some(path) if path != Path::new("-") => {
                // Pipes and devices hold nothing that could be lost.
                let kept = std::fs::metadata(path).is_ok_and(|file| file.is_file());
                if kept && !force {
                    bail!(
                        "{} is there already; --force writes over it",
                        path.display()
                    );
                }
                let file = File::create(path)
                    .with_context(|| format!("cannot write {}", path.display()))?;
                Target::File(file)
            }
            _ => Target::Stream(io::stdout()),
        };
        Ok(Self::new(target, format, cef))
    }

    /// Goes on in a file. What was written to it after `mark` belongs to a run
    /// that did not come to its end, and is cut off.
    pub(super) fn append(
        path: &Path,
        mark: Option<&OutputMark>,
        format: OutputFormat,
        cef: cef::CefSettings,
    ) -> Result<Self> {
        let open = || -> io::Result<File> {
            let mut file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)?;
            let metadata = file.metadata()?;
            if let Some(mark) = mark
                && mark.inode == (metadata.dev(), metadata.ino())
                && mark.length < metadata.len()
            {
                file.set_len(mark.length)?;
            }
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self::new(Target::File(file), format, cef))
    }

    /// Sends to a syslog receiver.
    pub(super) fn syslog(syslog: SyslogOutput) -> Self {
        let cef = cef::CefSettings::default();
        Self::new(Target::Syslog(syslog), OutputFormat::None, cef)
    }

    /// Makes sure that everything is where it belongs, and says where a file
    /// stands.
    pub(super) fn settle(&mut self) -> io::Result<Option<OutputMark>> {
        self.finish()?;
        match &mut self.target {
            Target::File(file) => {
                let metadata = file.metadata()?;
                if metadata.is_file() {
                    file.sync_data()?;
                }
                Ok(Some(OutputMark {
                    inode: (metadata.dev(), metadata.ino()),
                    length: metadata.len(),
                }))
            }
            Target::Stream(_) | Target::Syslog(_) => Ok(None),
        }
    }

    /// Records the receiver refused for good.
    pub(super) fn refused(&self) -> u64 {
        match &self.target {
            Target::Syslog(syslog) => syslog.refused(),
            Target::File(_) | Target::Stream(_) => 0,
        }
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
        match &mut self.target {
            Target::Stream(stream) => stream.write_all(&self.buffer)?,
            Target::File(file) => file.write_all(&self.buffer)?,
            Target::Syslog(_) => {}
        }
        self.buffer.clear();
        Ok(())
    }

    /// Writes what is buffered.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write_out()?;
        match &mut self.target {
            Target::Stream(stream) => stream.flush(),
            Target::File(_) => Ok(()),
            Target::Syslog(syslog) => syslog.flush(),
        }
    }
}

impl Consumer for Output {
    fn event(&mut self, event: Box<Event>) -> io::Result<Option<Box<Event>>> {
        if let Target::Syslog(syslog) = &mut self.target {
            syslog.send(Delivery::Event(Arc::from(event)))?;
            return Ok(None);
        }
        match self.format.record() {
            Some(Format::Cef) => {
                cef::encode_event(&event, &self.cef, &mut self.buffer);
                self.end_record()?;
                Ok(Some(event))
            }
            Some(format) => {
                let delivery = Delivery::Event(Arc::from(event));
                format.encode(&delivery, &self.cef, &mut self.buffer);
                self.end_record()?;
                Ok(None)
            }
            None => Ok(Some(event)),
        }
    }

    fn finding(&mut self, finding: &Arc<Finding>) -> io::Result<()> {
        let delivery = Delivery::Finding(Arc::clone(finding));
        if let Target::Syslog(syslog) = &mut self.target {
            return syslog.send(delivery);
        }
        match (self.format, self.format.record()) {
            (_, Some(format)) => format.encode(&delivery, &self.cef, &mut self.buffer),
            (OutputFormat::Findings, None) => self
                .buffer
                .extend_from_slice(show::finding(finding).as_bytes()),
            (_, None) => return Ok(()),
        }
        self.end_record()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_there_is_not_lost() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("access.log");
        std::fs::write(&log, "kept").unwrap();
        let link = directory.path().join("other-name");
        std::fs::hard_link(&log, &link).unwrap();
        let inputs = [PathBuf::from("-"), log.clone()];
        assert!(refuse_input(&link, &inputs).is_err());
        assert!(refuse_input(&directory.path().join("new"), &inputs).is_ok());
        let open = |force| {
            let cef = cef::CefSettings::default();
            Output::open(Some(&log), force, OutputFormat::Json, cef).map(drop)
        };
        assert!(open(false).unwrap_err().to_string().contains("--force"));
        assert_eq!(std::fs::read(&log).unwrap(), b"kept");
        open(true).unwrap();
    }
}
