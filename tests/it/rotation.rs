//! Every kind of log rotation under load, while the program runs and while it
//! does not: no line is lost, none is taken for two.
//!
//! The writer rotates its own file, so nothing is lost by the rotation itself;
//! what it wrote is what has to arrive. `SIDEWATCH_ROTATIONS` sets how often
//! (12 times when unset), at about 10,000 lines a second.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use integration_tests::{Sidecar, until};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Rotations before the program is stopped or started.
const ROUND: u64 = 6;
/// Lines written at once, and the pause after them: 10,000 lines a second.
const LINES: u64 = 20;
const PAUSE: Duration = Duration::from_millis(2);
/// Lines between two rotations.
const BETWEEN: u64 = 600;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Rename,
    Pack,
    CopyAndTruncate,
    Link,
    Delete,
}

/// The program that writes the log.
struct Writer {
    path: PathBuf,
    mode: Mode,
    file: File,
    written: u64,
    rotations: u64,
}

fn append_to(path: &Path) -> File {
    let mut options = File::options();
    options.append(true).create(true).open(path).unwrap()
}

impl Writer {
    fn new(path: &Path, mode: Mode) -> Self {
        if mode == Mode::Link {
            std::os::unix::fs::symlink(dated(path, 0), path).unwrap();
        }
        Self {
            path: path.to_owned(),
            mode,
            file: append_to(path),
            written: 0,
            rotations: 0,
        }
    }

    fn write(&mut self, lines: u64) {
        let mut text = String::new();
        for _ in 0..lines {
            self.written += 1;
            text.push_str(&format!(
                "192.0.2.7 - user [20/Nov/2026:10:00:00 +0000] \"GET /line/{} HTTP/1.1\" 200 5 \"-\" \"test\"\n",
                self.written
            ));
        }
        self.file.write_all(text.as_bytes()).unwrap();
    }

    fn rotate(&mut self) {
        self.rotations += 1;
        let aside = dated(&self.path, self.rotations);
        match self.mode {
            Mode::Rename | Mode::Pack => {
                fs::rename(&self.path, &aside).unwrap();
                // It is told to open the new file a little later.
                self.write(LINES);
                self.file = append_to(&self.path);
                if self.mode == Mode::Pack {
                    pack(&aside);
                }
            }
            Mode::CopyAndTruncate => {
                fs::copy(&self.path, &aside).unwrap();
                self.file.set_len(0).unwrap();
            }
            Mode::Link => {
                self.file = append_to(&aside);
                let link = self.path.with_extension("new");
                std::os::unix::fs::symlink(&aside, &link).unwrap();
                fs::rename(&link, &self.path).unwrap();
            }
            Mode::Delete => {
                fs::remove_file(&self.path).unwrap();
                self.file = append_to(&self.path);
            }
        }
    }
}

fn dated(path: &Path, rotation: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("-{}", 20_260_000 + rotation));
    name.into()
}

/// As `gzip` does: the packed file keeps the time of the last change.
fn pack(path: &Path) {
    let mut name = path.as_os_str().to_owned();
    name.push(".gz");
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    let mut packer = GzEncoder::new(File::create(&name).unwrap(), Compression::fast());
    std::io::copy(&mut File::open(path).unwrap(), &mut packer).unwrap();
    packer.finish().unwrap().set_modified(modified).unwrap();
    fs::remove_file(path).unwrap();
}

fn start(directory: &Path) -> Sidecar {
    let log = directory.join("access.log");
    Sidecar::in_directory(directory)
        .source(
            "log",
            &format!(
                "type = \"file\"\npaths = [{log:?}]\nformat = \"combined\"\npoll_interval_ms = 5\nrotate_wait_ms = 500"
            ),
        )
        .json_file("all")
        .start()
}

/// The identifiers every line arrived under.
fn arrived(directory: &Path) -> HashMap<u64, Vec<String>> {
    let mut found: HashMap<u64, Vec<String>> = HashMap::new();
    for line in fs::read_to_string(directory.join("all.json"))
        .unwrap_or_default()
        .lines()
    {
        // A kill may have left a torn line.
        let Ok(record) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let path = record["url"]["path"].as_str().unwrap_or_default();
        if let Some(number) = path
            .strip_prefix("/line/")
            .and_then(|text| text.parse().ok())
        {
            let id = record["event"]["id"].as_str().unwrap().to_owned();
            found.entry(number).or_default().push(id);
        }
    }
    found
}

fn rotations() -> u64 {
    std::env::var("SIDEWATCH_ROTATIONS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12)
}

/// Writes and rotates in real time until the file was rotated so often.
fn rotate_under_load(writer: &mut Writer, rotations: u64, sidecar: &Sidecar) {
    for _ in 0..rotations {
        let begun = Instant::now();
        for part in 0..BETWEEN / LINES {
            writer.write(LINES);
            let due = PAUSE * u32::try_from(part + 1).unwrap();
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        if writer.mode == Mode::Delete {
            // What was deleted before anybody opened it is gone for good.
            let written = writer.written;
            sidecar.until("the file to be opened", |metrics| {
                metrics.source("log", "received") + BETWEEN > written
            });
        }
        writer.rotate();
    }
}

fn rotate_all(mode: Mode) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let mut writer = Writer::new(&directory.join("access.log"), mode);
    let mut killed = false;
    while writer.rotations < rotations() {
        let sidecar = start(directory);
        rotate_under_load(&mut writer, ROUND, &sidecar);
        if mode == Mode::Delete {
            let written = writer.written;
            sidecar.until("everything to be read", |metrics| {
                metrics.source("log", "received") == written
            });
            writer.written = 0;
            check(sidecar, directory, written, mode);
            fs::remove_file(directory.join("all.json")).unwrap();
            continue;
        }
        killed = !killed;
        if killed {
            sidecar.signal(Signal::SIGKILL);
            drop(sidecar);
        } else {
            assert!(sidecar.stop().success());
        }
        // And as often while it does not run.
        for _ in 0..ROUND {
            writer.write(BETWEEN);
            writer.rotate();
        }
        writer.write(LINES);
    }
    if mode != Mode::Delete {
        check(start(directory), directory, writer.written, mode);
    }
}

/// The last few thousand records.
fn tail(path: &Path) -> String {
    let Ok(mut file) = File::open(path) else {
        return String::new();
    };
    let length = file.metadata().unwrap().len();
    file.seek(SeekFrom::Start(length.saturating_sub(4 << 20)))
        .unwrap();
    let mut text = Vec::new();
    file.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// Waits for the last line and looks whether all others are there.
fn check(sidecar: Sidecar, directory: &Path, written: u64, mode: Mode) {
    until("the last line", || {
        let last = format!("/line/{written}\"");
        tail(&directory.join("all.json"))
            .contains(&last)
            .then_some(())
    });
    // Older files may come after newer ones.
    std::thread::sleep(Duration::from_millis(500));
    let lost_bytes = sidecar.settled().source("log", "lost_bytes");
    let log = sidecar.log();
    assert!(sidecar.stop().success());
    let found = arrived(directory);
    let lost: Vec<u64> = (1..=written)
        .filter(|line| !found.contains_key(line))
        .collect();
    let doubled: Vec<u64> = found
        .iter()
        .filter(|(_, ids)| ids.iter().any(|id| *id != ids[0]))
        .map(|(line, _)| *line)
        .collect();
    eprintln!(
        "{written} lines, {} lost ({lost_bytes} bytes reported), {} doubled",
        lost.len(),
        doubled.len()
    );
    assert_eq!(doubled, [0; 0], "{log}");
    if mode == Mode::CopyAndTruncate && (lost_bytes > 0 || log.contains("no copy of it was found"))
    {
        assert!(lost.len() < usize::try_from(BETWEEN).unwrap(), "{lost:?}");
    } else {
        assert_eq!(lost, [0; 0], "{log}");
    }
}

#[test]
fn renaming_and_creating_loses_and_doubles_nothing() {
    rotate_all(Mode::Rename);
}

#[test]
fn renaming_and_packing_loses_and_doubles_nothing() {
    rotate_all(Mode::Pack);
}

#[test]
fn copying_and_truncating_loses_little_and_says_so() {
    rotate_all(Mode::CopyAndTruncate);
}

#[test]
fn swapping_a_link_loses_and_doubles_nothing() {
    rotate_all(Mode::Link);
}

#[test]
fn a_deleted_file_that_was_open_is_read_to_its_end() {
    rotate_all(Mode::Delete);
}
