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
        let message = without_value(one_line(error.message()));
        let unknown = quoted_after(&message, "unknown field `")
            .or_else(|| quoted_after(&message, "unknown variant `"));
        let start = error
            .span()
            .unwrap_or(Range { start: 0, end: 0 })
            .start
            .min(text.len());
        let found = match (&unknown, named_key(&message)) {
            (Some(key), _) => find_key(text, start, key),
            (None, Some(key)) => only_line_of(text, key),
            (None, None) => None,
        };
        let mut placed = Self::at(name, text, found.unwrap_or(start), message);
        if let Some(nearest) = unknown
            .as_deref()
            .and_then(|key| nearest(&placed.message, key))
        {
            placed.hint = format!("; did you mean `{nearest}`?");
        }
        let before = text.get(..found.unwrap_or(start)).unwrap_or_default();
        let begun = inside_long_string(before);
        let key = key_before(&placed.excerpt, placed.column).filter(|_| !begun);
        if let Some(key) = key {
            let message = without_secret(key, std::mem::take(&mut placed.message));
            placed.message = if message.contains(&format!("`{key}`")) {
                message
            } else {
                format!("`{key}`: {message}")
            };
        }
        placed
    }

    /// A complaint about what stands at an offset of a text.
    pub(crate) fn at(name: &str, text: &str, start: usize, message: String) -> Self {
        let before = text.get(..start).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let last = before.rsplit('\n').next().unwrap_or_default();
        let excerpt = text.lines().nth(line - 1).unwrap_or_default();
        Self {
            name: name.to_owned(),
            line,
            column: last.chars().count() + 1,
            message,
            hint: String::new(),
            excerpt: excerpt.chars().take(200).collect(),
        }
    }
}

/// The key whose value a column of a line is in: what stands before the last `=`
/// outside quotes and lists, in the innermost table of the line.
fn key_before(line: &str, column: usize) -> Option<&str> {
    let end = line.char_indices().nth(column.saturating_sub(1));
    let before = line.get(..end.map_or(line.len(), |(at, _)| at))?;
    let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_' | '.');
    let (mut quote, mut open) = (None, Vec::new());
    let (mut start, mut found, mut assigned) = (0, None, false);
    for (at, one) in before.char_indices() {
        match (quote, one) {
            (Some(mark), _) if mark == one => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(one),
            (None, '=') if !assigned && open.last() != Some(&'[') => {
                let key = before.get(start..at).unwrap_or_default().trim();
                found = (!key.is_empty() && key.chars().all(plain)).then_some(key);
                assigned = true;
            }
            (None, '{') => {
                open.push(one);
                (start, assigned) = (at + 1, false);
            }
            (None, '[') => open.push(one),
            (None, ']' | '}') => drop(open.pop()),
            (None, ',') if open.last() == Some(&'{') => (start, assigned) = (at + 1, false),
            _ => {}
        }
    }
    found
}

/// Whether the last line of a text goes on with a string of several lines:
/// what stands before its `=` is no key.
fn inside_long_string(before: &str) -> bool {
    let whole = before.rfind('\n').and_then(|end| before.get(..end));
    let odd = |quotes: &str| whole.is_some_and(|text| text.matches(quotes).count() % 2 == 1);
    odd("\"\"\"") || odd("'''")
}

/// A complaint about a value without the value, whatever the key: of what kind
/// it is says enough, and it may be a secret.
pub(super) fn without_value(message: String) -> String {
    for complaint in ["invalid type: ", "invalid value: "] {
        let Some((before, said)) = message.split_once(complaint) else {
            continue;
        };
        // The value may hold such words itself, what is expected does not.
        let (value, expected) = said.rsplit_once(", expected ").unwrap_or((said, ""));
        let kind = value.split(['"', '`']).next().unwrap_or_default().trim();
        let plain = |one: char| one.is_ascii_alphabetic() || one == ' ';
        let kind = if !kind.is_empty() && kind.chars().all(plain) {
            kind
        } else {
            "value"
        };
        let expected = if expected.is_empty() {
            String::new()
        } else {
            format!(", expected {expected}")
        };
        return format!("{before}{complaint}{kind}{expected}");
    }
    message
}

/// The key a complaint begins with, when it is one of the entry itself.
fn named_key(message: &str) -> Option<&str> {
    let (key, _) = message.strip_prefix('`')?.split_once("`: ")?;
    (!key.contains(['.', '`'])).then_some(key)
}

/// A complaint that repeats the value of a key that sounds like a secret,
/// without it. A quote alone is what the reader misses, and stays.
fn without_secret(key: &str, message: String) -> String {
    if !is_secret_name(key) {
        return message;
    }
    if let Some(variant) = quoted_after(&message, "unknown variant `") {
        return message.replacen(&format!("`{variant}`"), &format!("`{REDACTED}`"), 1);
    }
    let quoted = message
        .split_once('"')
        .and_then(|(before, rest)| Some((before, rest.rsplit_once('"')?)));
    match quoted {
        Some((before, (value, after))) if value.contains(char::is_alphanumeric) => {
            format!("{before}{REDACTED}{after}")
        }
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

/// Where the only line is that sets a key. Of an entry's own complaint only the
/// list of entries is known, and a line of another entry would mislead.
fn only_line_of(text: &str, key: &str) -> Option<usize> {
    let mut offset = 0;
    let mut found = None;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        let rest = trimmed.strip_prefix(key);
        if rest.is_some_and(|rest| rest.trim_start().starts_with(['=', '.'])) {
            if found.is_some() {
                return None;
            }
            found = Some(offset + (line.len() - trimmed.len()));
        }
        offset += line.len();
    }
    found
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
    use super::{key_before, one_line};
    use crate::config::ConfigFile;

    fn complaint(text: &str) -> String {
        complaint_of("sidewatch.toml", text)
    }

    fn complaint_of(name: &str, text: &str) -> String {
        ConfigFile::parse(name, text).unwrap_err().to_string()
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
    fn a_value_that_may_be_a_secret_is_not_told_but_its_key_and_kind_are() {
        let mirror = "[[sources]]\nid = \"m\"\ntype = \"mirror\"\nlisten = \"127.0.0.1:0\"\n";
        let tirreno = "[[sinks]]\nid = \"t\"\ntype = \"tirreno\"\nurl = \"http://t\"\n";
        for (entry, line, hidden, told) in [
            (
                mirror,
                "tokens = \"hush, expected \\\"hush\"",
                "hush",
                [
                    "x:5:1: `tokens`: invalid type: string, expected",
                    "sequence",
                ],
            ),
            (
                tirreno,
                "api_key = 123456789",
                "123456789",
                [
                    "x:5:1: `api_key`: invalid type: integer, expected",
                    "string",
                ],
            ),
            (
                tirreno,
                "api_key = 12345.5",
                "12345",
                [
                    "`api_key`: invalid type: floating point, expected",
                    "string",
                ],
            ),
            (
                mirror,
                "tokens = [\"c2VjcmV0c2VjcmV0c2=\", 5 5]",
                "c2Vj",
                ["x:5:", "`tokens`: "],
            ),
            (
                mirror,
                "tokens = [\n\"c2VjcmV0c2VjcmV0c2=\", 5 5]",
                "c2Vj",
                ["x:6:", ""],
            ),
            (
                mirror,
                "tokens = \"\"\"\nhush=ab\" \\y 5\n\"\"\"",
                "hush",
                ["x:", ""],
            ),
        ] {
            let complaint = complaint_of("x", &format!("{entry}{line}\n"));
            assert!(!complaint.contains(hidden), "{complaint}");
            for word in told {
                assert!(complaint.contains(word), "`{word}`: {complaint}");
            }
        }
        let twice = format!("{mirror}tokens = []\n{mirror}tokens = 5\n").replacen("m\"", "n\"", 1);
        let complaint = complaint_of("x", &twice);
        assert!(complaint.contains("`tokens`: "), "{complaint}");
        assert!(!complaint.contains("x:5:"), "{complaint}");
        let complaint = self::complaint("[join]\nwindow_ms = \"hush\"\n");
        assert!(
            complaint.contains("`window_ms`: invalid type: string, expected"),
            "{complaint}"
        );
    }

    #[test]
    fn a_quote_that_is_missing_is_told_even_of_a_secret() {
        let complaint = complaint("[[sinks]]\napi_key = \"hush\n");
        assert!(!complaint.contains("hush"), "{complaint}");
        assert!(complaint.contains("`api_key`: "), "{complaint}");
        assert!(complaint.contains("`\"`"), "{complaint}");
        assert!(!complaint.contains("REDACTED"), "{complaint}");
    }

    #[test]
    fn the_key_is_what_stands_before_the_value() {
        for (line, key) in [
            ("tokens = [\"YQ==\", 5 5]", Some("tokens")),
            (" a.b-c= 5", Some("a.b-c")),
            (
                "limits = { frame_milliseconds = ",
                Some("frame_milliseconds"),
            ),
            ("a = { b = [1, 2], c = ", Some("c")),
            ("a = [b, YQ=", Some("a")),
            ("\"a=b\" = 5", None),
            ("\"YQ==\", 5 5]", None),
            ("= 5", None),
            ("tokens", None),
        ] {
            assert_eq!(key_before(line, line.len() + 1), key, "{line}");
        }
        assert_eq!(key_before("tokens = 5", 1), None);
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
