//! The grammar of a user agent: products with a version, comments in
//! parentheses whose parts are separated by semicolons (RFC 9110, 10.1.5).

/// One element of a user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// `name/version`; the version may be empty.
    Product { name: &'a str, version: &'a str },
    /// One part of a comment, trimmed, not empty.
    Comment(&'a str),
}

/// Splits a user agent; every byte is looked at a bounded number of times.
pub(super) fn tokens(text: &str) -> impl Iterator<Item = Token<'_>> {
    Tokens {
        rest: text,
        depth: 0,
    }
}

struct Tokens<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        loop {
            if self.depth > 0 {
                if let Some(part) = self.comment_part() {
                    return Some(Token::Comment(part));
                }
                continue;
            }
            self.rest = self
                .rest
                .trim_start_matches(|char: char| char.is_ascii_whitespace() || char == ')');
            if let Some(rest) = self.rest.strip_prefix('(') {
                self.rest = rest;
                self.depth = 1;
                continue;
            }
            if self.rest.is_empty() {
                return None;
            }
            let end = self
                .rest
                .find(|char: char| char.is_ascii_whitespace() || char == '(');
            let (word, rest) = self.rest.split_at_checked(end.unwrap_or(self.rest.len()))?;
            self.rest = rest;
            let (name, version) = word.split_once('/').unwrap_or((word, ""));
            return Some(Token::Product { name, version });
        }
    }
}

impl<'a> Tokens<'a> {
    /// The next part of a comment; `None` when it is empty.
    fn comment_part(&mut self) -> Option<&'a str> {
        let found = self
            .rest
            .char_indices()
            .find(|(_, char)| matches!(char, ';' | '(' | ')'));
        let Some((at, delimiter)) = found else {
            self.depth = 0;
            return Some(std::mem::take(&mut self.rest).trim()).filter(|part| !part.is_empty());
        };
        match delimiter {
            '(' => self.depth += 1,
            ')' => self.depth -= 1,
            _ => {}
        }
        let part = self.rest.get(..at)?.trim();
        self.rest = self.rest.get(at + 1..)?;
        Some(part).filter(|part| !part.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_nested_comments_are_told_apart() {
        let found: Vec<_> = tokens("A/1 (b; c (d) ;e)F x)(").collect();
        let product = |name, version| Token::Product { name, version };
        assert_eq!(
            found,
            [
                product("A", "1"),
                Token::Comment("b"),
                Token::Comment("c"),
                Token::Comment("d"),
                Token::Comment("e"),
                product("F", ""),
                product("x)", ""),
            ]
        );
    }

    #[test]
    fn an_open_comment_ends_with_the_text() {
        assert_eq!(tokens("(((").count(), 0);
        assert_eq!(tokens("((a").collect::<Vec<_>>(), [Token::Comment("a")]);
    }
}
