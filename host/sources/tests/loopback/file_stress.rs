//! Every kind of rotation while the source runs and while it does not, with
//! nothing known afterwards but what events carried.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use sidewatch_event::{Event, Field, Origin};
use sidewatch_sources::file::MemoryPositions;

use crate::file::{directory, following};
use crate::support::{Keep, codecs, start_with};

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mode {
    Rename,
    Numbered,
    Pack,
    CopyAndTruncate,
    Link,
}

struct Writer {
    path: PathBuf,
    mode: Mode,
    file: File,
    written: usize,
    rotations: u64,
    /// All files begin alike.
    banner: bool,
}

fn append_to(path: &Path) -> File {
    File::options()
        .append(true)
        .create(true)
        .open(path)
        .unwrap()
}

fn aside(path: &Path, suffix: impl std::fmt::Display) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!("{suffix}"));
    name.into()
}

impl Writer {
    fn new(path: &Path, mode: Mode, banner: bool) -> Self {
        if mode == Mode::Link {
            std::os::unix::fs::symlink(aside(path, "-20260000"), path).unwrap();
        }
        Self {
            path: path.to_owned(),
            mode,
            file: append_to(path),
            written: 0,
            rotations: 0,
            banner,
        }
    }

    fn write(&mut self, lines: usize) {
        let range = self.written..self.written + lines;
        self.written = range.end;
        let mut text = String::new();
        if self.banner && self.file.metadata().unwrap().len() == 0 {
            text.push_str(
                "# a banner
",
            );
        }
        for number in range {
            text.push_str(&format!(
                "line {number} of a log
"
            ));
        }
        std::io::Write::write_all(&mut self.file, text.as_bytes()).unwrap();
    }

    fn rotate(&mut self) {
        self.rotations += 1;
        let dated = aside(&self.path, format!("-{}", 20_260_000 + self.rotations));
        match self.mode {
            Mode::Rename | Mode::Pack => {
                fs::rename(&self.path, &dated).unwrap();
                self.write(5);
                self.file = append_to(&self.path);
                if self.mode == Mode::Pack {
                    let modified = fs::metadata(&dated).unwrap().modified().unwrap();
                    let packed = File::create(aside(&dated, ".gz")).unwrap();
                    let mut packer = GzEncoder::new(packed, Compression::fast());
                    std::io::copy(&mut File::open(&dated).unwrap(), &mut packer).unwrap();
                    packer.finish().unwrap().set_modified(modified).unwrap();
                    fs::remove_file(&dated).unwrap();
                }
            }
            Mode::Numbered => {
                for number in (1..200).rev() {
                    let from = aside(&self.path, format!(".{number}"));
                    if from.exists() {
                        fs::rename(from, aside(&self.path, format!(".{}", number + 1))).unwrap();
                    }
                }
                fs::rename(&self.path, aside(&self.path, ".1")).unwrap();
                self.write(5);
                self.file = append_to(&self.path);
            }
            Mode::CopyAndTruncate => {
                fs::copy(&self.path, &dated).unwrap();
                self.file.set_len(0).unwrap();
            }
            Mode::Link => {
                self.file = append_to(&dated);
                let link = self.path.with_extension("new");
                std::os::unix::fs::symlink(&dated, &link).unwrap();
                fs::rename(&link, &self.path).unwrap();
            }
        }
    }
}

fn rotate_all(mode: Mode, banner: bool) {
    let rounds = 6;
    let (_directory, path) = directory();
    let mut writer = Writer::new(&path, mode, banner);
    let mut found: HashMap<usize, u128> = HashMap::new();
    let mut positions: HashMap<u128, Origin> = HashMap::new();
    let mut lost_bytes = 0;
    let mut take = |events: &[Box<Event>], positions: &mut HashMap<u128, Origin>| {
        for event in events {
            positions.insert(event.origin.unwrap().file, event.origin.unwrap());
            let text = event.get(Field::Message).unwrap();
            if text.starts_with('#') {
                continue;
            }
            let number = text.split(' ').nth(1).unwrap().parse().unwrap();
            assert_eq!(
                found.insert(number, event.id),
                None,
                "{mode:?}: {text} came twice"
            );
        }
        found.len()
    };
    let mut count = 0;
    for round in 0..=rounds {
        let mut known = codecs(Keep);
        known.positions = Arc::new(MemoryPositions::of(positions.values().copied()));
        let mut source = start_with(&following(&path), &known, 10_000);
        if round < rounds {
            for _ in 0..4 {
                for _ in 0..10 {
                    writer.write(10);
                    std::thread::sleep(Duration::from_millis(1));
                }
                writer.rotate();
            }
        }
        if round % 2 == 0 || round == rounds {
            while count < writer.written {
                let events = source.try_events(Duration::from_millis(2000));
                if events.is_empty() && mode == Mode::CopyAndTruncate {
                    break;
                }
                assert!(
                    !events.is_empty(),
                    "{mode:?}: {count} of {}",
                    writer.written
                );
                count = take(&events, &mut positions);
            }
        }
        let (rest, counts) = source.stop();
        count = take(&rest, &mut positions);
        lost_bytes += counts.lost_bytes;
        if round < rounds {
            for _ in 0..3 {
                writer.write(50);
                writer.rotate();
            }
            writer.write(7);
        }
    }
    eprintln!(
        "{mode:?}: {count} of {}, {lost_bytes} bytes lost",
        writer.written
    );
    if lost_bytes == 0 && mode != Mode::CopyAndTruncate {
        assert_eq!(count, writer.written);
    }
}

#[test]
fn renamed() {
    rotate_all(Mode::Rename, false);
}

#[test]
fn renamed_by_number() {
    rotate_all(Mode::Numbered, false);
}

#[test]
fn packed() {
    rotate_all(Mode::Pack, false);
}

#[test]
fn copied_and_cut() {
    rotate_all(Mode::CopyAndTruncate, false);
}

#[test]
fn linked_anew() {
    rotate_all(Mode::Link, false);
}

#[test]
fn renamed_when_all_files_begin_alike() {
    rotate_all(Mode::Rename, true);
    rotate_all(Mode::Numbered, true);
    rotate_all(Mode::Link, true);
}
