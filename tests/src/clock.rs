//! A system clock of its own for a program under test: what it reads as the
//! time of day can be set at will, forwards and back, while it runs. Time that
//! only passes (waits, time-outs) goes on as it is.

use std::path::{Path, PathBuf};

/// Says what time the programs it was given to believe it is.
#[derive(Debug)]
pub struct FakeClock {
    library: PathBuf,
    offset: PathBuf,
}

impl FakeClock {
    /// Makes one that is right at first; it is kept in a file of the directory.
    ///
    /// # Panics
    /// The library that does it is not installed.
    pub fn in_directory(directory: &Path) -> Self {
        let library = library().expect(
            "libfaketime is not installed; run `make test`, which installs it, or `apt-get install libfaketime`",
        );
        let clock = Self {
            library,
            offset: directory.join("clock"),
        };
        clock.set(0);
        clock
    }

    /// The command that gives it to a program.
    pub fn wrapper(&self) -> Vec<String> {
        vec![
            "env".to_owned(),
            format!("LD_PRELOAD={}", self.library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", self.offset.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
            "NO_FAKE_STAT=1".to_owned(),
        ]
    }

    /// Sets it so many seconds ahead of the true time, or behind.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn set(&self, ahead: i64) {
        let new = self.offset.with_extension("new");
        std::fs::write(&new, format!("{ahead:+}\n")).unwrap();
        std::fs::rename(&new, &self.offset).unwrap();
    }
}

/// Debian keeps it beside the libraries of the machine's architecture.
fn library() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?;
    let candidate = |place: PathBuf| place.join("faketime/libfaketimeMT.so.1");
    places
        .flatten()
        .map(|place| candidate(place.path()))
        .find(|path| path.is_file())
}
