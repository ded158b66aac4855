//! The text of a `log_format` directive as it stands in nginx' configuration.
//!
//! Quoting follows nginx' own reader: pieces in single or double quotes, with
//! `\"`, `\'`, `\\`, `\t`, `\r`, `\n` inside, comments between them, the whole
//! concatenated.

use super::LogFormatError;
use crate::text::Escape;

/// The format text and its escaping.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) escape: Escape,
    pub(super) format: String,
}

/// A word of the directive; quoted ones can be nothing but format text.
struct Word {
    text: String,
    quoted: bool,
}

/// Reads a whole directive, a list of quoted pieces, or bare format text.
pub(super) fn read(text: &str) -> Result<Directive, LogFormatError> {
    let trimmed = text.trim();
    match words(trimmed) {
        Ok(words)
            if words
                .first()
                .is_some_and(|word| word.text == "log_format" && !word.quoted) =>
        {
            directive(&words)
        }
        Ok(words) if !words.is_empty() && words.iter().all(|word| word.quoted) => {
            let format = words.into_iter().map(|word| word.text).collect();
            Ok(Directive {
                escape: Escape::Default,
                format,
            })
        }
        Err(error) if trimmed.starts_with("log_format") => Err(error),
        // The format text itself, as a program would hold it.
        _ => Ok(Directive {
            escape: Escape::Default,
            format: trimmed.to_owned(),
        }),
    }
}

fn directive(words: &[Word]) -> Result<Directive, LogFormatError> {
    let mut pieces = words.get(2..).unwrap_or_default();
    let mut escape = Escape::Default;
    if let Some((first, rest)) = pieces.split_first()
        && let Some(name) = first.text.strip_prefix("escape=")
        && !first.quoted
    {
        escape = match name {
            "default" => Escape::Default,
            "json" => Escape::Json,
            "none" => Escape::None,
            _ => return Err(LogFormatError::Escape(name.into())),
        };
        pieces = rest;
    }
    Ok(Directive {
        escape,
        format: pieces.iter().map(|word| word.text.as_str()).collect(),
    })
}

fn words(text: &str) -> Result<Vec<Word>, LogFormatError> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        match first {
            ';' => {
                let after = rest.strip_prefix(';').unwrap_or_default().trim();
                return if after.is_empty() {
                    Ok(words)
                } else {
                    Err(LogFormatError::AfterEnd)
                };
            }
            '#' => rest = rest.split_once('\n').map_or("", |(_, after)| after),
            '\'' | '"' => {
                let (piece, after) = quoted(rest, first)?;
                words.push(Word {
                    text: piece,
                    quoted: true,
                });
                rest = after;
            }
            _ => {
                let end = rest
                    .find(|next: char| next.is_whitespace() || next == ';')
                    .unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                words.push(Word {
                    text: word.to_owned(),
                    quoted: false,
                });
                rest = after;
            }
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

fn quoted(rest: &str, quote: char) -> Result<(String, &str), LogFormatError> {
    let mut piece = String::new();
    let mut characters = rest.chars();
    characters.next();
    while let Some(character) = characters.next() {
        if character == quote {
            return Ok((piece, characters.as_str()));
        }
        if character != '\\' {
            piece.push(character);
            continue;
        }
        match characters.next() {
            Some(escaped @ ('"' | '\'' | '\\')) => piece.push(escaped),
            Some('t') => piece.push('\t'),
            Some('r') => piece.push('\r'),
            Some('n') => piece.push('\n'),
            Some(other) => piece.extend(['\\', other]),
            None => break,
        }
    }
    Err(LogFormatError::Quote)
}

/// Format text cut into literal texts and variables, in turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Literal(&'a str),
    Variable(&'a str),
}

/// Cuts format text at its `$name` and `${name}`.
pub(super) fn pieces(format: &str) -> Result<Vec<Piece<'_>>, LogFormatError> {
    let mut pieces = Vec::new();
    let mut rest = format;
    while let Some((literal, after)) = rest.split_once('$') {
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        let (name, after) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}').ok_or(LogFormatError::Brace)?,
            None => {
                let is_name = |next: char| next.is_ascii_alphanumeric() || next == '_';
                let end = after.find(|next| !is_name(next)).unwrap_or(after.len());
                after.split_at_checked(end).unwrap_or((after, ""))
            }
        };
        if name.is_empty() {
            return Err(LogFormatError::EmptyName);
        }
        pieces.push(Piece::Variable(name));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_are_read_as_nginx_reads_them() {
        let text = r#"
            log_format  main escape=json '$remote_addr - "$request" ' # who and what
                "\"$http_user_agent\"\t"
                $status;
        "#;
        let directive = read(text).unwrap();
        assert_eq!(directive.escape, Escape::Json);
        assert_eq!(
            directive.format,
            "$remote_addr - \"$request\" \"$http_user_agent\"\t$status"
        );
    }

    #[test]
    fn format_text_alone_is_enough() {
        let text = r#"$remote_addr "$request" $status"#;
        assert_eq!(read(text).unwrap().format, text);
        assert_eq!(read(&format!("'{text}';")).unwrap().format, text);
        assert_eq!(
            read("'$remote_addr '\n'$status'").unwrap().format,
            "$remote_addr $status"
        );
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            read("log_format a escape=xml '$status';"),
            Err(LogFormatError::Escape("xml".into()))
        );
        assert_eq!(read("log_format a '$status"), Err(LogFormatError::Quote));
        assert_eq!(pieces("${status"), Err(LogFormatError::Brace));
        assert_eq!(pieces("a $ b"), Err(LogFormatError::EmptyName));
    }

    #[test]
    fn variables_may_be_braced() {
        assert_eq!(
            pieces("${status}x$host-").unwrap(),
            [
                Piece::Variable("status"),
                Piece::Literal("x"),
                Piece::Variable("host"),
                Piece::Literal("-")
            ]
        );
    }
}
