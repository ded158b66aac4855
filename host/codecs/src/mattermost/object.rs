//! Records written as JSON objects, GELF's among them.
//!
//! Keys are looked up in the pack's table; what it does not know is kept only
//! when it is a single value with a harmless name. Keys given twice are both
//! seen, in their order.

use std::borrow::Cow;
use std::ops::ControlFlow;

use super::record::{Form, Piece, Record};
use super::table::{AuditTable, Place};
use crate::DecodeError;
use crate::redact::{self, REDACTED, is_secret_name};
use crate::scan::{Leaf, Scanner};

/// Longest name of a value that is kept without being known.
const LONGEST_NAME: usize = 48;

/// Keys of the envelope that say nothing.
const ENVELOPE: [&str; 7] = [
    "msg",
    "caller",
    "version",
    "host",
    "short_message",
    "full_message",
    "_caller",
];

/// Takes one object apart.
pub(super) fn read<'a>(text: &'a str, table: &'a AuditTable) -> Result<Record<'a>, DecodeError> {
    let mut record = Record::new(Form::Json);
    Scanner::new(text, false)
        .scan(&mut |path, leaf| {
            take(&mut record, table, path, leaf);
            ControlFlow::Continue(())
        })
        .map_err(|at| DecodeError::Json {
            column: at.column,
            expected: at.expected,
        })?;
    if record.named {
        Ok(record)
    } else {
        Err(DecodeError::Missing {
            field: "event_name",
        })
    }
}

/// GELF puts an underscore before every key of its own.
fn key(path: &str) -> (&str, bool) {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.strip_prefix('_')
        .map_or((path, false), |path| (path, true))
}

fn take<'a>(record: &mut Record<'a>, table: &'a AuditTable, path: &str, leaf: Leaf<'a>) {
    let piece = match leaf {
        Leaf::Text(raw) => Piece { raw, escaped: true },
        Leaf::Bare(raw) => Piece::plain(raw),
    };
    let (path, gelf) = key(path);
    if gelf {
        record.form = Form::Gelf;
    }
    record.nested |=
        path == "event_name" || path.starts_with("actor/") || path.starts_with("event/");
    match table.place(path) {
        Some(Place::Slot(slot)) => record.put(*slot, piece),
        Some(Place::Label(label)) => record.extra(Cow::Borrowed(label), piece),
        None => other(record, table, path, piece),
    }
}

/// A value the table does not know.
fn other<'a>(record: &mut Record<'a>, table: &AuditTable, path: &str, piece: Piece<'a>) {
    let mut segments = path.split('/');
    let mut next = || segments.next();
    let (kind, name) = match (next(), next(), next(), next(), next(), next()) {
        (Some("user_ids"), None, ..)
        | (Some("user_ids"), Some(_), None, ..)
        | (Some("event"), Some("parameters"), Some("user_ids" | "users"), Some(_), None, _) => {
            return Record::list(&mut record.targets, piece, &mut record.truncated);
        }
        // From the command line of v5.
        (Some("setting"), None, ..) => {
            return Record::list(&mut record.changes, piece, &mut record.truncated);
        }
        (Some("errors"), Some(_), None, ..) => {
            return Record::list(&mut record.errors, piece, &mut record.truncated);
        }
        (
            Some("event"),
            Some("prior_state" | "resulting_state"),
            Some("config_diffs"),
            Some(_),
            Some("path"),
            None,
        ) => {
            return Record::list(&mut record.changes, piece, &mut record.truncated);
        }
        (Some(name), None, ..) if ENVELOPE.contains(&name) => return,
        (Some(name), None, ..) => ("parameters", name),
        (Some("patch" | "patched"), Some(name), None, ..)
        | (Some("event"), Some("parameters"), Some("patch"), Some(name), None, _) => {
            ("patch", name)
        }
        (Some("event"), Some("parameters"), Some(name), None, ..) => ("parameters", name),
        (Some("meta"), Some(name), None, ..) => ("meta", name),
        _ => return,
    };
    if is_kept(table, name) {
        record.extra(Cow::Owned(format!("mattermost.audit.{kind}.{name}")), piece);
    }
}

/// Whether a value of that name may be kept, and the name can be a field's.
fn is_kept(table: &AuditTable, name: &str) -> bool {
    !name.is_empty()
        && name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !table.is_private(name)
        && !is_secret_name(name)
}

/// Appends the record as it came, without the values of secrets and what
/// people wrote.
pub(super) fn original(text: &str, table: &AuditTable, out: &mut String) {
    let mut copied = 0;
    let mut clean = String::new();
    let base = text.as_ptr() as usize;
    // What cannot be read was refused before.
    let _ended = Scanner::new(text, false).scan(&mut |path, leaf| {
        let Leaf::Text(raw) = leaf else {
            return ControlFlow::Continue(());
        };
        clean.clear();
        let (path, _) = key(path);
        let hidden = |name: &str| is_secret_name(name) || table.is_private(name);
        if table.place(path).is_none() && path.split('/').any(hidden) {
            clean.push_str(REDACTED);
        } else {
            redact::url(raw, &mut clean);
        }
        let start = (raw.as_ptr() as usize).wrapping_sub(base);
        if clean != raw && start >= copied {
            out.push_str(text.get(copied..start).unwrap_or_default());
            out.push_str(&clean);
            copied = start + raw.len();
        }
        ControlFlow::Continue(())
    });
    out.push_str(text.get(copied..).unwrap_or_default());
}
