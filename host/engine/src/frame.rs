//! Building the byte block and spans of a frame.
//!
//! Buffers are kept between frames: in the steady state a frame allocates
//! nothing on the host's side.

use sidewatch_event::{Event, FieldName};

use crate::rows::{Row, Span};

/// Start of a span that names no text.
pub(crate) const ABSENT: u32 = u32::MAX;

/// Events one frame holds at most. Gains end here (`benches/rule_path.rs`).
pub(crate) const FRAME_EVENTS: usize = 64;

/// Appends bytes to a block and returns where they lie.
pub(crate) fn append(block: &mut Vec<u8>, bytes: &[u8]) -> (u32, u32) {
    match (u32::try_from(block.len()), u32::try_from(bytes.len())) {
        (Ok(start), Ok(length)) if start != ABSENT => {
            block.extend_from_slice(bytes);
            (start, length)
        }
        _ => (ABSENT, 0),
    }
}

/// Appends the texts a rule reads of an event, and where each lies.
pub(crate) fn append_texts(
    block: &mut Vec<u8>,
    spans: &mut Vec<Row<Span>>,
    reads: &[FieldName],
    event: &Event,
) {
    for name in reads {
        let (start, length) = match event.get_named(name) {
            Some(text) => append(block, text.as_bytes()),
            None => (ABSENT, 0),
        };
        spans.push(Row(Span { start, length }));
    }
}

/// The bytes a guest's span names, if they lie within its block.
pub(crate) fn slice(block: &[u8], start: u32, length: u32) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    block.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// Parses the names of the fields a rule reads or writes.
pub(crate) fn field_names(names: &[String], purpose: &str) -> Result<Vec<FieldName>, String> {
    /// More than any rule needs; bounds the work per event.
    const MOST: usize = 64;
    if names.len() > MOST {
        return Err(format!(
            "it {purpose} {} fields, more than {MOST}",
            names.len()
        ));
    }
    names
        .iter()
        .map(|name| {
            FieldName::parse(name).map_err(|unknown| {
                let nearest = sidewatch_event::Field::ALL
                    .into_iter()
                    .map(|(_, known)| (strsim::damerau_levenshtein(known, name), known))
                    .min()
                    .map_or("", |(_, known)| known);
                format!(
                    "it {purpose} a field that does not exist: {unknown} (nearest: `{nearest}`)"
                )
            })
        })
        .collect()
}
