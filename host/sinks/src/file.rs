//! Lines appended to a file, as JSON or CEF.
//!
//! One write per batch. A batch that fails half-way is cut off again, so that
//! it can be written anew without a torn line; a torn last line left by a
//! crash is ended before the first record. A rotated file (renamed, removed or
//! replaced) is noticed at the next batch, and the new one is created with
//! mode 0640; a file emptied in place is written on from its start.
//! Sidewatch has to be the only writer.

mod appender;
mod rotation;

use std::io;
use std::path::PathBuf;

use appender::Appender;
pub use rotation::RotationSettings;
use serde::Deserialize;
use sidewatch_codecs::cef::CefSettings;
use sidewatch_event::Delivery;
use thiserror::Error;

use crate::payload::{Format, Payload};
use crate::sink::{BoxFuture, Outcome, Sink};

/// Most bytes written at once; a batch beyond it is written in parts.
const WRITE_BYTES: usize = 1024 * 1024;

/// Settings of a file sink.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// The file, absolute. Its directory has to exist.
    pub path: PathBuf,
    /// Format of a line; JSON unless given.
    #[serde(default = "json")]
    pub format: Format,
    /// Whether each batch is forced to the disk before it counts as
    /// delivered. Without it a batch survives the end of the process, but not
    /// a power loss.
    #[serde(default)]
    pub sync: bool,
    /// Header constants for CEF.
    #[serde(default)]
    pub cef: CefSettings,
    /// When the file is put aside; never unless given. Another program may
    /// rotate it as well.
    #[serde(default)]
    pub rotate: Option<RotationSettings>,
}

fn json() -> Format {
    Format::Json
}

/// Why a file sink cannot be built.
#[derive(Debug, Error)]
pub enum FileError {
    /// A relative path depends on where the process was started.
    #[error("`{}` is not absolute: write the whole path, beginning with /", .0.display())]
    Relative(PathBuf),
    /// The directory is missing or no directory.
    #[error("the directory {} does not exist: create it first, writable for the user Sidewatch runs as", .0.display())]
    Directory(PathBuf),
    /// Something else is in the way.
    #[error("{} exists but is no regular file: choose another path, or a console sink for a terminal", .0.display())]
    NotAFile(PathBuf),
}

impl FileSettings {
    /// Checks the path; the file itself is opened with the first batch.
    ///
    /// # Errors
    /// The path cannot be that of a file.
    pub fn build(&self) -> Result<FileSink, FileError> {
        let Self {
            path,
            format,
            sync,
            cef,
            rotate,
        } = self;
        if !path.is_absolute() {
            return Err(FileError::Relative(path.clone()));
        }
        match path.parent() {
            Some(directory) if directory.is_dir() => {}
            Some(directory) => return Err(FileError::Directory(directory.to_owned())),
            None => return Err(FileError::NotAFile(path.clone())),
        }
        if path.exists() && !path.is_file() {
            return Err(FileError::NotAFile(path.clone()));
        }
        Ok(FileSink {
            payload: Payload {
                format: *format,
                cef: cef.clone(),
            },
            file: Some(Box::new(Appender::new(path.clone(), *sync, rotate.clone()))),
            path: path.clone(),
            sync: *sync,
            rotate: rotate.clone(),
            lines: Vec::new(),
        })
    }
}

/// Appends records to a file.
pub struct FileSink {
    payload: Payload,
    path: PathBuf,
    sync: bool,
    rotate: Option<RotationSettings>,
    /// Away on another thread while it writes; opened anew when it does not
    /// come back.
    file: Option<Box<Appender>>,
    lines: Vec<u8>,
}

impl FileSink {
    /// Does something with the file where it may block.
    async fn with_file<Done: Send + 'static>(
        &mut self,
        act: impl FnOnce(&mut Appender, &[u8]) -> io::Result<Done> + Send + 'static,
    ) -> io::Result<Done> {
        let mut file = self.file.take().unwrap_or_else(|| {
            let rotate = self.rotate.clone();
            Box::new(Appender::new(self.path.clone(), self.sync, rotate))
        });
        let lines = std::mem::take(&mut self.lines);
        let acting = tokio::task::spawn_blocking(move || {
            let done = act(&mut file, &lines);
            (file, lines, done)
        });
        let (file, lines, done) = acting.await.map_err(io::Error::other)?;
        self.file = Some(file);
        self.lines = lines;
        done
    }

    async fn write(&mut self, batch: &[Delivery]) -> io::Result<usize> {
        self.lines.clear();
        let mut records = 0;
        for delivery in batch {
            self.payload.encode(delivery, &mut self.lines);
            self.lines.push(b'\n');
            records += 1;
            if self.lines.len() >= WRITE_BYTES {
                break;
            }
        }
        self.with_file(|file, lines| file.append(lines)).await?;
        Ok(records)
    }
}

impl Sink for FileSink {
    fn deliver<'a>(&'a mut self, batch: &'a [Delivery]) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.write(batch).await {
                Ok(records) => Outcome::delivered(records),
                Err(error) => Outcome::default()
                    .with_retry(format!("cannot write {}: {error}", self.path.display())),
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.with_file(|file, _| file.close()).await {
                tracing::warn!(path = %self.path.display(), %error, "the file could not be forced to the disk");
            }
        })
    }
}

#[cfg(test)]
mod tests;
