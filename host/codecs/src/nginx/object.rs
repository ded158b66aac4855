//! Access logs whose lines are JSON objects.
//!
//! Keys are found wherever they stand, so a line that a shipper has reordered
//! or extended is still read. What a key means comes from the variable in the
//! user's format, or, without a format, from its name.

use std::ops::ControlFlow;

use super::LogFormatError;
use super::line::Line;
use super::template::{Slot, Template};
use super::variable::{Meaning, meaning_of_key};
use crate::DecodeError;
use crate::scan::{Leaf, Scanner};
use crate::text::Escape;

/// A key and the format of its value.
#[derive(Debug, Clone)]
struct Entry {
    path: Box<str>,
    template: Template,
}

/// A compiled JSON format.
#[derive(Debug, Clone, Default)]
pub(super) struct ObjectFormat {
    entries: Vec<Entry>,
    /// Keys without an entry are read by their names.
    open: bool,
}

impl ObjectFormat {
    /// The format that reads every key by its name.
    pub(super) fn open() -> Self {
        Self {
            entries: Vec::new(),
            open: true,
        }
    }

    /// Compiles a format whose text is a JSON object; `None` when it is none.
    pub(super) fn compile(format: &str) -> Result<Option<Self>, LogFormatError> {
        let trimmed = format.trim();
        if !trimmed.starts_with('{') || trimmed.starts_with("{$") {
            return Ok(None);
        }
        let mut object = Self::default();
        let mut error = None;
        let result =
            Scanner::new(trimmed, true).scan(&mut |path, leaf| match object.add(path, leaf) {
                Ok(()) => ControlFlow::Continue(()),
                Err(found) => {
                    error = Some(found);
                    ControlFlow::Break(())
                }
            });
        match (error, result) {
            (Some(error), _) => Err(error),
            (None, Ok(())) => Ok(Some(object)),
            (None, Err(_)) => Ok(None),
        }
    }

    fn add(&mut self, path: &str, leaf: Leaf<'_>) -> Result<(), LogFormatError> {
        let mut template = Template::compile(leaf.raw(), Escape::Json)?;
        // Without quotes around it, nothing bounds what a client sends.
        template.forgeable |= matches!(leaf, Leaf::Bare(_)) && template.has_free_slot();
        if !template.slots.is_empty() {
            self.entries.push(Entry {
                path: path.into(),
                template,
            });
        }
        Ok(())
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.entries
            .iter()
            .flat_map(|entry| entry.template.slots.iter())
    }

    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.entries
            .iter_mut()
            .flat_map(|entry| entry.template.slots.iter_mut())
    }

    pub(super) fn forgeable(&self) -> bool {
        self.entries.iter().any(|entry| entry.template.forgeable)
    }

    /// Hands every known value of an object to `line`. Of repeated keys the
    /// n-th goes to the n-th variable of that key, the last one winning.
    pub(super) fn read(&self, text: &str, line: &mut Line<'_>) -> Result<(), DecodeError> {
        let mut next = 0;
        let mut wrong = None;
        let result = Scanner::new(text, false).scan(&mut |path, leaf| {
            let taken = match self.entry(path, &mut next) {
                Some(entry) => take_entry(entry, leaf, line),
                None if self.open => take_open(path, leaf, line),
                None => Ok(()),
            };
            // Columns count from the start of the value so far.
            let before = (leaf.raw().as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            match taken.map_err(|error| error.moved(before)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    wrong = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(error) = wrong {
            return Err(error);
        }
        result.map_err(|at| DecodeError::Json {
            column: at.column,
            expected: at.expected,
        })
    }

    /// Looks for a key from where the last one was found: in a line that nginx
    /// wrote, that is the very next entry.
    fn entry(&self, path: &str, next: &mut usize) -> Option<&Entry> {
        let (before, after) = self.entries.split_at_checked(*next)?;
        let found = after
            .iter()
            .chain(before)
            .position(|entry| *entry.path == *path)?;
        let at = (*next + found) % self.entries.len();
        *next = (at + 1) % self.entries.len();
        self.entries.get(at)
    }
}

fn is_absent(leaf: Leaf<'_>) -> bool {
    matches!(leaf, Leaf::Bare("null" | ""))
}

fn take_entry(entry: &Entry, leaf: Leaf<'_>, line: &mut Line<'_>) -> Result<(), DecodeError> {
    if is_absent(leaf) {
        return Ok(());
    }
    entry.template.read(leaf.raw(), &mut |slot, value, column| {
        line.take(&slot.meaning, &slot.name, value, column)
    })
}

fn take_open(path: &str, leaf: Leaf<'_>, line: &mut Line<'_>) -> Result<(), DecodeError> {
    if is_absent(leaf) {
        return Ok(());
    }
    let name = path.trim_start_matches('/');
    let meaning = meaning_of_key(path);
    if matches!(meaning, Meaning::Label(_)) && name.len() > 64 {
        return Ok(());
    }
    line.take(&meaning, name, leaf.raw(), 1)
}
