//! Which names mean an older file of the same log.

use std::ffi::OsStr;
use std::path::Path;

const PACKED: [&str; 5] = ["gz", "bz2", "xz", "zst", "lz4"];

/// Digits a name has to have for another with other digits to be of the same
/// series: a date has eight, `app1` and `app2` are two programs.
const SERIES_DIGITS: usize = 6;

/// What is put behind the name of an older file by hand.
const OLD: [&str; 5] = ["old", "bak", "orig", "prev", "save"];

fn text(path: &Path) -> Option<&str> {
    path.file_name().and_then(OsStr::to_str)
}

/// A name's extension, if it says that the file is packed.
fn packed_as(name: &str) -> Option<&str> {
    let extension = Path::new(name).extension()?.to_str()?;
    PACKED.contains(&extension).then_some(extension)
}

/// Whether a name has as many digits as a date: others that differ in them
/// alone are of the same series.
pub(super) fn is_dated(path: &Path) -> bool {
    text(path).is_some_and(|own| own.chars().filter(char::is_ascii_digit).count() >= SERIES_DIGITS)
}

/// Whether a name differs from the path's in its digits alone, as those of
/// `app-20261120.log` and `app-20261121.log` do.
pub(super) fn is_alike(path: &Path, name: &OsStr) -> bool {
    let (Some(own), Some(name)) = (text(path), name.to_str()) else {
        return false;
    };
    let shape = |name: &str| name.replace(|one: char| one.is_ascii_digit(), "0");
    own != name && shape(own) == shape(name)
}

/// The two beginnings a rotated name of this path may have.
pub(super) fn beginnings(path: &Path) -> Vec<String> {
    let Some(base) = text(path) else {
        return Vec::new();
    };
    let stem = base.rsplit_once('.').map(|(stem, _)| format!("{stem}-"));
    let mut found = vec![format!("{base}-"), format!("{base}.")];
    // Of `a-.log` the two would overlap.
    found.extend(stem.filter(|stem| !stem.starts_with(base)));
    found
}

/// `access.log` becomes `access.log.1`, `access.log-20261120` (logrotate) or
/// `access-2026-11-20T15-04-05.000.log` (lumberjack). Packed files do not
/// count, but for the kinds in `packed`.
pub(crate) fn is_rotated_from(path: &Path, name: &OsStr, packed: &[&str]) -> bool {
    let (Some(name), Some(base)) = (name.to_str(), text(path)) else {
        return false;
    };
    let extension = packed_as(name);
    if extension.is_some_and(|extension| !packed.contains(&extension)) {
        return false;
    }
    if suffix(base, name).is_some() {
        return true;
    }
    // `audit-security.log` is another log, not an older `audit.log`.
    infix(base, name).is_some_and(|infix| infix.starts_with(|one: char| one.is_ascii_digit()))
}

/// Whether of two names one pattern matches this one is surely an older file
/// of the other: followed on its own it would be read twice. Stricter than
/// [`is_rotated_from`]: `access.log.internal` and `app-1.log` are taken for
/// logs of their own.
pub(super) fn is_surely_rotated_from(path: &Path, name: &OsStr) -> bool {
    let (Some(name), Some(base)) = (name.to_str(), text(path)) else {
        return false;
    };
    if let Some(suffix) = suffix(base, name) {
        let mark = suffix.split(['.', '-']).next().unwrap_or_default();
        return mark.starts_with(|one: char| one.is_ascii_digit())
            || OLD.contains(&mark)
            || PACKED.contains(&mark);
    }
    infix(base, name).is_some_and(is_date)
}

/// Whether this begins with a day, or is seconds or more since 1970: an
/// address or the number of a worker names a log of its own.
fn is_date(infix: &str) -> bool {
    let digits = infix.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = infix.split_at_checked(digits).unwrap_or_default();
    let day = |year: &str, month: &str, day: &str| {
        let within = |text: &str, range: std::ops::RangeInclusive<u32>| {
            text.parse().is_ok_and(|number| range.contains(&number))
        };
        within(year, 1970..=2199) && within(month, 1..=12) && within(day, 1..=31)
    };
    let split = |number: &str| {
        let (year, rest) = number.split_at_checked(4)?;
        let (month, rest) = rest.split_at_checked(2)?;
        let (of_month, _) = rest.split_at_checked(2)?;
        Some(day(year, month, of_month))
    };
    match number.len() {
        4 => {
            let mut parts = rest.split(|one: char| !one.is_ascii_digit()).skip(1);
            let (month, of_month) = (parts.next(), parts.next());
            month.zip(of_month).is_some_and(|(month, of_month)| {
                month.len() == 2 && of_month.len() == 2 && day(number, month, of_month)
            })
        }
        // With a time behind it, or none.
        8 | 10 | 12 | 14 if split(number).unwrap_or_default() => true,
        10 | 13 => rest.is_empty() && number.starts_with('1'),
        _ => false,
    }
}

/// What follows `base` and a dot or a hyphen.
fn suffix<'a>(base: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(base)?.strip_prefix(['.', '-'])
}

/// What stands between a hyphen behind the stem and the extension.
fn infix<'a>(base: &str, name: &'a str) -> Option<&'a str> {
    let (stem, kind) = base.rsplit_once('.')?;
    let plain = match packed_as(name) {
        Some(extension) => name.strip_suffix(extension)?.strip_suffix('.')?,
        None => name,
    };
    let (plain, last) = plain.rsplit_once('.')?;
    (last == kind)
        .then(|| plain.strip_prefix(stem)?.strip_prefix('-'))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "/var/log/audit.log";

    #[test]
    fn names_of_rotated_files_are_known() {
        let rotated = |name: &str| is_rotated_from(Path::new(LOG), name.as_ref(), &[]);
        for name in [
            "audit.log.1",
            "audit.log-20261120",
            "audit-2026-11-20T15-04-05.000.log",
        ] {
            assert!(rotated(name), "{name}");
            let mut beginnings = beginnings(Path::new(LOG)).into_iter();
            assert!(beginnings.any(|begins| name.starts_with(&begins)), "{name}");
        }
        for name in [
            "audit.log",
            "audit.log.1.gz",
            "audit.logs",
            "audit-security.log",
            "other.log.1",
            "audit-x.txt",
        ] {
            assert!(!rotated(name), "{name}");
        }
        for (name, expected) in [
            ("audit.log.2.gz", true),
            ("audit-2026-11-20T15-04-05.000.log.gz", true),
            ("audit.log.2.xz", false),
            ("audit.gz", false),
        ] {
            assert_eq!(
                is_rotated_from(Path::new(LOG), name.as_ref(), &["gz"]),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn among_the_names_of_a_pattern_only_sure_rotations_are_left_out() {
        for (name, expected) in [
            ("audit.log.1", true),
            ("audit.log.2.gz", true),
            ("audit.log.gz", true),
            ("audit.log-20261120.xz", true),
            ("audit.log.old", true),
            ("audit-2026-11-20T15-04-05.000.log", true),
            ("audit-2026-11-20.log.gz", true),
            ("audit.log.internal", false),
            ("audit-1.log", false),
            ("audit-20261120.log", true),
            ("audit-20261120-1.log.gz", true),
            ("audit-20261120150405.log", true),
            ("audit-2026.11.20.log", true),
            ("audit-1795219200.log", true),
            ("audit-192.168.100.200.log", false),
            ("audit-1048576.log", false),
            ("audit-10485760.log", false),
            ("audit-security.log", false),
            ("audit.log", false),
        ] {
            assert_eq!(
                is_surely_rotated_from(Path::new(LOG), name.as_ref()),
                expected,
                "{name}"
            );
        }
    }
}
