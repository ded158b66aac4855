//! Talking to a person: the only place that writes to the standard streams
//! directly.

use std::io::{self, IsTerminal as _, Write};

use crate::config::TextError;

/// Writes a line to standard error; a closed stream is nobody's fault.
pub(crate) fn note(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Writes text to standard output.
///
/// # Errors
/// The stream is closed or full.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Says what went wrong, with every cause that adds something.
pub(crate) fn complain(error: &anyhow::Error) {
    let mut text = format!("sidewatch: {error}");
    let mut excerpt = None;
    for cause in error.chain() {
        let placed = cause.downcast_ref::<TextError>();
        excerpt = excerpt.or(placed.map(TextError::excerpt));
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    // A log keeps what the line may hold, a terminal does not.
    if let Some(line) = excerpt.filter(|_| io::stderr().is_terminal()) {
        text.push_str(&format!("\n  | {}", visible(line)));
    }
    note(&text);
}

/// Makes text from outside safe to show: control characters and what reorders
/// text become visible.
#[must_use]
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                '\u{fffd}'
            }
            character if character.is_control() => '\u{fffd}',
            character => character,
        })
        .collect()
}

/// The same for a text of several lines.
#[must_use]
pub(crate) fn visible_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(visible).collect();
    lines.join("\n")
}
