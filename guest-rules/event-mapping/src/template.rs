//! Templates of computed texts: `UUID:{uuid}`, `{user.name|nobody} did it`.
//!
//! A template with a placeholder that has no value and no default gives
//! nothing, so that a text never has holes.

use crate::bytes::segment;
use crate::uuid;

/// One part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    Value {
        source: Source,
        fallback: Option<Box<[u8]>>,
    },
}

/// Where a placeholder's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// First UUID in path or query.
    Uuid,
    /// Segment of the path, counted from 0.
    Segment(usize),
    /// Text field of that column.
    Column(usize),
    /// The HTTP status.
    Status,
}

/// What templates take their values from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) path: &'a [u8],
    pub(crate) query: &'a [u8],
    pub(crate) status: u32,
    /// See [`Trie`](crate::trie::Trie).
    pub(crate) raw: bool,
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Box<[Part]>);

impl Template {
    /// Parses a template; `source` finds a placeholder by its name.
    pub(crate) fn parse(
        text: &str,
        mut source: impl FnMut(&str) -> Result<Source, String>,
    ) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
            literal.push_str(before);
            if let Some(further) = from.strip_prefix("{{") {
                literal.push('{');
                rest = further;
            } else if let Some(further) = from.strip_prefix("}}") {
                literal.push('}');
                rest = further;
            } else if let Some((inner, further)) = from
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
            {
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal).into_bytes().into()));
                }
                let (name, fallback) = match inner.split_once('|') {
                    Some((name, fallback)) => (name, Some(fallback.as_bytes().into())),
                    None => (inner, None),
                };
                parts.push(Part::Value {
                    source: source(name)?,
                    fallback,
                });
                rest = further;
            } else {
                return Err(format!(
                    "`{text}`: a brace has no partner; write `{{{{` or `}}}}` for a brace itself"
                ));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal.into_bytes().into()));
        }
        Ok(Self(parts.into()))
    }

    /// Appends the text; false when a placeholder has no value, and what was
    /// appended is then to be dropped.
    pub(crate) fn write<'a>(
        &self,
        values: &Values<'a>,
        column: impl Fn(usize) -> Option<&'a [u8]>,
        out: &mut Vec<u8>,
    ) -> bool {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Value {
                    source: Source::Status,
                    ..
                } => {
                    out.extend_from_slice(values.status.to_string().as_bytes());
                }
                Part::Value { source, fallback } => {
                    let found = value(*source, values, &column);
                    let Some(text) = found.or(fallback.as_deref()) else {
                        return false;
                    };
                    out.extend_from_slice(text);
                }
            }
        }
        true
    }
}

fn value<'a>(
    source: Source,
    values: &Values<'a>,
    column: impl Fn(usize) -> Option<&'a [u8]>,
) -> Option<&'a [u8]> {
    let found = match source {
        Source::Uuid => {
            uuid::find(values.path, !values.raw).or_else(|| uuid::find(values.query, !values.raw))
        }
        Source::Segment(at) => path_segment(values.path, at),
        Source::Column(at) => column(at),
        Source::Status => None,
    };
    found.filter(|text| !text.is_empty())
}

fn path_segment(path: &[u8], at: usize) -> Option<&[u8]> {
    let mut rest = path;
    let mut left = at;
    loop {
        let cut = segment(rest);
        if !cut.text.is_empty() {
            if left == 0 {
                return Some(cut.text);
            }
            left -= 1;
        }
        rest = cut.after?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";

    fn source(name: &str) -> Result<Source, String> {
        match name {
            "uuid" => Ok(Source::Uuid),
            "path.2" => Ok(Source::Segment(1)),
            "user.name" => Ok(Source::Column(0)),
            "status" => Ok(Source::Status),
            _ => Err(name.to_owned()),
        }
    }

    fn render(template: &str, user: Option<&str>) -> Option<String> {
        let path = format!("/a/{UUID}/c");
        let values = Values {
            path: path.as_bytes(),
            query: b"",
            status: 200,
            raw: false,
        };
        let mut out = Vec::new();
        let template = Template::parse(template, source).unwrap();
        template
            .write(&values, |_| user.map(str::as_bytes), &mut out)
            .then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn placeholders_are_replaced() {
        assert_eq!(render("UUID:{uuid}", None), Some(format!("UUID:{UUID}")));
        assert_eq!(
            render("{{{path.2}}} {status}", None),
            Some(format!("{{{UUID}}} 200"))
        );
        assert_eq!(
            render("{user.name} was here", Some("zoë")),
            Some("zoë was here".into())
        );
    }

    #[test]
    fn a_hole_gives_nothing_unless_it_has_a_default() {
        assert_eq!(render("by {user.name}", None), None);
        assert_eq!(
            render("by {user.name|nobody}", None),
            Some("by nobody".into())
        );
    }

    #[test]
    fn lone_braces_and_unknown_names_are_refused() {
        assert!(Template::parse("a}b", source).is_err());
        assert!(Template::parse("{uuid", source).is_err());
        assert_eq!(Template::parse("{usr}", source), Err("usr".into()));
    }
}
