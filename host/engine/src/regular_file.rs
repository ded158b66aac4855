//! Opening files of a directory others may write to.
//!
//! Invariant: only regular files are opened. Opening a pipe waits until
//! somebody writes to it, which may be never, and a device may never end.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Opens a regular file, or a link to one, for reading.
///
/// # Errors
/// It is something else, is not there or may not be read.
pub fn open(path: &Path) -> Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "is no regular file; put a copy of the file there",
        ));
    }
    File::open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn pipes_devices_and_directories_are_refused_and_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [&pipe, Path::new("/dev/zero"), directory.path()] {
            assert_eq!(open(path).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        let link = directory.path().join("link");
        std::fs::write(directory.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert!(open(&link).is_ok());
    }
}
