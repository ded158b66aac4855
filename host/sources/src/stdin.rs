//! Records on standard input, one per line.
//!
//! Invariant: reading waits for the pipeline, so nothing is shed. At shutdown
//! what is there already is read, for a second at most.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::Deserialize;
use sidewatch_codecs::Decoder;

use crate::intake::Closed;
use crate::lines::{DEFAULT_LINE_LIMIT, LineBuffer};
use crate::records::Records;
use crate::settings::check_range;
use crate::shutdown::LastReads;
use crate::{Intake, Shutdown, Source, SourceError, SourceFuture};

/// How often a quiet input looks for shutdown, in milliseconds.
const LOOK_MS: u16 = 100;

/// Settings of the standard-input source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StdinSettings {
    /// Longest line, in bytes; longer ones are cut and flagged.
    pub max_line_bytes: usize,
}

impl Default for StdinSettings {
    fn default() -> Self {
        Self {
            max_line_bytes: DEFAULT_LINE_LIMIT,
        }
    }
}

/// The standard-input source.
pub struct StdinSource {
    name: Box<str>,
    settings: StdinSettings,
    decoder: Arc<dyn Decoder>,
}

impl StdinSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the first setting that cannot be used.
    pub fn validate(&self) -> Result<(), SourceError> {
        check_range("max_line_bytes", self.max_line_bytes as u64, 64..=64 << 20)
    }

    /// Prepares the source.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn bind(&self, name: &str, decoder: Arc<dyn Decoder>) -> Result<StdinSource, SourceError> {
        self.validate()?;
        Ok(StdinSource {
            name: name.into(),
            settings: self.clone(),
            decoder,
        })
    }
}

impl Source for StdinSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn addresses(&self) -> Vec<String> {
        vec!["standard input".into()]
    }

    fn run(self: Box<Self>, intake: Intake, shutdown: Shutdown) -> SourceFuture {
        let records = Records {
            decoder: self.decoder,
            intake,
        };
        let limit = self.settings.max_line_bytes;
        Box::pin(crate::on_thread("stdin", move || {
            // Not through `Stdin`: what its buffer holds would be invisible to poll.
            let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            match input.and_then(|input| read(&records, input, limit, &shutdown)) {
                Ok(Ok(()) | Err(Closed)) => Ok(()),
                Err(source) => Err(SourceError::File {
                    path: "standard input".into(),
                    source,
                }),
            }
        }))
    }
}

/// Reads `input` until its end or shutdown.
fn read(
    records: &Records,
    mut input: impl Read + AsFd,
    limit: usize,
    shutdown: &Shutdown,
) -> io::Result<Result<(), Closed>> {
    let mut lines = LineBuffer::new(limit, 256 * 1024, 0);
    let mut last_reads = LastReads::new(shutdown.clone());
    loop {
        let ending = last_reads.have_begun();
        if last_reads.are_over() {
            tracing::warn!("standard input had not ended at shutdown; the rest is not read");
            break;
        }
        if !is_ready(&input, if ending { 0 } else { LOOK_MS })? {
            if ending {
                break;
            }
            continue;
        }
        match input.read(lines.spare()) {
            Ok(0) => break,
            Ok(count) => lines.filled(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        while let Some(line) = lines.next_line() {
            if let Some(event) = records.decode(line.bytes, line.number, line.truncated)
                && records.intake.push_blocking(event).is_err()
            {
                return Ok(Err(Closed));
            }
        }
    }
    if let Some(line) = lines.last_line()
        && let Some(event) = records.decode(line.bytes, line.number, line.truncated)
    {
        return Ok(records.intake.push_blocking(event));
    }
    Ok(Ok(()))
}

fn is_ready(input: &impl AsFd, wait_ms: u16) -> io::Result<bool> {
    let mut waited = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    match poll(&mut waited, PollTimeout::from(wait_ms)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown;
    use sidewatch_codecs::DecodeError;
    use sidewatch_event::{Event, Field};
    use std::io::Write;

    struct Keep;

    impl Decoder for Keep {
        fn decode(&self, record: &[u8], event: &mut Event) -> Result<(), DecodeError> {
            event.set(Field::Message, &String::from_utf8_lossy(record));
            Ok(())
        }
    }

    fn run(feed: impl FnOnce(io::PipeWriter, shutdown::ShutdownTrigger)) -> Vec<String> {
        let (reader, writer) = io::pipe().unwrap();
        let (intake, mut receiver) = Intake::channel("stdin".into(), 100);
        let records = Records {
            decoder: Arc::new(Keep),
            intake,
        };
        let (trigger, shutdown) = shutdown::channel();
        let thread =
            std::thread::spawn(move || read(&records, Piped(reader), 10, &shutdown).unwrap());
        feed(writer, trigger);
        assert_eq!(thread.join().unwrap(), Ok(()));
        let mut events = Vec::new();
        while receiver.receive(&mut events, 10) > 0 {}
        events
            .iter()
            .map(|event| event.get(Field::Message).unwrap().to_owned())
            .collect()
    }

    struct Piped(io::PipeReader);

    impl Read for Piped {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl AsFd for Piped {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    #[test]
    fn every_line_arrives_also_the_last_without_its_end() {
        let lines = run(|mut writer, trigger| {
            writer
                .write_all(b"one\r\n\ntwo\nlonger than ten\nhal")
                .unwrap();
            writer.write_all(b"f").unwrap();
            drop(writer);
            std::mem::forget(trigger);
        });
        assert_eq!(lines, ["one", "two", "longer tha", "half"]);
    }

    #[test]
    fn a_quiet_input_ends_at_shutdown() {
        let mut kept = None;
        run(|writer, trigger| {
            trigger.trigger();
            kept = Some(writer);
        });
        assert!(kept.is_some());
    }
}
