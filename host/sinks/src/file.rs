//! Lines appended to a file, as JSON or CEF.
//!
//! One write per batch. A batch that fails half-way is cut off again, so that
//! it can be written anew without a torn line; a torn last line left by a
//! crash is ended before the first record. A rotated file (renamed, removed or
//! replaced) is noticed at the next batch, and the new one is created with
//! mode 0640; a file emptied in place is written on from its start.
//! Sidewatch has to be the only writer.

mod rotation;

use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use rotation::RotationSettings;
use serde::Deserialize;
use sidewatch_codecs::cef::CefSettings;
use sidewatch_event::Delivery;
use thiserror::Error;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

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
            path: path.clone(),
            payload: Payload {
                format: *format,
                cef: cef.clone(),
            },
            sync: *sync,
            rotate: rotate.clone(),
            open: None,
            lines: Vec::new(),
        })
    }
}

/// Appends records to a file.
pub struct FileSink {
    path: PathBuf,
    payload: Payload,
    sync: bool,
    rotate: Option<RotationSettings>,
    open: Option<File>,
    lines: Vec<u8>,
}

impl FileSink {
    /// Puts the file aside when that is due.
    async fn rotate_if_due(&mut self) -> io::Result<()> {
        let Some(rotate) = &self.rotate else {
            return Ok(());
        };
        let metadata = match tokio::fs::metadata(&self.path).await {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = SystemTime::now();
        if !rotate.is_due(&metadata, now) {
            return Ok(());
        }
        if let Some(file) = self.open.take() {
            file.sync_all().await?;
        }
        let (rotate, path) = (rotate.clone(), self.path.clone());
        tokio::task::spawn_blocking(move || rotate.rotate(&path, now))
            .await
            .map_err(io::Error::other)?
    }

    async fn write(&mut self, batch: &[Delivery]) -> io::Result<usize> {
        self.rotate_if_due().await?;
        let (file, length, torn) = current(&mut self.open, &self.path).await?;
        self.lines.clear();
        if torn {
            self.lines.push(b'\n');
        }
        let mut records = 0;
        for delivery in batch {
            self.payload.encode(delivery, &mut self.lines);
            self.lines.push(b'\n');
            records += 1;
            if self.lines.len() >= WRITE_BYTES {
                break;
            }
        }
        if let Err(error) = append(file, &self.lines, self.sync).await {
            // Best effort: a line that stays torn is ended after reopening.
            file.set_len(length).await.ok();
            return Err(error);
        }
        Ok(records)
    }
}

impl Sink for FileSink {
    fn deliver<'a>(&'a mut self, batch: &'a [Delivery]) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.write(batch).await {
                Ok(records) => Outcome::delivered(records),
                Err(error) => {
                    self.open = None;
                    Outcome::default()
                        .with_retry(format!("cannot write {}: {error}", self.path.display()))
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Some(file) = self.open.take()
                && let Err(error) = file.sync_all().await
            {
                tracing::warn!(path = %self.path.display(), %error, "the file could not be forced to the disk");
            }
        })
    }
}

async fn append(file: &mut File, lines: &[u8], sync: bool) -> io::Result<()> {
    file.set_max_buf_size(lines.len().max(1));
    file.write_all(lines).await?;
    file.flush().await?;
    if sync { file.sync_data().await } else { Ok(()) }
}

/// The open file, opened anew when its path leads elsewhere by now, with its
/// length and whether its last line is torn.
async fn current<'a>(
    open: &'a mut Option<File>,
    path: &Path,
) -> io::Result<(&'a mut File, u64, bool)> {
    if let Some(file) = open.take()
        && let Some(length) = length_at(&file, path).await?
    {
        return Ok((open.insert(file), length, false));
    }
    let mut file = File::options()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)
        .await?;
    let metadata = file.metadata().await?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let torn = metadata.len() > 0 && last_byte(&mut file).await? != b'\n';
    Ok((open.insert(file), metadata.len(), torn))
}

/// Length of the file; `None` when it is no longer the one at `path`.
async fn length_at(file: &File, path: &Path) -> io::Result<Option<u64>> {
    let found = match tokio::fs::metadata(path).await {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let ours = file.metadata().await?;
    Ok((found.dev() == ours.dev() && found.ino() == ours.ino()).then_some(ours.len()))
}

async fn last_byte(file: &mut File) -> io::Result<u8> {
    file.seek(SeekFrom::End(-1)).await?;
    file.read_u8().await
}

#[cfg(test)]
mod tests;
