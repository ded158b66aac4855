//! Configuration errors that say where, what and what would be right.

use std::ops::Range;
use std::path::PathBuf;

use sidewatch_codecs::redact::{REDACTED, is_secret_name};

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The text is wrong at a place.
    #[error("{0}")]
    At(#[from] TextError),
    /// An entry is wrong in a way only seen when it is used.
    #[error("{name}: {entry}: {message}")]
    Entry {
        /// File or other name of the text.
        name: String,
        /// Such as `source \`mirror\``.
        entry: String,
        /// What is wrong and what to do.
        message: String,
    },
}

/// A text that is wrong at a place. Told on one line, for logs and lists; a
/// person at a terminal is shown the line itself besides.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{name}:{line}:{column}: {message}{hint}")]
pub struct TextError {
    /// File or other name of the text.
    name: String,
    /// Counted from 1.
    line: usize,
    /// Counted from 1, in characters.
    column: usize,
    /// What is wrong.
    message: String,
    /// What would be right; may be empty.
    hint: String,
    /// The line of the text. It may hold a secret: never for a log.
    excerpt: String,
}

impl TextError {
    /// The line that is wrong, for whoever may read the file.
    #[must_use]
    pub fn excerpt(&self) -> &str {
        &self.excerpt
    }

    /// Places what the TOML reader complains about.
    pub(crate) fn from_toml(name: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = one_line(error.message());
        let unknown = quoted_after(&message, "unknown field `")
            .or_else(|| quoted_after(&message, "unknown variant `"));
        let mut start = error
            .span()
            .unwrap_or(Range { start: 0, end: 0 })
            .start
            .min(text.len());
        if let Some(key) = &unknown
            && let Some(found) = find_key(text, start, key)
        {
            start = found;
        }
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1;
        let excerpt: String = text
            .lines()
            .nth(line - 1)
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect();
        let hint = unknown
            .as_deref()
            .and_then(|key| nearest(&message, key))
            .map_or_else(String::new, |nearest| {
                format!("; did you mean `{nearest}`?")
            });
        let message = match key_before(&excerpt, column) {
            Some(key) => {
                let message = without_secret(key, message);
                if message.contains(&format!("`{key}`")) {
                    message
                } else {
                    format!("`{key}`: {message}")
                }
            }
            None => message,
        };
        Self {
            name: name.to_owned(),
            line,
            column,
            message,
            hint,
            excerpt,
        }
    }
}

/// The key whose value begins at a column of a line.
fn key_before(line: &str, column: usize) -> Option<&str> {
    let end = line.char_indices().nth(column.saturating_sub(1));
    let before = line.get(..end.map_or(line.len(), |(at, _)| at))?;
    let (key, _) = before.rsplit_once('=')?;
    let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
    let key = key.trim_end().rsplit(|one| !plain(one)).next()?;
    (!key.is_empty()).then_some(key)
}

/// A complaint that repeats the value of a key that sounds like a secret,
/// without it.
fn without_secret(key: &str, message: String) -> String {
    if !is_secret_name(key) {
        return message;
    }
    match (message.split_once('"'), message.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => format!("{before}{REDACTED}{after}"),
        _ => message,
    }
}

/// A text of several lines on one: their parts are joined, what else controls
/// a terminal is escaped.
pub(crate) fn one_line(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !told.is_empty() {
            told.push_str(if told.ends_with([':', ';', ',']) {
                " "
            } else {
                "; "
            });
        }
        for one in line.chars() {
            if one.is_control() {
                told.extend(one.escape_default());
            } else {
                told.push(one);
            }
        }
    }
    told
}

fn quoted_after(message: &str, prefix: &str) -> Option<String> {
    let (_, rest) = message.split_once(prefix)?;
    rest.split('`').next().map(str::to_owned)
}

/// Where a key stands at the beginning of a line at or after `start`, else
/// anywhere in the text: the reader points at the table, we want the key.
fn find_key(text: &str, start: usize, key: &str) -> Option<usize> {
    let at_line_start = |from: usize| {
        let mut offset = from;
        for line in text.get(from..)?.split_inclusive('\n') {
            let trimmed = line.trim_start();
            if let Some(rest) = trimmed.strip_prefix(key)
                && rest.trim_start().starts_with(['=', '.', ']'])
            {
                return Some(offset + (line.len() - trimmed.len()));
            }
            offset += line.len();
        }
        None
    };
    at_line_start(start)
        .or_else(|| at_line_start(0))
        .or_else(|| text.get(start..)?.find(key).map(|found| start + found))
}

/// Words that name the nearest of some names, when one is near.
pub(crate) fn did_you_mean<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> String {
    closest(names, wanted).map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

fn closest<'a>(names: impl Iterator<Item = &'a str>, wanted: &str) -> Option<&'a str> {
    names
        .map(|name| (strsim::damerau_levenshtein(name, wanted), name))
        .filter(|(distance, name)| *distance <= name.len().max(wanted.len()) / 2)
        .min()
        .map(|(_, name)| name)
}

/// The nearest of the names a serde message offers.
fn nearest(message: &str, key: &str) -> Option<String> {
    let (_, offered) = message.split_once("expected")?;
    let names = offered.split('`').skip(1).step_by(2);
    closest(names, key).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::one_line;
    use crate::config::ConfigFile;

    fn complaint(text: &str) -> String {
        ConfigFile::parse("sidewatch.toml", text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place_and_the_nearest_valid_one() {
        let text = "data_directory = \"/tmp/x\"\n\n[admin]\nlisten = \"127.0.0.1:1\"\n\n[[sources]]\nid = \"m\"\ntype = \"mirror\"\nlisten = \"127.0.0.1:8787\"\nmax_body_byte = 5\n";
        let complaint = complaint(text);
        assert!(complaint.contains("sidewatch.toml:10:1"), "{complaint}");
        assert!(
            complaint.contains("did you mean `max_body_bytes`"),
            "{complaint}"
        );
    }

    #[test]
    fn a_misspelt_section_is_named() {
        let complaint = complaint("[adminn]\nlisten = \"127.0.0.1:1\"\n");
        assert!(complaint.contains("sidewatch.toml:1:2"), "{complaint}");
        assert!(complaint.contains("did you mean `admin`"), "{complaint}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_told_with_its_key_on_one_line() {
        let complaint = complaint("[join]\nwindow_ms = \"long\"\n");
        assert!(
            complaint.starts_with("sidewatch.toml:2:13: `window_ms`: "),
            "{complaint}"
        );
        for text in ["join = [\n", "a = \"\n", "[join\nx", "\"a\\nb\" = 1\n"] {
            let complaint = self::complaint(text);
            assert!(!complaint.contains('\n'), "{complaint}");
        }
    }

    #[test]
    fn lines_are_joined_to_one() {
        assert_eq!(one_line("a\n  b:\n\n c\u{1b}[0m\t\n"), "a; b: c\\u{1b}[0m");
        assert_eq!(one_line(""), "");
    }

    #[test]
    fn a_line_that_may_hold_a_secret_is_not_told() {
        for text in [
            "[[sources]]\nid = \"m\"\ntokens = [\"hush\n",
            "[[sinks]]\nid = \"t\"\ntype = \"tirreno\"\nurl = \"http://t\"\napi_key = [\"hush\"]\n",
            "[control]\ntoken = \"hush\"\n",
        ] {
            let complaint = complaint(text);
            assert!(!complaint.contains("hush"), "{complaint}");
        }
    }

    #[test]
    fn broken_toml_is_placed() {
        assert!(complaint("a = \n").contains("sidewatch.toml:1:"));
    }

    #[test]
    fn an_unknown_kind_of_source_is_named() {
        let complaint = complaint("[[sources]]\nid = \"m\"\ntype = \"miror\"\n");
        assert!(complaint.contains("did you mean `mirror`"), "{complaint}");
    }
}
