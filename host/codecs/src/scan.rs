//! A JSON reader that forgives what log writers get wrong.
//!
//! Strict readers lose exactly the lines an attacker has touched: raw bytes
//! that are not UTF-8, `\xHH` inside strings, numbers written as `-` or as
//! nothing, repeated keys. This one reports every leaf with its path and its
//! raw text, uses a bounded amount of stack and no heap, and reads once.

use std::ops::ControlFlow;

/// Deepest nesting read.
const DEPTH: usize = 32;

/// Longest path of keys; leaves below longer ones are passed over.
const PATH: usize = 256;

/// A value that is no object or array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaf<'a> {
    /// What stands between the quotes, still escaped.
    Text(&'a str),
    /// A number, `true`, `null`, or whatever stands unquoted.
    Bare(&'a str),
}

impl<'a> Leaf<'a> {
    pub(crate) fn raw(self) -> &'a str {
        match self {
            Self::Text(raw) | Self::Bare(raw) => raw,
        }
    }
}

/// Where and why a text is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unexpected {
    /// Byte position, counted from 1.
    pub(crate) column: usize,
    pub(crate) expected: &'static str,
}

/// Keys on the way to a leaf, each preceded by `/`, as they stand in the text.
struct Path {
    bytes: [u8; PATH],
    length: usize,
    overflow: bool,
}

impl Path {
    fn push(&mut self, key: &str) {
        for byte in std::iter::once(b'/').chain(key.bytes()) {
            match self.bytes.get_mut(self.length) {
                Some(slot) => {
                    *slot = byte;
                    self.length += 1;
                }
                None => self.overflow = true,
            }
        }
    }

    fn truncate(&mut self, length: usize) {
        self.length = length;
        self.overflow = false;
    }

    fn text(&self) -> Option<&str> {
        if self.overflow {
            return None;
        }
        std::str::from_utf8(self.bytes.get(..self.length)?).ok()
    }
}

/// An open object or array: where its path ends, and the next array index.
#[derive(Clone, Copy)]
struct Level {
    path: usize,
    index: Option<u32>,
}

pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    path: Path,
    levels: [Level; DEPTH],
    depth: usize,
    /// Bare values may hold `${name}`: the text is a log format, not a line.
    template: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, template: bool) -> Self {
        Self {
            text,
            at: 0,
            path: Path {
                bytes: [0; PATH],
                length: 0,
                overflow: false,
            },
            levels: [Level {
                path: 0,
                index: None,
            }; DEPTH],
            depth: 0,
            template,
        }
    }

    /// Reports every leaf as (`/key/key`, leaf) until `found` breaks. When the
    /// text is cut off, what came before has been reported.
    pub(crate) fn scan(
        mut self,
        found: &mut dyn FnMut(&str, Leaf<'a>) -> ControlFlow<()>,
    ) -> Result<(), Unexpected> {
        self.blanks();
        match self.peek() {
            Some(b'{' | b'[') => self.open()?,
            _ => return Err(self.unexpected("`{`")),
        }
        while self.depth > 0 {
            self.blanks();
            match self.peek() {
                None => return Err(self.unexpected("`}`")),
                Some(b',') => self.at += 1,
                Some(b'}' | b']') => {
                    self.at += 1;
                    self.depth -= 1;
                }
                Some(_) => {
                    if self.member(found)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
        self.blanks();
        if self.at < self.text.len() {
            Err(self.unexpected("the end of the line"))
        } else {
            Ok(())
        }
    }

    fn member(
        &mut self,
        found: &mut dyn FnMut(&str, Leaf<'a>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Unexpected> {
        let slot = self.depth.wrapping_sub(1);
        let level = self.levels.get(slot).copied().unwrap_or(Level {
            path: 0,
            index: None,
        });
        self.path.truncate(level.path);
        if let Some(index) = level.index {
            let mut digits = itoa::Buffer::new();
            self.path.push(digits.format(index));
            if let Some(level) = self.levels.get_mut(slot) {
                level.index = Some(index.saturating_add(1));
            }
        } else {
            let key = self.quoted("a key in quotes")?;
            self.path.push(key);
            self.blanks();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("`:`"));
            }
            self.at += 1;
            self.blanks();
        }
        let leaf = match self.peek() {
            Some(b'{' | b'[') => {
                self.open()?;
                return Ok(ControlFlow::Continue(()));
            }
            Some(b'"') => Leaf::Text(self.quoted("text in quotes")?),
            _ => {
                let bare = self.bare();
                if self.at == self.text.len() {
                    // Cut off: the rest of the value is unknown.
                    return Err(self.unexpected("`}`"));
                }
                Leaf::Bare(bare)
            }
        };
        Ok(self
            .path
            .text()
            .map_or(ControlFlow::Continue(()), |path| found(path, leaf)))
    }

    fn open(&mut self) -> Result<(), Unexpected> {
        let index = (self.peek() == Some(b'[')).then_some(0);
        let path = self.path.length;
        match self.levels.get_mut(self.depth) {
            Some(level) => *level = Level { path, index },
            None => return Err(self.unexpected("less nesting")),
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// What stands between quotes, raw.
    fn quoted(&mut self, expected: &'static str) -> Result<&'a str, Unexpected> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(expected));
        }
        let start = self.at + 1;
        match end_of_quoted(self.text.get(start..).unwrap_or_default()) {
            Some(length) => {
                self.at = start + length + 1;
                Ok(self.text.get(start..start + length).unwrap_or_default())
            }
            None => {
                self.at = self.text.len();
                Err(self.unexpected("a closing quote"))
            }
        }
    }

    /// Everything up to the next comma or closing bracket.
    fn bare(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut braced = false;
        let mut before = b' ';
        let mut end = rest.len();
        for (at, byte) in rest.bytes().enumerate() {
            if braced {
                braced = byte != b'}';
            } else if self.template && byte == b'{' && before == b'$' {
                braced = true;
            } else if matches!(byte, b',' | b'}' | b']') {
                end = at;
                break;
            }
            before = byte;
        }
        self.at += end;
        rest.get(..end).unwrap_or_default().trim_ascii_end()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn unexpected(&self, expected: &'static str) -> Unexpected {
        Unexpected {
            column: self.at + 1,
            expected,
        }
    }
}

/// Length of the text before the first quote that no backslash escapes.
pub(crate) fn end_of_quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        let found = at + memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes.get(found) == Some(&b'"') {
            return Some(found);
        }
        at = found + 2;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(text: &str) -> (Vec<(String, String)>, Result<(), Unexpected>) {
        let mut all = Vec::new();
        let result = Scanner::new(text, false).scan(&mut |path, leaf| {
            all.push((path.to_owned(), leaf.raw().to_owned()));
            ControlFlow::Continue(())
        });
        (all, result)
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(path, raw)| ((*path).to_owned(), (*raw).to_owned()))
            .collect()
    }

    #[test]
    fn nested_values_have_paths() {
        let (all, result) = leaves(r#" {"a":{"b":1,"c":["x",{"d":null}]},"e":"q\"\\"} "#);
        assert_eq!(
            all,
            pairs(&[
                ("/a/b", "1"),
                ("/a/c/0", "x"),
                ("/a/c/1/d", "null"),
                ("/e", r#"q\"\\"#)
            ])
        );
        assert_eq!(result, Ok(()));
    }

    #[test]
    fn what_log_writers_get_wrong_is_read() {
        let (all, result) = leaves(r#"{"a":-,"b":,"a":"\xFF","c":0.1, 0.2}"#);
        // The list without quotes cannot be told from a missing key.
        assert_eq!(
            all,
            pairs(&[("/a", "-"), ("/b", ""), ("/a", r"\xFF"), ("/c", "0.1")])
        );
        assert!(result.is_err());
    }

    #[test]
    fn a_cut_off_object_gives_what_came_before() {
        let (all, result) = leaves(r#"{"login_id":"zoe","password":"ab"#);
        assert_eq!(all, pairs(&[("/login_id", "zoe")]));
        assert!(result.is_err());
        assert_eq!(leaves(r#"{"amount":12"#).0, []);
    }

    #[test]
    fn deep_nesting_is_refused() {
        assert!(leaves(&"[".repeat(DEPTH)).1.is_err());
        assert_eq!(
            leaves(&"[".repeat(100_000)).1.unwrap_err().expected,
            "less nesting"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn agrees_with_a_strict_reader(values in prop::collection::btree_map("[a-z]{1,6}", ".{0,20}", 0..6)) {
            let text = serde_json::to_string(&values).unwrap();
            let (all, result) = leaves(&text);
            prop_assert_eq!(result, Ok(()));
            let read: Vec<_> = all
                .into_iter()
                .map(|(path, raw)| (path.replacen('/', "", 1), serde_json::from_str(&format!("\"{raw}\"")).unwrap()))
                .collect();
            prop_assert_eq!(read, values.into_iter().collect::<Vec<(String, String)>>());
        }

        #[test]
        fn no_text_panics(text in "[{}\\[\\]\",:\\\\a$é -]{0,60}") {
            prop_assert!(leaves(&text).0.len() <= text.len());
        }
    }
}
