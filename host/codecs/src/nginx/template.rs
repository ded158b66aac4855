//! Finding the values in a line by the literal text between them.
//!
//! The end of each value is decided when the format is compiled, so that a
//! client cannot move it: a quote that nginx escapes inside values is an
//! anchor no value can hold; a value without such an anchor is bounded from
//! the right by the well-formed values between it and the next anchor. Where
//! neither works the format is forgeable, and its events say so.

use memchr::memmem;

use super::LogFormatError;
use super::directive::{Piece, pieces};
use super::variable::{Meaning, Shape, meaning, shape};
use crate::DecodeError;
use crate::scan::end_of_quoted;
use crate::text::Escape;

/// Most variables of one format.
const MAX_FIELDS: usize = 128;

/// How the end of a value is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// At the end of the line.
    Line,
    /// After so many bytes.
    After(usize),
    /// `back` bytes before the first `byte`, which no value can hold.
    Anchor { byte: u8, back: usize },
    /// `back` bytes before the first quote without a backslash.
    Quote { back: usize },
    /// At the first occurrence of the literal.
    Literal,
    /// At the first occurrence that is not inside a list of nginx' own.
    List,
    /// Where the fields up to `last`, measured from the right, begin.
    Before { last: usize },
}

#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) name: Box<str>,
    pub(super) meaning: Meaning,
    /// The text after the value.
    literal: Box<str>,
    shape: Shape,
    end: End,
}

/// A compiled format.
#[derive(Debug, Clone)]
pub(super) struct Template {
    prefix: Box<str>,
    pub(super) slots: Vec<Slot>,
    /// A client can make its values look like other fields.
    pub(super) forgeable: bool,
    escape: Escape,
}

impl Template {
    pub(super) fn compile(format: &str, escape: Escape) -> Result<Self, LogFormatError> {
        let mut template = Self {
            prefix: "".into(),
            slots: Vec::new(),
            forgeable: false,
            escape,
        };
        let mut open = false;
        for piece in pieces(format)? {
            match piece {
                Piece::Literal(text) => {
                    match template.slots.last_mut() {
                        Some(slot) => slot.literal = text.into(),
                        None => template.prefix = text.into(),
                    }
                    open = false;
                }
                Piece::Variable(name) => {
                    if open {
                        let before = template.slots.last().map_or("", |slot| &*slot.name);
                        return Err(LogFormatError::Adjacent(before.into(), name.into()));
                    }
                    template.slots.push(Slot {
                        name: name.into(),
                        meaning: meaning(name),
                        literal: "".into(),
                        shape: shape(name),
                        end: End::Line,
                    });
                    open = true;
                }
            }
        }
        if template.slots.len() > MAX_FIELDS {
            return Err(LogFormatError::TooManyVariables(MAX_FIELDS));
        }
        template.find_ends();
        Ok(template)
    }

    /// Whether a value is whatever a client or upstream sends.
    pub(super) fn has_free_slot(&self) -> bool {
        self.slots.iter().any(|slot| slot.shape == Shape::Free)
    }

    fn find_ends(&mut self) {
        for at in 0..self.slots.len() {
            let Some(slot) = self.slots.get(at) else {
                return;
            };
            let free = slot.shape == Shape::Free;
            let end = match (slot.shape, self.anchor(at)) {
                (Shape::Fixed(width), _) => End::After(width),
                (_, Some(anchor)) => anchor,
                (Shape::Word, None) => End::Literal,
                (Shape::List, None) => End::List,
                (Shape::Free, None) => match self.bound_from_right(at) {
                    Some(last) => End::Before { last },
                    None => End::Literal,
                },
            };
            // Unescaped quotes are no anchor, and a first match is a guess.
            self.forgeable |=
                free && (end == End::Literal || (self.escape == Escape::None && end != End::Line));
            if let Some(slot) = self.slots.get_mut(at) {
                slot.end = end;
            }
        }
    }

    /// The anchor in the literal after a slot, or the end of the line.
    fn anchor(&self, at: usize) -> Option<End> {
        let slot = self.slots.get(at)?;
        if slot.literal.is_empty() {
            return Some(End::Line);
        }
        let literal = slot.literal.as_bytes();
        let find = |wanted: fn(u8) -> bool| literal.iter().position(|byte| wanted(*byte));
        match self.escape {
            Escape::Default => {
                let back = find(|byte| !(0x20..0x7f).contains(&byte) || byte == b'"')?;
                literal
                    .get(back)
                    .map(|byte| End::Anchor { byte: *byte, back })
            }
            Escape::Json => match find(|byte| byte == b'"') {
                Some(back) => Some(End::Quote { back }),
                None => {
                    let back = find(|byte| byte < 0x20)?;
                    literal
                        .get(back)
                        .map(|byte| End::Anchor { byte: *byte, back })
                }
            },
            Escape::None => None,
        }
    }

    /// The last of the well-formed slots that follow `at` up to an anchor.
    fn bound_from_right(&self, at: usize) -> Option<usize> {
        if self.escape == Escape::None {
            return None;
        }
        for (index, slot) in self.slots.iter().enumerate().skip(at) {
            if index > at && !matches!(slot.shape, Shape::Fixed(_) | Shape::Word) {
                return None;
            }
            if self.anchor(index).is_some() || index + 1 == self.slots.len() {
                return Some(index);
            }
        }
        None
    }

    /// Hands every value of `line` to `found`, raw. The line must match as a
    /// whole.
    pub(super) fn read<'a>(
        &self,
        line: &'a str,
        found: &mut dyn FnMut(&Slot, &'a str, usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let Some(mut rest) = strip(line, &self.prefix) else {
            return Err(DecodeError::Literal {
                column: 1,
                expected: self.prefix.clone(),
                field: "the start".into(),
            });
        };
        for (at, slot) in self.slots.iter().enumerate() {
            let column = line.len() - rest.len() + 1;
            let Some((value, after)) = self.split(at, slot, rest) else {
                let column = column + misfit(slot, rest);
                return Err(DecodeError::Literal {
                    column,
                    expected: slot.literal.clone(),
                    field: slot.name.clone(),
                });
            };
            found(slot, value, column)?;
            rest = after;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Trailing {
                column: line.len() - rest.len() + 1,
            })
        }
    }

    /// Splits the value of a slot and the literal after it off `rest`.
    fn split<'a>(&self, at: usize, slot: &Slot, rest: &'a str) -> Option<(&'a str, &'a str)> {
        let bytes = rest.as_bytes();
        let literal = &*slot.literal;
        let end = match slot.end {
            End::Line => rest.len(),
            End::After(width) => width,
            End::Anchor { byte, back } => memchr::memchr(byte, bytes)?.checked_sub(back)?,
            End::Quote { back } => end_of_quoted(rest)?.checked_sub(back)?,
            End::Literal => find(bytes, literal.as_bytes())?,
            End::List => end_of_list(bytes, literal.as_bytes())?,
            End::Before { last } => self.limit_from_right(at, last, rest)?,
        };
        let (value, after) = rest.split_at_checked(end)?;
        Some((value, strip(after, literal)?))
    }

    /// Where the value of slot `at` ends, going back from the anchor after
    /// slot `last`.
    fn limit_from_right(&self, at: usize, last: usize, rest: &str) -> Option<usize> {
        let closing = self.slots.get(last)?;
        let mut limit = match self.anchor(last) {
            Some(End::Anchor { byte, back }) => {
                memchr::memchr(byte, rest.as_bytes())?.checked_sub(back)?
            }
            Some(End::Quote { back }) => end_of_quoted(rest)?.checked_sub(back)?,
            _ => rest.len().checked_sub(closing.literal.len())?,
        };
        for index in (at..last).rev() {
            let literal = self.slots.get(index)?.literal.as_bytes();
            let window = rest.as_bytes().get(..limit)?;
            limit = match self.slots.get(index + 1)?.shape {
                Shape::Fixed(width) => limit.checked_sub(width)?.checked_sub(literal.len())?,
                _ => memmem::rfind(window, literal)?,
            };
        }
        Some(limit)
    }
}

/// `rest` without `literal` before it. Comparing with an empty text costs
/// more than all of the rest: its pointer dangles, and processors that
/// compare with masked loads recover slowly from that.
fn strip<'a>(rest: &'a str, literal: &str) -> Option<&'a str> {
    if literal.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix(literal)
    }
}

/// Where in `rest` a literal was sought in vain, as well as it can be told.
fn misfit(slot: &Slot, rest: &str) -> usize {
    match slot.end {
        End::After(width) => width.min(rest.len()),
        End::Anchor { byte, back } => memchr::memchr(byte, rest.as_bytes())
            .map_or(rest.len(), |found| found.saturating_sub(back)),
        End::Quote { back } => {
            end_of_quoted(rest).map_or(rest.len(), |found| found.saturating_sub(back))
        }
        _ => rest.len(),
    }
}

/// The first `literal`. Values and literals are a few bytes long: preparing a
/// searcher would take longer than the search.
fn find(bytes: &[u8], literal: &[u8]) -> Option<usize> {
    let first = *literal.first()?;
    if literal.len() > 1 && bytes.len() > 4096 {
        return memmem::find(bytes, literal);
    }
    bytes.iter().enumerate().find_map(|(at, byte)| {
        (*byte == first
            && bytes
                .get(at..)
                .is_some_and(|tail| tail.starts_with(literal)))
        .then_some(at)
    })
}

/// The first `literal` that neither starts, ends nor lies in `, ` or ` : `.
fn end_of_list(bytes: &[u8], literal: &[u8]) -> Option<usize> {
    memmem::find_iter(bytes, literal).find(|at| {
        let before = bytes.get(..*at).unwrap_or_default();
        let after = bytes.get(*at..).unwrap_or_default();
        !(before.ends_with(b",")
            || before.ends_with(b" :")
            || after.starts_with(b", ")
            || after.starts_with(b" : "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(format: &str, escape: Escape, line: &str) -> Result<Vec<String>, DecodeError> {
        let template = Template::compile(format, escape).unwrap();
        let mut all = Vec::new();
        template.read(line, &mut |_, value, _| {
            all.push(value.to_owned());
            Ok(())
        })?;
        Ok(all)
    }

    fn forgeable(format: &str, escape: Escape) -> bool {
        Template::compile(format, escape).unwrap().forgeable
    }

    const TIME: &str = "21/Nov/2026:01:02:03 +0000";

    #[test]
    fn a_user_name_cannot_pose_as_the_fields_after_it() {
        let format = "$remote_addr - $remote_user [$time_local] \"$request\" $status";
        let user = format!("eve [{TIME}] x [1");
        let line = format!("::1 - {user} [{TIME}] \"GET / HTTP/1.1\" 200");
        assert_eq!(
            values(format, Escape::Default, &line).unwrap(),
            ["::1", &user, TIME, "GET / HTTP/1.1", "200"]
        );
        assert!(!forgeable(format, Escape::Default));
    }

    #[test]
    fn escaped_quotes_do_not_end_a_value() {
        let line = r#""a\"b\\" 200"#;
        assert_eq!(
            values(r#""$http_x_a" $status"#, Escape::Json, line).unwrap(),
            [r#"a\"b\\"#, "200"]
        );
    }

    #[test]
    fn lists_of_upstreams_hold_blanks() {
        let format = "$upstream_addr $upstream_status $upstream_response_time $request_time";
        let line = "10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80 502, 200 0.001, 0.002 0.003";
        assert_eq!(
            values(format, Escape::Default, line).unwrap(),
            [
                "10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80",
                "502, 200",
                "0.001, 0.002",
                "0.003"
            ]
        );
    }

    #[test]
    fn formats_a_client_can_forge_are_known() {
        assert!(forgeable(
            "$http_user_agent $http_referer $status",
            Escape::Default
        ));
        assert!(forgeable("\"$http_user_agent\" $status", Escape::None));
        assert!(!forgeable("$status $http_user_agent", Escape::Default));
        assert!(!forgeable(
            "$http_user_agent\t$http_referer\t$status",
            Escape::Default
        ));
        assert!(!forgeable(
            "$status $http_user_agent $request_time",
            Escape::Default
        ));
    }

    #[test]
    fn text_beyond_the_format_is_an_error() {
        let error = values("$status [$host]", Escape::Default, "200 [a] b").unwrap_err();
        assert_eq!(
            error,
            DecodeError::Literal {
                column: 10,
                expected: "]".into(),
                field: "host".into()
            }
        );
        let error = values("$status [$status]", Escape::Default, "200 [200] b").unwrap_err();
        assert_eq!(error, DecodeError::Trailing { column: 10 });
    }

    #[test]
    fn variables_need_something_between_them() {
        assert!(matches!(
            Template::compile("$host$status", Escape::Default),
            Err(LogFormatError::Adjacent(..))
        ));
    }
}
