//! Records in a byte stream: octet counting (RFC 6587) and lines.

/// Longest length prefix read, in digits.
const DIGITS: usize = 9;

/// Appends `record` with its length before it, as RFC 6587 octet counting.
pub fn frame_octet_counted(record: &[u8], out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(record.len()).as_bytes());
    out.push(b' ');
    out.extend_from_slice(record);
}

/// What [`Splitter::next`] found at the start of a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split<'a> {
    /// A whole record; drop `consumed` bytes of the buffer after use.
    Record {
        /// The record without its framing.
        record: &'a [u8],
        /// Bytes it took of the buffer.
        consumed: usize,
    },
    /// Drop `consumed` bytes: they belong to a record longer than the limit
    /// (`oversized` is true once per such record) or are empty.
    Skip {
        /// Bytes to drop.
        consumed: usize,
        /// A record is lost and to be counted.
        oversized: bool,
    },
    /// Read more first; never asks for more than the limit and a few bytes.
    More,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Discard {
    Nothing,
    Bytes(usize),
    Line,
}

/// Splits a byte stream into syslog records: octet counting where a record
/// starts with a length and `<`, else up to LF or NUL.
#[derive(Debug, Clone)]
pub struct Splitter {
    limit: usize,
    discard: Discard,
    /// Bytes of an unfinished line already searched for its end.
    searched: usize,
}

/// How a record is framed, as far as the buffer tells.
enum Framing {
    Counted { header: usize, length: usize },
    Line,
    Unknown,
}

impl Splitter {
    /// A splitter for records of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            discard: Discard::Nothing,
            searched: 0,
        }
    }

    /// Looks at the start of `buffer`. Call again after dropping what was
    /// consumed; at the end of the stream pass `end` to get the last record
    /// without its LF.
    pub fn next<'a>(&mut self, buffer: &'a [u8], end: bool) -> Split<'a> {
        if buffer.is_empty() {
            return Split::More;
        }
        match self.discard {
            Discard::Nothing => {}
            Discard::Bytes(left) => {
                let consumed = left.min(buffer.len());
                self.discard = if consumed == left {
                    Discard::Nothing
                } else {
                    Discard::Bytes(left - consumed)
                };
                return Split::Skip {
                    consumed,
                    oversized: false,
                };
            }
            Discard::Line => {
                let found = end_of_line(buffer);
                if found.is_some() {
                    self.discard = Discard::Nothing;
                }
                return Split::Skip {
                    consumed: found.map_or(buffer.len(), |at| at + 1),
                    oversized: false,
                };
            }
        }
        let blanks = buffer
            .iter()
            .take_while(|byte| matches!(byte, b'\n' | b'\r' | 0))
            .count();
        if blanks > 0 {
            return Split::Skip {
                consumed: blanks,
                oversized: false,
            };
        }
        match framing(buffer, end) {
            Framing::Unknown => Split::More,
            Framing::Counted { header, length } => self.counted(buffer, end, header, length),
            Framing::Line => self.line(buffer, end),
        }
    }

    fn counted<'a>(
        &mut self,
        buffer: &'a [u8],
        end: bool,
        header: usize,
        length: usize,
    ) -> Split<'a> {
        if length > self.limit {
            self.discard = Discard::Bytes(length);
            return Split::Skip {
                consumed: header,
                oversized: true,
            };
        }
        let consumed = header + length;
        match buffer.get(header..consumed) {
            Some(record) => Split::Record { record, consumed },
            // Cut off by the end of the stream: not the record that was sent.
            None if end => Split::Skip {
                consumed: buffer.len(),
                oversized: true,
            },
            None => Split::More,
        }
    }

    fn line<'a>(&mut self, buffer: &'a [u8], end: bool) -> Split<'a> {
        let rest = buffer.get(self.searched..).unwrap_or_default();
        let found = end_of_line(rest).map(|at| at + self.searched);
        let length = found.unwrap_or(buffer.len());
        if length > self.limit {
            self.searched = 0;
            if found.is_none() {
                self.discard = Discard::Line;
            }
            return Split::Skip {
                consumed: found.map_or(buffer.len(), |at| at + 1),
                oversized: true,
            };
        }
        if found.is_none() && !end {
            self.searched = buffer.len();
            return Split::More;
        }
        self.searched = 0;
        let line = buffer.get(..length).unwrap_or_default();
        let record = line.strip_suffix(b"\r").unwrap_or(line);
        Split::Record {
            record,
            consumed: found.map_or(buffer.len(), |at| at + 1),
        }
    }
}

fn end_of_line(buffer: &[u8]) -> Option<usize> {
    memchr::memchr2(b'\n', 0, buffer)
}

/// A length counts only when a priority follows it; other text that starts
/// with digits is a line.
fn framing(buffer: &[u8], end: bool) -> Framing {
    let digits = buffer
        .iter()
        .take(DIGITS + 1)
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    if digits == 0 || digits > DIGITS || buffer.first() == Some(&b'0') {
        return Framing::Line;
    }
    match buffer.get(digits..) {
        Some([b' ', b'<', ..]) => {}
        Some([] | [b' ']) if !end => return Framing::Unknown,
        _ => return Framing::Line,
    }
    let digit = |length: usize, byte: &u8| length * 10 + usize::from(byte - b'0');
    let length = buffer.iter().take(digits).fold(0, digit);
    Framing::Counted {
        header: digits + 1,
        length,
    }
}
