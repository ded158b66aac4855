//! Universally unique identifiers in their usual form of 36 characters.

use crate::bytes::{all_hexadecimal, matches, word};

/// Characters of a UUID.
pub(crate) const LENGTH: usize = 36;

/// Whether `text` is exactly a UUID; with upper-case digits only if `upper`.
#[inline]
pub(crate) fn is_uuid(text: &[u8], upper: bool) -> bool {
    let Ok(text) = <&[u8; LENGTH]>::try_from(text) else {
        return false;
    };
    let [
        a0,
        a1,
        a2,
        a3,
        a4,
        a5,
        a6,
        a7,
        h0,
        b0,
        b1,
        b2,
        b3,
        h1,
        c0,
        c1,
        c2,
        c3,
        h2,
        rest @ ..,
    ] = text;
    let [
        d0,
        d1,
        d2,
        d3,
        h3,
        e0,
        e1,
        e2,
        e3,
        f0,
        f1,
        f2,
        f3,
        f4,
        f5,
        f6,
        f7,
    ] = rest;
    if [*h0, *h1, *h2, *h3] != *b"----" {
        return false;
    }
    [
        [*a0, *a1, *a2, *a3, *a4, *a5, *a6, *a7],
        [*b0, *b1, *b2, *b3, *c0, *c1, *c2, *c3],
        [*d0, *d1, *d2, *d3, *e0, *e1, *e2, *e3],
        [*f0, *f1, *f2, *f3, *f4, *f5, *f6, *f7],
    ]
    .into_iter()
    .all(|part| all_hexadecimal(u64::from_le_bytes(part), upper))
}

/// The first UUID in a text; it may stand within a longer run of digits.
pub(crate) fn find(text: &[u8], upper: bool) -> Option<&[u8]> {
    let mut rest = text;
    let mut at = 0;
    while rest.len() >= LENGTH - 8 {
        let mut hyphens = matches(word(rest), b'-');
        while hyphens != 0 {
            let hyphen = at + (hyphens.trailing_zeros() / 8) as usize;
            let candidate = hyphen
                .checked_sub(8)
                .and_then(|start| text.get(start..start + LENGTH));
            if let Some(candidate) = candidate
                && is_uuid(candidate, upper)
            {
                return Some(candidate);
            }
            hyphens &= hyphens - 1;
        }
        rest = rest.split_first_chunk::<8>()?.1;
        at += 8;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";

    #[test]
    fn a_uuid_is_found_wherever_it_stands() {
        for before in 0..20 {
            let text = format!("{}{SAMPLE}{}", "-".repeat(before), "z".repeat(before));
            assert_eq!(find(text.as_bytes(), false), Some(SAMPLE.as_bytes()));
        }
        let longer = format!("/aa{SAMPLE}bb");
        assert_eq!(find(longer.as_bytes(), false), Some(SAMPLE.as_bytes()));
    }

    #[test]
    fn upper_case_counts_only_where_allowed() {
        let upper = SAMPLE.to_uppercase();
        assert!(is_uuid(upper.as_bytes(), true));
        assert!(!is_uuid(upper.as_bytes(), false));
        assert_eq!(find(upper.as_bytes(), false), None);
    }

    #[test]
    fn near_misses_are_none() {
        for at in 0..LENGTH {
            let mut text = SAMPLE.as_bytes().to_vec();
            text[at] = b'g';
            assert!(!is_uuid(&text, true), "{at}");
            assert_eq!(find(&text, true), None);
        }
        assert!(!is_uuid(&SAMPLE.as_bytes()[1..], true));
    }
}
