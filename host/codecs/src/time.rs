//! Times as logs write them, to and from milliseconds since the Unix epoch.
//!
//! Impossible dates are refused, zones are honoured. The calendar is chrono's;
//! only the digits are read here, because its format strings are slow.

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A wall-clock time. `offset` is in seconds east of UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i32,
    pub(crate) month: u32,
    pub(crate) day: u32,
    pub(crate) hour: u32,
    pub(crate) minute: u32,
    pub(crate) second: u32,
    pub(crate) millisecond: u32,
    pub(crate) offset: i64,
}

impl Civil {
    /// Milliseconds since the epoch, unless there is no such time.
    pub(crate) fn epoch(&self) -> Option<i64> {
        let date = NaiveDate::from_ymd_opt(self.year, self.month, self.day)?;
        let time = date.and_hms_milli_opt(self.hour, self.minute, self.second, self.millisecond)?;
        time.and_utc()
            .timestamp_millis()
            .checked_sub(self.offset * 1000)
    }

    /// The time in the zone `offset` seconds east of UTC. Times no RFC 3339
    /// time stamp can write, before the year 0 or after 9999, become the epoch.
    pub(crate) fn from_epoch(epoch: i64, offset: i64) -> Self {
        let shifted = epoch.saturating_add(offset * 1000);
        let time = DateTime::from_timestamp_millis(shifted)
            .filter(|time| (0..=9999).contains(&time.year()))
            .unwrap_or_default();
        Self {
            year: time.year(),
            month: time.month(),
            day: time.day(),
            hour: time.hour(),
            minute: time.minute(),
            second: time.second(),
            millisecond: time.timestamp_subsec_millis(),
            offset,
        }
    }

    /// English abbreviation of the month.
    pub(crate) fn month_name(&self) -> &'static str {
        let at = usize::try_from(self.month)
            .unwrap_or_default()
            .wrapping_sub(1);
        MONTHS.get(at).copied().unwrap_or("Jan")
    }

    /// Appends `2026-11-21T01:02:03.004` with the given separator and no zone.
    pub(crate) fn write(&self, separator: char, out: &mut String) {
        padded(self.year.unsigned_abs(), 4, out);
        for (before, value) in [
            ('-', self.month),
            ('-', self.day),
            (separator, self.hour),
            (':', self.minute),
            (':', self.second),
        ] {
            out.push(before);
            padded(value, 2, out);
        }
        out.push('.');
        padded(self.millisecond, 3, out);
    }
}

/// Appends `value` with leading zeros.
pub(crate) fn padded(value: u32, width: usize, out: &mut String) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(value);
    for _ in digits.len()..width {
        out.push('0');
    }
    out.push_str(digits);
}

/// Appends an RFC 3339 time in UTC with milliseconds.
pub(crate) fn write_rfc3339(epoch: i64, out: &mut String) {
    Civil::from_epoch(epoch, 0).write('T', out);
    out.push('Z');
}

/// Number of an English month abbreviation in any case, 1 to 12.
pub(crate) fn month(name: &str) -> Option<u32> {
    name.as_bytes().try_into().ok().and_then(month_of)
}

/// Reads digits and fixed bytes from the front of a text.
pub(crate) struct Digits<'a>(pub(crate) &'a str);

impl<'a> Digits<'a> {
    /// The number in exactly `width` digits.
    pub(crate) fn number(&mut self, width: usize) -> Option<u32> {
        let (head, tail) = self.0.split_at_checked(width)?;
        let mut value = 0;
        for digit in head.bytes() {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value * 10 + u32::from(digit - b'0');
        }
        self.0 = tail;
        Some(value)
    }

    /// The given text.
    pub(crate) fn fixed(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// `width` bytes of any text.
    pub(crate) fn text(&mut self, width: usize) -> Option<&'a str> {
        let (head, tail) = self.0.split_at_checked(width)?;
        self.0 = tail;
        Some(head)
    }

    /// `hh:mm:ss`.
    pub(crate) fn clock(&mut self, civil: &mut Civil) -> Option<()> {
        civil.hour = self.number(2)?;
        self.fixed(":")?;
        civil.minute = self.number(2)?;
        self.fixed(":")?;
        civil.second = self.number(2)?;
        Some(())
    }

    /// `.123…`: the first three digits count, up to nine are accepted.
    pub(crate) fn fraction(&mut self) -> Option<u32> {
        let end = self
            .0
            .bytes()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(self.0.len());
        let (head, tail) = self.0.split_at_checked(end)?;
        if head.is_empty() || head.len() > 9 {
            return None;
        }
        self.0 = tail;
        let milliseconds = head.bytes().chain([b'0'; 2]).take(3);
        Some(milliseconds.fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
    }

    /// `+hhmm` or `+hh:mm`, as seconds east of UTC.
    pub(crate) fn offset(&mut self) -> Option<i64> {
        let sign = match self.text(1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let hours = self.number(2)?;
        self.0 = self.0.strip_prefix(':').unwrap_or(self.0);
        let minutes = self.number(2)?;
        (hours <= 23 && minutes <= 59).then(|| sign * i64::from(hours * 3600 + minutes * 60))
    }
}

/// nginx' `$time_local`: `21/Nov/2026:01:02:03 +0100`.
pub(crate) fn parse_local(text: &str) -> Option<i64> {
    let [
        day @ ..,
        b'/',
        m1,
        m2,
        m3,
        b'/',
        y1,
        y2,
        y3,
        y4,
        b':',
        h1,
        h2,
        b':',
        i1,
        i2,
        b':',
        s1,
        s2,
        b' ',
        sign,
        z1,
        z2,
        z3,
        z4,
    ] = text.as_bytes()
    else {
        return None;
    };
    let [d1, d2] = day else {
        return None;
    };
    let zone = pair(*z1, *z2)? * 3600 + pair(*z3, *z4).filter(|minutes| *minutes <= 59)? * 60;
    let zone = i64::from((zone < 86_400).then_some(zone)?);
    let civil = Civil {
        year: i32::try_from(pair(*y1, *y2)? * 100 + pair(*y3, *y4)?).ok()?,
        month: month_of([*m1, *m2, *m3])?,
        day: pair(*d1, *d2)?,
        hour: pair(*h1, *h2)?,
        minute: pair(*i1, *i2)?,
        second: pair(*s1, *s2)?,
        millisecond: 0,
        offset: match sign {
            b'+' => zone,
            b'-' => -zone,
            _ => return None,
        },
    };
    civil.epoch()
}

fn pair(tens: u8, ones: u8) -> Option<u32> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
}

fn month_of(name: [u8; 3]) -> Option<u32> {
    Some(match &name.map(|letter| letter.to_ascii_lowercase()) {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    })
}

/// ISO 8601 as in `$time_iso8601` and RFC 3339: a `T` or blank, an optional
/// fraction, `Z` or an offset.
pub(crate) fn parse_iso(text: &str) -> Option<i64> {
    let mut digits = Digits(text);
    let mut civil = parse_date_time(&mut digits)?;
    civil.offset = match digits.0 {
        "Z" | "z" => 0,
        _ => {
            let offset = digits.offset()?;
            digits.0.is_empty().then_some(offset)?
        }
    };
    civil.epoch()
}

/// `2026-11-21 01:02:03[.456]`, taken as UTC.
pub(crate) fn parse_utc(text: &str) -> Option<i64> {
    let mut digits = Digits(text);
    let civil = parse_date_time(&mut digits)?;
    digits.0.is_empty().then(|| civil.epoch())?
}

fn parse_date_time(digits: &mut Digits<'_>) -> Option<Civil> {
    let mut civil = Civil {
        year: i32::try_from(digits.number(4)?).ok()?,
        ..Civil::default()
    };
    digits.fixed("-")?;
    civil.month = digits.number(2)?;
    digits.fixed("-")?;
    civil.day = digits.number(2)?;
    matches!(digits.text(1)?, "T" | "t" | " ").then_some(())?;
    digits.clock(&mut civil)?;
    if digits.fixed(".").is_some() {
        civil.millisecond = digits.fraction()?;
    }
    Some(civil)
}

/// Seconds since the epoch with an optional fraction, as in `$msec`. Numbers
/// of 13 digits are milliseconds, as other writers have them.
pub(crate) fn parse_epoch(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || whole.len() > 13 || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i64 = whole.parse().ok()?;
    if whole.len() == 13 {
        return Some(value);
    }
    let milliseconds = if fraction.is_empty() {
        0
    } else {
        let mut digits = Digits(fraction);
        let milliseconds = digits.fraction()?;
        digits.0.is_empty().then_some(milliseconds)?
    };
    value
        .checked_mul(1000)?
        .checked_add(i64::from(milliseconds))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn zones_are_honoured() {
        assert_eq!(
            parse_local("21/Nov/2026:01:02:03 +0000"),
            Some(1_795_222_923_000)
        );
        assert_eq!(
            parse_local("21/Nov/2026:01:02:03 +0530"),
            Some(1_795_222_923_000 - 19_800_000)
        );
        assert_eq!(
            parse_iso("2026-11-21T01:02:03-08:00"),
            Some(1_795_222_923_000 + 28_800_000)
        );
        assert_eq!(parse_iso("2026-11-21T01:02:03.4Z"), Some(1_795_222_923_400));
        assert_eq!(parse_epoch("1795222923.045"), Some(1_795_222_923_045));
        assert_eq!(parse_epoch("1795222923045"), Some(1_795_222_923_045));
        assert_eq!(
            parse_utc("2026-11-21 01:02:03.456789"),
            Some(1_795_222_923_456)
        );
    }

    #[test]
    fn what_no_time_stamp_can_write_becomes_the_epoch() {
        for time in [280_379_743_930_623, -62_198_755_200_000, i64::MAX, i64::MIN] {
            let mut out = String::new();
            write_rfc3339(time, &mut out);
            assert_eq!(out, "1970-01-01T00:00:00.000Z", "{time}");
        }
    }

    #[test]
    fn impossible_times_are_refused() {
        for text in [
            "31/Feb/2026:01:02:03 +0000",
            "21/Foo/2026:01:02:03 +0000",
            "21/Nov/2026:01:02:60 +0000",
            "21/Nov/2026:24:02:03 +0000",
            "21/Nov/2026:01:02:03 +2500",
            "21/Nov/2026:01:02:03",
            "21/Nov/2026:01:02:03 +0000 ",
            "é1/Nov/2026:01:02:03 +0000",
        ] {
            assert_eq!(parse_local(text), None, "{text}");
        }
        assert_eq!(parse_iso("2026-11-21T01:02:03"), None);
        assert_eq!(parse_iso("2026-11-21T01:02:03.Z"), None);
        assert_eq!(parse_epoch("12.34.5"), None);
        assert_eq!(parse_epoch("-5"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn what_is_written_is_read_again(epoch in 0..253_402_300_799_999_i64) {
            let mut text = String::new();
            write_rfc3339(epoch, &mut text);
            prop_assert_eq!(parse_iso(&text), Some(epoch));
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            parse_local(&text);
            parse_iso(&text);
            parse_epoch(&text);
        }
    }
}
