//! Path patterns as an author writes them.
//!
//! A pattern is a slash and segments between slashes. A segment is
//! - plain text, compared byte by byte;
//! - `{uuid}` or `{number}`;
//! - `*`, or `{name}` to use it in a template: any one segment;
//! - text with one star (`report-*`, `*.pdf`, `a*z`);
//! - as the last one `**`, any rest, or `text**`, any rest that begins so.
//!
//! A slash at the end is optional; written, it is required.

/// What one segment of a path must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Exactly this text.
    Literal(Vec<u8>),
    /// A UUID.
    Uuid,
    /// One or more decimal digits.
    Number,
    /// Anything but nothing.
    Any,
    /// Begins and ends so; what is between may be empty.
    Affix(Vec<u8>, Vec<u8>),
}

/// How a path ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With or without a slash.
    Slash {
        /// The slash must be there.
        required: bool,
    },
    /// Any rest that begins with this text.
    Rest(Vec<u8>),
}

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) steps: Vec<Step>,
    pub(crate) ending: Ending,
    /// Names of `{name}` segments and their places, counted from 0.
    pub(crate) names: Vec<(String, usize)>,
}

/// Longest pattern, in segments.
pub(crate) const MAX_STEPS: usize = 32;

impl Pattern {
    /// Parses one pattern; settings have been replaced before.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let inner = text
            .strip_prefix('/')
            .ok_or_else(|| format!("`{text}` does not begin with a slash"))?;
        let mut pattern = Self {
            steps: Vec::new(),
            ending: Ending::Slash { required: false },
            names: Vec::new(),
        };
        if inner.is_empty() {
            return Ok(pattern);
        }
        let segments: Vec<&str> = inner.split('/').collect();
        if segments.len() > MAX_STEPS {
            return Err(format!("`{text}` has more than {MAX_STEPS} segments"));
        }
        for (at, segment) in segments.iter().enumerate() {
            let last = at + 1 == segments.len();
            if last && segment.is_empty() {
                pattern.ending = Ending::Slash { required: true };
            } else if last && let Some(start) = segment.strip_suffix("**") {
                if start.contains(['*', '{', '}']) {
                    return Err(format!("`{text}`: before `**` only plain text may stand"));
                }
                pattern.ending = Ending::Rest(start.into());
            } else {
                let (step, name) =
                    step(segment).map_err(|message| format!("`{text}`: {message}"))?;
                pattern.steps.push(step);
                pattern.names.extend(name.map(|name| (name, at)));
            }
        }
        Ok(pattern)
    }
}

fn step(segment: &str) -> Result<(Step, Option<String>), String> {
    if segment.is_empty() {
        return Err("two slashes follow one another".into());
    }
    if segment.contains("**") {
        return Err("`**` may only end a pattern".into());
    }
    if let Some(name) = segment
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        return match name {
            "uuid" => Ok((Step::Uuid, None)),
            "number" => Ok((Step::Number, None)),
            _ if is_name(name) => Ok((Step::Any, Some(name.to_owned()))),
            _ => Err(format!(
                "`{segment}` is no name; use small letters, digits and `_`"
            )),
        };
    }
    if segment.contains(['{', '}']) {
        return Err(format!(
            "`{segment}`: a placeholder must be a whole segment"
        ));
    }
    match segment.split_once('*') {
        None => Ok((Step::Literal(segment.into()), None)),
        Some(("", "")) => Ok((Step::Any, None)),
        Some((_, end)) if end.contains('*') => Err(format!("`{segment}` holds more than one star")),
        Some((start, end)) => Ok((Step::Affix(start.into(), end.into()), None)),
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_told_apart() {
        let pattern = Pattern::parse("/a/{uuid}/{number}/*/{team}/x-*/rest**").unwrap();
        assert_eq!(
            pattern.steps,
            [
                Step::Literal(b"a".into()),
                Step::Uuid,
                Step::Number,
                Step::Any,
                Step::Any,
                Step::Affix(b"x-".into(), b"".into()),
            ]
        );
        assert_eq!(pattern.ending, Ending::Rest(b"rest".into()));
        assert_eq!(pattern.names, [("team".to_owned(), 4)]);
    }

    #[test]
    fn a_written_slash_is_required() {
        let ending = |text| Pattern::parse(text).unwrap().ending;
        assert_eq!(ending("/a"), Ending::Slash { required: false });
        assert_eq!(ending("/a/"), Ending::Slash { required: true });
        assert_eq!(ending("/a/**"), Ending::Rest(Vec::new()));
    }

    #[test]
    fn what_cannot_be_matched_is_refused() {
        for wrong in [
            "a", "", "/a//b", "/**/a", "/a**b", "/{Name}", "/x{uuid}", "/a*b*c", "/{x", "/*x**",
        ] {
            assert!(Pattern::parse(wrong).is_err(), "{wrong}");
        }
    }
}
