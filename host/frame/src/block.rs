//! The byte block of a frame, where its texts and states lie.

use sidewatch_event::{Event, FieldName};

/// Start of a span that names no text.
pub const ABSENT: u32 = u32::MAX;

/// Events one frame holds at most. Gains end here (`benches/rule_path.rs`).
pub const FRAME_EVENTS: usize = 64;

/// Appends bytes to a block and returns where they lie.
#[inline]
pub fn append(block: &mut Vec<u8>, bytes: &[u8]) -> (u32, u32) {
    match (u32::try_from(block.len()), u32::try_from(bytes.len())) {
        (Ok(start), Ok(length)) if start != ABSENT => {
            block.extend_from_slice(bytes);
            (start, length)
        }
        _ => (ABSENT, 0),
    }
}

/// Appends the texts a rule reads of an event and tells where each lies.
#[inline]
pub fn append_texts(
    block: &mut Vec<u8>,
    reads: &[FieldName],
    event: &Event,
    mut tell: impl FnMut(u32, u32),
) {
    for name in reads {
        let (start, length) = match event.get_named(name) {
            Some(text) => append(block, text.as_bytes()),
            None => (ABSENT, 0),
        };
        tell(start, length);
    }
}

/// The bytes a guest's span names, if they lie within its block.
#[must_use]
pub fn slice(block: &[u8], start: u32, length: u32) -> Option<&[u8]> {
    let start = usize::try_from(start).ok()?;
    block.get(start..start.checked_add(usize::try_from(length).ok()?)?)
}

/// Parses the names of the fields a rule reads or writes.
///
/// # Errors
/// Too many, or one that does not exist, with the nearest that does.
pub fn field_names(names: &[String], purpose: &str) -> Result<Vec<FieldName>, String> {
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
