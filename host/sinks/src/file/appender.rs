//! The file itself: opened, put aside, written and cut off again, all in one
//! go on a thread that may block. A batch costs one change of threads, not one
//! for every system call.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::SystemTime;

use super::RotationSettings;

/// Appends to the file at a path.
pub(super) struct Appender {
    path: PathBuf,
    /// Whether every write is forced to the disk.
    sync: bool,
    rotate: Option<RotationSettings>,
    open: Option<File>,
}

impl Appender {
    pub(super) fn new(path: PathBuf, sync: bool, rotate: Option<RotationSettings>) -> Self {
        Self {
            path,
            sync,
            rotate,
            open: None,
        }
    }

    /// Appends whole lines, all of them or, as far as the disk lets us, none.
    ///
    /// # Errors
    /// The file cannot be opened, put aside or written.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let done = self.try_append(lines);
        if done.is_err() {
            self.open = None;
        }
        done
    }

    fn try_append(&mut self, lines: &[u8]) -> io::Result<()> {
        self.rotate_if_due()?;
        let sync = self.sync;
        let (file, length, torn) = self.current()?;
        let mut write = || {
            if torn {
                file.write_all(b"\n")?;
            }
            file.write_all(lines)?;
            if sync { file.sync_data() } else { Ok(()) }
        };
        let written = write();
        if written.is_err() {
            // Best effort: a line that stays torn is ended after reopening.
            file.set_len(length).ok();
        }
        written
    }

    /// Puts the file aside when that is due.
    fn rotate_if_due(&mut self) -> io::Result<()> {
        let Some(rotate) = &self.rotate else {
            return Ok(());
        };
        let metadata = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let now = SystemTime::now();
        if !rotate.is_due(&metadata, now) {
            return Ok(());
        }
        if let Some(file) = self.open.take() {
            file.sync_all()?;
        }
        rotate.rotate(&self.path, now)
    }

    /// The open file, opened anew when its path leads elsewhere by now, with
    /// its length and whether its last line is torn.
    fn current(&mut self) -> io::Result<(&mut File, u64, bool)> {
        if let Some(file) = self.open.take()
            && let Some(length) = self.length_at_path(&file)?
        {
            return Ok((self.open.insert(file), length, false));
        }
        let mut file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&self.path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let torn = metadata.len() > 0 && last_byte(&mut file)? != b'\n';
        Ok((self.open.insert(file), metadata.len(), torn))
    }

    /// Length of the file; `None` when it is no longer the one at the path.
    fn length_at_path(&self, file: &File) -> io::Result<Option<u64>> {
        let found = match std::fs::metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let ours = file.metadata()?;
        let same = found.dev() == ours.dev() && found.ino() == ours.ino();
        Ok(same.then_some(ours.len()))
    }

    /// Forces what was written to the disk and closes the file.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.open.take().map_or(Ok(()), |file| file.sync_all())
    }
}

fn last_byte(file: &mut File) -> io::Result<u8> {
    file.seek(SeekFrom::End(-1))?;
    let mut byte = [0];
    file.read_exact(&mut byte)?;
    Ok(u8::from_be_bytes(byte))
}
