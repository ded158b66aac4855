//! Byte comparisons in words of eight.
//!
//! On 32-bit WebAssembly the standard comparison of two slices goes byte by
//! byte; most of a mapping's time would be spent there.
//!
//! Invariant: every function takes time linear in the shorter argument
//! ([`contains`]: in the product with the needle, which the table bounds).

const EVERY: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first eight bytes as a little-endian number; fewer are padded with zero.
#[inline]
pub(crate) fn word(bytes: &[u8]) -> u64 {
    if let Some(whole) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*whole);
    }
    if let (Some(low), Some(high)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let shift = (bytes.len() - 4) * 8;
        return u64::from(u32::from_le_bytes(*low)) | u64::from(u32::from_le_bytes(*high)) << shift;
    }
    // One to three bytes: first, middle and last cover them all.
    let (Some(first), Some(middle), Some(last)) =
        (bytes.first(), bytes.get(bytes.len() / 2), bytes.last())
    else {
        return 0;
    };
    let shifted = |byte: &u8, at: usize| u64::from(*byte) << (at * 8);
    shifted(first, 0) | shifted(middle, bytes.len() / 2) | shifted(last, bytes.len() - 1)
}

/// Whether two texts are the same.
#[inline]
pub(crate) fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && starts_equal(left, right)
}

/// Whether `text` begins with `prefix`.
#[inline]
pub(crate) fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    text.split_at_checked(prefix.len())
        .is_some_and(|(start, _)| starts_equal(start, prefix))
}

/// Whether `text` ends with `suffix`.
pub(crate) fn ends_with(text: &[u8], suffix: &[u8]) -> bool {
    let Some(at) = text.len().checked_sub(suffix.len()) else {
        return false;
    };
    text.split_at_checked(at)
        .is_some_and(|(_, end)| starts_equal(end, suffix))
}

/// Whether `needle` occurs in `text`.
pub(crate) fn contains(text: &[u8], needle: &[u8]) -> bool {
    needle.is_empty()
        || text
            .windows(needle.len())
            .any(|window| starts_equal(window, needle))
}

/// Compares texts of the same length.
#[inline]
fn starts_equal(mut left: &[u8], mut right: &[u8]) -> bool {
    while let (Some((one, left_rest)), Some((other, right_rest))) = (
        left.split_first_chunk::<8>(),
        right.split_first_chunk::<8>(),
    ) {
        if u64::from_le_bytes(*one) != u64::from_le_bytes(*other) {
            return false;
        }
        (left, right) = (left_rest, right_rest);
    }
    word(left) == word(right)
}

/// Marks, by the high bit of each byte, at least the lowest byte of `word`
/// that equals `byte`; zero when there is none.
#[inline]
pub(crate) fn matches(word: u64, byte: u8) -> u64 {
    let difference = word ^ (EVERY * u64::from(byte));
    difference.wrapping_sub(EVERY) & !difference & HIGH
}

/// Cuts a text at the first `byte`, which belongs to neither part.
pub(crate) fn split_once(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let mut rest = text;
    loop {
        let found = matches(word(rest), byte);
        if found != 0 {
            let at = text.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
            let (before, from) = text.split_at_checked(at)?;
            return Some((before, from.split_first()?.1));
        }
        rest = rest.split_first_chunk::<8>()?.1;
    }
}

/// Marks, by the high bit of each byte, the bytes of `word` that are at least
/// `least`. Bytes above 0x7F must have been ruled out.
#[inline]
fn at_least(word: u64, least: u8) -> u64 {
    ((word | HIGH) - EVERY * u64::from(least)) & HIGH
}

/// Whether all eight bytes are hexadecimal digits; upper-case ones only when
/// `upper` says so.
#[inline]
pub(crate) fn all_hexadecimal(word: u64, upper: bool) -> bool {
    if word & HIGH != 0 {
        return false;
    }
    let letters = if upper { word | (EVERY * 0x20) } else { word };
    let digit = at_least(word, b'0') & !at_least(word, b'9' + 1);
    let letter = at_least(letters, b'a') & !at_least(letters, b'f' + 1);
    digit | letter == HIGH
}

/// A path cut at its first slash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment<'a> {
    /// What stands before the slash.
    pub(crate) text: &'a [u8],
    /// Hash of `text`, see [`hash`].
    pub(crate) hash: u64,
    /// What follows the slash; `None` when there is no slash.
    pub(crate) after: Option<&'a [u8]>,
}

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    (hash.rotate_left(5) ^ word).wrapping_mul(MULTIPLIER)
}

/// Hash of a whole segment: what [`segment`] computes on the way. Not keyed:
/// every use verifies the bytes.
pub(crate) fn hash(text: &[u8]) -> u64 {
    segment(text).hash
}

/// Finds the next slash and hashes what stands before it, in one pass.
#[inline]
pub(crate) fn segment(path: &[u8]) -> Segment<'_> {
    let mut hash = 0;
    let mut length = 0;
    let mut rest = path;
    loop {
        let chunk = word(rest);
        let slash = matches(chunk, b'/');
        if slash != 0 {
            let bytes = slash.trailing_zeros() / 8;
            length += bytes as usize;
            if bytes > 0 {
                hash = mix(hash, chunk & (u64::MAX >> (64 - bytes * 8)));
            }
            break;
        }
        let Some((_, further)) = rest.split_first_chunk::<8>() else {
            length = path.len();
            if !rest.is_empty() {
                hash = mix(hash, chunk);
            }
            break;
        };
        hash = mix(hash, chunk);
        length += 8;
        rest = further;
    }
    let (text, tail) = path.split_at_checked(length).unwrap_or((path, &[]));
    Segment {
        text,
        hash: mix(hash, length as u64),
        after: tail.split_first().map(|(_, after)| after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_agree_with_the_standard_ones() {
        let text = b"/administration/accounts/login/";
        for from in 0..text.len() {
            for to in from..text.len() {
                let part = &text[from..to];
                assert!(same(part, &text.to_vec()[from..to]));
                assert!(contains(text, part));
                assert_eq!(starts_with(text, part), text.starts_with(part));
                assert_eq!(ends_with(text, part), text.ends_with(part));
            }
        }
        assert!(!same(b"abcdefghi", b"abcdefghj"));
        assert!(!contains(text, b"logout"));
    }

    #[test]
    fn a_text_is_cut_at_the_first_mark() {
        assert_eq!(
            split_once(b"/search/?q=?", b'?'),
            Some((&b"/search/"[..], &b"q=?"[..]))
        );
        assert_eq!(
            split_once(b"/archival-storage/?", b'?'),
            Some((&b"/archival-storage/"[..], &b""[..]))
        );
        assert_eq!(split_once(b"/archival-storage", b'?'), None);
    }

    #[test]
    fn a_segment_ends_at_the_first_slash_wherever_it_stands() {
        for length in 0..40 {
            let name = vec![b'x'; length];
            let mut path = name.clone();
            let bare = segment(&path);
            assert_eq!((bare.text, bare.after), (&*name, None));
            path.extend_from_slice(b"/rest/of/it");
            let cut = segment(&path);
            assert_eq!((cut.text, cut.after), (&*name, Some(&b"rest/of/it"[..])));
            assert_eq!(cut.hash, hash(&name));
        }
    }

    #[test]
    fn hexadecimal_is_told_for_every_byte() {
        for byte in 0..=u8::MAX {
            for at in 0..8 {
                let mut bytes = *b"0a9f1b2e";
                bytes[at] = byte;
                let number = u64::from_le_bytes(bytes);
                assert_eq!(
                    all_hexadecimal(number, true),
                    byte.is_ascii_hexdigit(),
                    "{byte:#x}"
                );
                let lower = byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase();
                assert_eq!(all_hexadecimal(number, false), lower, "{byte:#x}");
            }
        }
    }
}
