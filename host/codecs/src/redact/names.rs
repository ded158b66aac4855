//! Which names sound like a secret.
//!
//! Names are judged as they stand or percent-encoded however often; what is too
//! long to be an honest name counts as secret.

use super::encoded;

/// Names longer than this count as secret: no honest key is that long.
const LONGEST_NAME: usize = 64;

/// Whether a key, header, cookie or form field of that name holds a secret.
#[must_use]
pub fn is_secret_name(name: &str) -> bool {
    is_secret(name.as_bytes())
}

/// Parts of names that give a secret away wherever they occur, in any case.
const PARTS: [&[u8]; 24] = [
    b"token",
    b"passw",
    b"passphrase",
    b"privatekey",
    b"secret",
    b"session",
    b"sessid",
    b"signature",
    b"samlre",
    b"saml_re",
    b"apikey",
    b"auth",
    b"assertion",
    b"credential",
    b"cookie",
    b"csrf",
    b"xsrf",
    b"bearer",
    b"accesskey",
    b"id_tok",
    b"invite",
    b"magiclink",
    b"verifier",
    b"recovery",
];

/// Beginnings of the parts, which rule most places out at once.
const HEADS: [u32; 24] = heads();

/// Whole words that give a secret away; `code` does unless it is harmless.
const WORDS: [u64; 18] = [
    packed(b"key"),
    packed(b"sig"),
    packed(b"pass"),
    packed(b"pwd"),
    packed(b"pw"),
    packed(b"pin"),
    packed(b"otp"),
    packed(b"totp"),
    packed(b"sid"),
    packed(b"sess"),
    packed(b"mfa"),
    packed(b"tfa"),
    packed(b"2fa"),
    packed(b"jwt"),
    packed(b"ticket"),
    packed(b"hmac"),
    packed(b"nonce"),
    packed(b"magic"),
];

const CODE: u64 = packed(b"code");

/// Words that make a `code` harmless: `country_code`.
const HARMLESS: [u64; 10] = [
    packed(b"country"),
    packed(b"status"),
    packed(b"error"),
    packed(b"zip"),
    packed(b"postal"),
    packed(b"area"),
    packed(b"lang"),
    packed(b"language"),
    packed(b"currency"),
    packed(b"response"),
];

/// A word of up to eight bytes as a number; longer ones keep the last eight.
const fn packed(word: &[u8]) -> u64 {
    let mut value = 0;
    let mut rest = word;
    while let [byte, tail @ ..] = rest {
        value = value << 8 | *byte as u64;
        rest = tail;
    }
    value
}

const fn heads() -> [u32; 24] {
    let mut heads = [0; 24];
    let mut slots: &mut [u32] = &mut heads;
    let mut parts: &[&[u8]] = &PARTS;
    while let ([slot, more @ ..], [part, others @ ..]) = (slots, parts) {
        *slot = head(part);
        slots = more;
        parts = others;
    }
    heads
}

/// The first four bytes in lower case; other characters change, too, which
/// only makes the comparison of the whole part necessary.
const fn head(tail: &[u8]) -> u32 {
    match tail.first_chunk::<4>() {
        Some(bytes) => u32::from_le_bytes(*bytes) | 0x2020_2020,
        None => 0,
    }
}

fn has_part_at(name: &[u8], at: usize) -> bool {
    let tail = name.get(at..).unwrap_or_default();
    let head = head(tail);
    // No early exit, so that it compiles to vector instructions.
    HEADS
        .iter()
        .fold(false, |hit, known| hit | (*known == head))
        && PARTS.iter().any(|part| begins(tail, part))
        && (!begins(tail, b"author") || begins(tail, b"authoriz"))
}

fn begins(tail: &[u8], part: &[u8]) -> bool {
    tail.get(..part.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(part))
}

/// A percent-decoded name. Nothing when it is longer than any honest one.
fn decoded(raw: &[u8]) -> Option<([u8; LONGEST_NAME], usize)> {
    let mut name = [0; LONGEST_NAME];
    let mut length = 0;
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        let (byte, taken) = encoded(rest).map_or((*first, 1), |(byte, _, taken)| (byte, taken));
        *name.get_mut(length)? = byte;
        length += 1;
        rest = tail.get(taken - 1..).unwrap_or_default();
    }
    Some((name, length))
}

/// What a name says so far.
#[derive(Default)]
struct Verdict {
    secret: bool,
    code: bool,
    harmless: bool,
}

impl Verdict {
    fn add(&mut self, word: u64) {
        self.secret |= WORDS.contains(&word);
        self.code |= word == CODE;
        self.harmless |= HARMLESS.contains(&word);
    }
}

pub(super) fn is_secret(name: &[u8]) -> bool {
    judge(name).unwrap_or_else(|| {
        let decoded = decoded(name);
        decoded.is_none_or(|(name, length)| {
            // What could not be decoded separates words like anything else.
            let mut name = name;
            name.iter_mut()
                .filter(|byte| **byte == b'%')
                .for_each(|byte| *byte = b'-');
            name.get(..length).and_then(judge).unwrap_or(true)
        })
    })
}

/// One pass: parts wherever they are, words as they end. A word ends where
/// letters and digits do, and before a capital that follows a small letter.
/// Nothing when the name has to be decoded first.
fn judge(name: &[u8]) -> Option<bool> {
    let mut verdict = Verdict::default();
    let mut word = 0_u64;
    let mut lower_before = false;
    let mut start = 0;
    for (at, byte) in name.iter().enumerate() {
        if byte.is_ascii_alphanumeric() || *byte >= 0x80 {
            verdict.secret |= has_part_at(name, at);
            if lower_before && byte.is_ascii_uppercase() {
                verdict.add(word);
                word = 0;
            }
            word = word << 8 | u64::from(byte.to_ascii_lowercase());
        } else if *byte == b'%' {
            return None;
        } else {
            verdict.add(word);
            word = 0;
            if matches!(byte, b' ' | b'/' | b',' | b'+') {
                // What came before is prose or a path, not the name.
                verdict = Verdict::default();
                start = at + 1;
            }
        }
        lower_before = byte.is_ascii_lowercase();
    }
    verdict.add(word);
    Some(verdict.secret || (verdict.code && !verdict.harmless) || name.len() - start > LONGEST_NAME)
}
