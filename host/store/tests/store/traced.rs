//! What a program did to the files of a directory, as `strace` saw it, and
//! what is left of it when the power fails.
//!
//! A write counts as forced to the disk when it had ended before a sync of its
//! file began that has ended too; the same holds for names and the sync of
//! their directory.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What becomes of that which was not forced to the disk.
#[derive(Debug, Clone, Copy)]
pub(super) enum Rest {
    /// It is gone.
    Nothing,
    /// Any piece of 512 bytes may be there or not, chosen by this seed.
    Pieces(u64),
}

#[derive(Debug, Clone)]
enum Call {
    /// Makes the file where there is none; cuts it to nothing when told to.
    Open {
        name: String,
        cut: bool,
    },
    Write {
        name: String,
        offset: usize,
        data: Vec<u8>,
    },
    Length {
        name: String,
        length: usize,
    },
    Allocate {
        name: String,
        length: usize,
    },
    Remove {
        name: String,
    },
    Sync {
        name: String,
    },
    SyncDirectory,
    Mark(String),
}

/// A call with the lines it began and ended in.
#[derive(Debug)]
struct Seen {
    begun: usize,
    ended: usize,
    call: Call,
}

#[derive(Debug)]
pub(super) struct Trace {
    calls: Vec<Seen>,
    lines: usize,
}

/// Files by name.
#[derive(Debug)]
pub(super) struct Disk(HashMap<String, Vec<u8>>);

impl Disk {
    pub(super) fn write_to(&self, place: &Path) {
        for (name, content) in &self.0 {
            std::fs::write(place.join(name), content).unwrap();
        }
    }
}

/// `\x41\x42` as bytes; other characters stand for themselves.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        if *first == b'\\' && more.first() == Some(&b'x') {
            let digits = std::str::from_utf8(&more[1..3]).unwrap();
            out.push(u8::from_str_radix(digits, 16).unwrap());
            rest = &more[3..];
        } else {
            out.push(*first);
            rest = more;
        }
    }
    out
}

fn text(escaped: &str) -> String {
    String::from_utf8_lossy(&bytes(escaped)).into_owned()
}

/// The path in `12</a/path>`.
fn path_of(descriptor: &str) -> Option<PathBuf> {
    let (_, rest) = descriptor.split_once('<')?;
    Some(PathBuf::from(text(rest.split_once('>')?.0)))
}

/// What stands between the quotation marks.
fn quoted(argument: &str) -> Option<&str> {
    argument.split('"').nth(1)
}

struct Places<'a> {
    store: &'a Path,
    marks: &'a Path,
}

impl Places<'_> {
    fn name(&self, path: &Path) -> Option<String> {
        let name = path.strip_prefix(self.store).ok()?.to_str()?;
        // Nothing is ever read from the reserve.
        Some(name.to_owned()).filter(|name| !name.is_empty() && name != "reserve")
    }

    fn call(&self, name: &str, arguments: &str) -> Option<Call> {
        let list: Vec<&str> = arguments.split(", ").collect();
        let number = |at: usize| list.get(at)?.trim_end_matches(')').parse().ok();
        let path = || path_of(list.first()?);
        let file = || self.name(&path()?);
        Some(match name {
            "openat" => {
                let flags = list.get(2)?;
                let path = PathBuf::from(text(quoted(list.get(1)?)?));
                if !flags.contains("O_CREAT") {
                    return None;
                }
                let cut = flags.contains("O_TRUNC");
                Call::Open {
                    name: self.name(&path)?,
                    cut,
                }
            }
            "write" if path()? == self.marks => Call::Mark(text(quoted(list.get(1)?)?)),
            "write" => {
                let data = bytes(quoted(list.get(1)?)?);
                Call::Write {
                    name: file()?,
                    offset: 0,
                    data,
                }
            }
            "pwrite64" => {
                let data = bytes(quoted(list.get(1)?)?);
                Call::Write {
                    name: file()?,
                    offset: number(3)?,
                    data,
                }
            }
            "ftruncate" => Call::Length {
                name: file()?,
                length: number(1)?,
            },
            "fallocate" => Call::Allocate {
                name: file()?,
                length: number(3)?,
            },
            "unlink" => {
                let path = PathBuf::from(text(quoted(list.first()?)?));
                Call::Remove {
                    name: self.name(&path)?,
                }
            }
            "fsync" | "fdatasync" if path()? == self.store => Call::SyncDirectory,
            "fsync" | "fdatasync" => Call::Sync { name: file()? },
            "rename" => panic!("a rename in the store is not expected: {arguments}"),
            _ => return None,
        })
    }
}

impl Trace {
    pub(super) fn parse(log: &str, store: &Path, marks: &Path) -> Self {
        let places = Places { store, marks };
        let mut begun: HashMap<&str, (usize, String)> = HashMap::new();
        let mut calls = Vec::new();
        let mut lines = 0;
        for (at, line) in log.lines().enumerate() {
            lines = at + 1;
            let Some((process, rest)) = line.split_once(' ') else {
                continue;
            };
            let rest = rest.trim_start();
            if let Some(first) = rest.strip_suffix(" <unfinished ...>") {
                begun.insert(process, (at, first.to_owned()));
                continue;
            }
            let (start, whole) = if rest.starts_with("<... ") {
                let Some((start, first)) = begun.remove(process) else {
                    continue;
                };
                let (_, end) = rest.split_once(" resumed>").unwrap();
                (start, first + end)
            } else {
                (at, rest.to_owned())
            };
            let Some((call, result)) = whole.rsplit_once(" = ") else {
                continue;
            };
            let Some((name, arguments)) = call.split_once('(') else {
                continue;
            };
            if result.starts_with('-') {
                continue;
            }
            let arguments = arguments.trim_end().trim_end_matches(')');
            if let Some(call) = places.call(name, arguments) {
                calls.push(Seen {
                    begun: start,
                    ended: at,
                    call,
                });
            }
        }
        Self { calls, lines }
    }

    pub(super) fn len(&self) -> usize {
        self.lines
    }

    /// The disk when the power fails after so many lines, and the marks made
    /// until then.
    pub(super) fn cut(&self, lines: usize, rest: Rest) -> (Disk, Vec<String>) {
        let mut model = Model::default();
        let mut marks = Vec::new();
        let mut calls: Vec<&Seen> = self.calls.iter().collect();
        calls.sort_by_key(|seen| seen.ended);
        for seen in calls {
            match &seen.call {
                Call::Mark(mark) if seen.ended < lines => {
                    marks.extend(mark.lines().map(str::to_owned));
                }
                Call::Mark(_) => {}
                call if seen.ended < lines => model.apply(seen.begun, seen.ended, call),
                // Begun and not ended: may have had a part of its effect.
                call if seen.begun < lines
                    && !matches!(call, Call::Sync { .. } | Call::SyncDirectory) =>
                {
                    model.apply(seen.begun, usize::MAX, call);
                }
                _ => {}
            }
        }
        (model.lose(rest), marks)
    }
}

#[derive(Debug, Default)]
struct Content {
    safe: Vec<u8>,
    /// Changes not forced to the disk, with when they had ended.
    open: Vec<(usize, Call)>,
}

#[derive(Debug, Default)]
struct Model {
    files: Vec<Content>,
    safe_names: HashMap<String, usize>,
    names: HashMap<String, usize>,
    /// Changes of names not forced to the disk, with when they had ended.
    open_names: Vec<(usize, String, Option<usize>)>,
}

fn change(content: &mut Vec<u8>, call: &Call) {
    match call {
        Call::Open { cut: true, .. } => content.clear(),
        Call::Write { offset, data, .. } => {
            let end = offset + data.len();
            content.resize(content.len().max(end), 0);
            content[*offset..end].copy_from_slice(data);
        }
        Call::Length { length, .. } => content.resize(*length, 0),
        Call::Allocate { length, .. } => content.resize(content.len().max(*length), 0),
        _ => {}
    }
}

impl Model {
    fn apply(&mut self, begun: usize, ended: usize, call: &Call) {
        match call {
            Call::Open { name, cut } => {
                let new = self.files.len();
                let file = *self.names.entry(name.clone()).or_insert(new);
                if file == new {
                    self.files.push(Content::default());
                    self.open_names.push((ended, name.clone(), Some(file)));
                } else if *cut {
                    self.files[file].open.push((ended, call.clone()));
                }
            }
            Call::Write { name, .. } | Call::Length { name, .. } | Call::Allocate { name, .. } => {
                if let Some(file) = self.names.get(name) {
                    self.files[*file].open.push((ended, call.clone()));
                }
            }
            Call::Remove { name } => {
                self.names.remove(name);
                self.open_names.push((ended, name.clone(), None));
            }
            Call::Sync { name } => {
                let Some(file) = self.names.get(name) else {
                    return;
                };
                let content = &mut self.files[*file];
                let before = |one: &mut (usize, Call)| one.0 < begun;
                for (_, call) in content.open.extract_if(.., before) {
                    change(&mut content.safe, &call);
                }
            }
            Call::SyncDirectory => {
                let before = |one: &mut (usize, String, Option<usize>)| one.0 < begun;
                for (_, name, file) in self.open_names.extract_if(.., before) {
                    match file {
                        Some(file) => self.safe_names.insert(name, file),
                        None => self.safe_names.remove(&name),
                    };
                }
            }
            Call::Mark(_) => {}
        }
    }

    fn lose(mut self, rest: Rest) -> Disk {
        if let Rest::Pieces(seed) = rest {
            self.keep_pieces(seed);
        }
        let files = self.safe_names.iter();
        Disk(
            files
                .map(|(name, file)| (name.clone(), self.files[*file].safe.clone()))
                .collect(),
        )
    }

    fn keep_pieces(&mut self, seed: u64) {
        let mut random = seed;
        let mut yes = || {
            random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (mixed ^ (mixed >> 27)) & 1 == 1
        };
        // File systems keep the order of names.
        for (_, name, file) in std::mem::take(&mut self.open_names) {
            if yes() {
                break;
            }
            match file {
                Some(file) => self.safe_names.insert(name, file),
                None => self.safe_names.remove(&name),
            };
        }
        for content in &mut self.files {
            for (_, call) in std::mem::take(&mut content.open) {
                let Call::Write { name, offset, data } = call else {
                    if yes() {
                        change(&mut content.safe, &call);
                    }
                    continue;
                };
                for (at, piece) in pieces(offset, &data) {
                    if yes() {
                        let (name, data) = (name.clone(), piece.to_vec());
                        change(
                            &mut content.safe,
                            &Call::Write {
                                name,
                                offset: at,
                                data,
                            },
                        );
                    }
                }
            }
        }
    }
}

/// A write by the pieces of the disk it touches.
fn pieces(offset: usize, data: &[u8]) -> Vec<(usize, &[u8])> {
    const PIECE: usize = 512;
    let mut pieces = Vec::new();
    let (mut at, mut rest) = (offset, data);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at((PIECE - at % PIECE).min(rest.len()));
        pieces.push((at, piece));
        at += piece.len();
        rest = more;
    }
    pieces
}
