//! Configuration errors that say where, what and what would be right.

use std::ops::Range;
use std::path::PathBuf;

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
    #[error("{name}:{line}:{column}: {message}{hint}\n  | {excerpt}")]
    At {
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
        /// The line.
        excerpt: String,
    },
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

impl ConfigError {
    /// Places what the TOML reader complains about.
    pub(crate) fn from_toml(name: &str, text: &str, error: &toml::de::Error) -> Self {
        let message = error.message().trim().to_owned();
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
        Self::At {
            name: name.to_owned(),
            line,
            column,
            message,
            hint,
            excerpt,
        }
    }
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
    fn broken_toml_is_placed() {
        assert!(complaint("a = \n").contains("sidewatch.toml:1:"));
    }

    #[test]
    fn an_unknown_kind_of_source_is_named() {
        let complaint = complaint("[[sources]]\nid = \"m\"\ntype = \"miror\"\n");
        assert!(complaint.contains("did you mean `mirror`"), "{complaint}");
    }
}
