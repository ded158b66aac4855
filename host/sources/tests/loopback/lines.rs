//! The line splitter.

use std::io::Read;

use proptest::prelude::*;
use sidewatch_sources::{LineBuffer, LineReader};

type Seen = (Vec<u8>, u64, u64, bool);

/// What the lines are, by the definition: in one piece and without cleverness.
fn expected(content: &[u8], limit: usize) -> Vec<Seen> {
    let mut lines = Vec::new();
    let mut at = 0;
    loop {
        while content.get(at) == Some(&0) {
            at += 1;
        }
        if at >= content.len() {
            return lines;
        }
        let end = content[at..].iter().position(|byte| *byte == b'\n');
        let mut line = &content[at..end.map_or(content.len(), |end| at + end)];
        let next = at + line.len() + usize::from(end.is_some());
        if end.is_some() && line.ends_with(b"\r") {
            line = &line[..line.len() - 1];
        }
        let cut = &line[..line.len().min(limit)];
        lines.push((cut.to_vec(), at as u64, next as u64, line.len() > limit));
        at = next;
    }
}

fn split(content: &[u8], limit: usize, cuts: &[usize]) -> Vec<Seen> {
    let mut buffer = LineBuffer::new(limit, 512, 0);
    let mut lines = Vec::new();
    let mut rest = content;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let spare = buffer.spare();
        let count = rest.len().min(*cuts.next().unwrap()).min(spare.len());
        spare[..count].copy_from_slice(&rest[..count]);
        buffer.filled(count);
        rest = &rest[count..];
        while let Some(line) = buffer.next_line() {
            lines.push((line.bytes.to_vec(), line.offset, line.end, line.truncated));
        }
    }
    if let Some(line) = buffer.last_line() {
        lines.push((line.bytes.to_vec(), line.offset, line.end, line.truncated));
    }
    lines
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => Just(b'a'), 2 => Just(b'\n'), 1 => Just(b'\r'), 1 => Just(0), 2 => any::<u8>()
    ];
    prop::collection::vec(byte, 0..2000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_cutting_gives_the_same_lines(
        content in content(),
        limit in 1_usize..60,
        cuts in prop::collection::vec(1_usize..400, 1..20),
    ) {
        prop_assert_eq!(split(&content, limit, &cuts), expected(&content, limit));
    }

    #[test]
    fn the_bytes_before_the_next_line_are_those_of_the_stream(
        content in content(),
        limit in 1_usize..60,
        cuts in prop::collection::vec(1_usize..400, 1..20),
        from in 0_usize..100,
    ) {
        // As after a position in the middle of a stream.
        let from = from.min(content.len());
        let mut buffer =
            LineBuffer::new(limit, 512, from as u64).preceded_by(&content[..from]);
        let check = |line: sidewatch_sources::Line<'_>| {
            let end = usize::try_from(line.end).unwrap();
            assert_eq!(line.ending.concat(), content[end.saturating_sub(64)..end]);
            let start = usize::try_from(line.offset).unwrap();
            assert_eq!(line.bytes, &content[start..start + line.bytes.len()]);
        };
        let mut rest = &content[from..];
        for (turn, cut) in cuts.iter().cycle().enumerate() {
            // Others use the memory in between.
            if turn % 3 == 1 {
                drop(buffer.give_up());
            }
            if turn % 3 == 2 {
                buffer.borrow(vec![1; 4096]);
            }
            let spare = buffer.spare();
            let count = spare.len().min(rest.len()).min(*cut);
            spare[..count].copy_from_slice(&rest[..count]);
            buffer.filled(count);
            rest = &rest[count..];
            while let Some(line) = buffer.next_line() {
                check(line);
            }
            if rest.is_empty() {
                break;
            }
        }
        if let Some(line) = buffer.last_line() {
            check(line);
        }
    }

    #[test]
    fn the_reader_gives_the_same_lines_numbered_from_one(
        content in content(), limit in 1_usize..60
    ) {
        let mut reader = LineReader::new(content.as_slice(), limit);
        let mut lines = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            lines.push((line.bytes.to_vec(), line.offset, line.end, line.truncated));
            prop_assert_eq!(line.number, lines.len() as u64);
        }
        prop_assert_eq!(lines, expected(&content, limit));
    }
}

#[test]
fn a_line_without_end_takes_bounded_memory() {
    let mut buffer = LineBuffer::new(1000, 512, 0);
    let mut most = 0;
    for _ in 0..10_000 {
        let spare = buffer.spare();
        spare.fill(b'x');
        let count = spare.len();
        most = most.max(count);
        buffer.filled(count);
        assert!(buffer.next_line().is_none());
    }
    assert!(most <= 1001 + 64 * 1024, "{most}");
    let pending = buffer.pending();
    buffer.spare()[0] = b'\n';
    buffer.filled(1);
    let line = buffer.next_line().unwrap();
    assert!(line.truncated);
    assert_eq!((line.bytes.len(), line.end), (1000, pending + 1));
}

#[test]
fn a_reader_that_is_interrupted_is_asked_again() {
    struct Interrupted(u32);
    impl Read for Interrupted {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0 += 1;
            match self.0 {
                1 | 3 => Err(std::io::ErrorKind::Interrupted.into()),
                2 => {
                    buffer[..4].copy_from_slice(b"a\nb\n");
                    Ok(4)
                }
                _ => Ok(0),
            }
        }
    }
    let mut reader = LineReader::new(Interrupted(0), 10);
    assert_eq!(reader.next_line().unwrap().unwrap().bytes, b"a");
    assert_eq!(reader.next_line().unwrap().unwrap().bytes, b"b");
    assert!(reader.next_line().unwrap().is_none());
}
