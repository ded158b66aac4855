//! One record as one line of text.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat};
use sidewatch_event::{Delivery, Event, EvidenceValue, Field, Finding};

/// Longest text of one value, in characters; a screen is no archive.
const LONGEST_VALUE: usize = 200;

const DIM: &str = "\x1b[2m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// Appends one record, without a line end.
pub(super) fn write(delivery: &Delivery, colours: bool, out: &mut String) {
    let mut line = Line { out, colours };
    match delivery {
        Delivery::Finding(finding) => line.finding(finding),
        Delivery::Event(event) => line.event(event, delivery.severity()),
    }
}

/// Appends a JSON text with every character that a terminal would act on as a
/// JSON escape. Such characters can only stand inside its strings.
pub(super) fn push_json_escaped(json: &str, out: &mut String) {
    for one in json.chars() {
        if is_unsafe(one) {
            for unit in one.encode_utf16(&mut [0; 2]) {
                push_formatted(out, format_args!("\\u{unit:04x}"));
            }
        } else {
            out.push(one);
        }
    }
}

/// Appends foreign text, shortened, with unsafe characters as `\u{…}`.
fn push_text(text: &str, out: &mut String) {
    for (count, one) in text.chars().enumerate() {
        if count == LONGEST_VALUE {
            out.push('…');
            return;
        }
        if is_unsafe(one) {
            out.extend(one.escape_unicode())
        } else {
            out.push(one)
        }
    }
}

/// Whether a terminal would act on the character, or a reader be misled by it:
/// controls, line separators, invisible and direction-changing ones.
fn is_unsafe(one: char) -> bool {
    one.is_control()
        || matches!(one,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn push_formatted(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

struct Line<'a> {
    out: &'a mut String,
    colours: bool,
}

impl Line<'_> {
    fn finding(&mut self, finding: &Finding) {
        self.start(finding.time, finding.severity);
        self.styled(BOLD, &finding.title);
        self.pair("user", user(&finding.event).unwrap_or("-"));
        if let Some(address) = finding.event.source_ip {
            self.pair("source", &address.to_string());
        }
        for evidence in &finding.evidence {
            self.pair(&evidence.name, &value(&evidence.value));
        }
        self.pair("rule", &finding.rule);
        if finding.occurrence > 1 {
            self.pair("occurrence", &finding.occurrence.to_string());
        }
    }

    fn event(&mut self, event: &Event, severity: u8) {
        self.start(
            if event.time == 0 {
                event.received
            } else {
                event.time
            },
            severity,
        );
        let name = event
            .get(Field::SidewatchName)
            .or_else(|| event.get(Field::EventAction));
        push_text(name.unwrap_or("event"), self.out);
        let outcome = event.get(Field::EventOutcome);
        let method = event.get(Field::HttpRequestMethod);
        let target = event
            .get(Field::UrlOriginal)
            .or_else(|| event.get(Field::UrlPath));
        let address = event.source_ip.map(|address| address.to_string());
        let status = (event.status != 0).then(|| event.status.to_string());
        let pairs = [
            ("user", user(event)),
            ("source", address.as_deref()),
            ("outcome", outcome),
            ("method", method),
            ("url", target),
            ("status", status.as_deref()),
        ];
        for (name, text) in pairs {
            if let Some(text) = text {
                self.pair(name, text);
            }
        }
    }

    fn start(&mut self, time: i64, severity: u8) {
        self.styled(DIM, &instant(time));
        let (word, colour) = match severity {
            9.. => ("critical", "\x1b[1;31m"),
            7..=8 => ("high", "\x1b[31m"),
            4..=6 => ("medium", "\x1b[33m"),
            1..=3 => ("low", "\x1b[36m"),
            0 => ("info", DIM),
        };
        self.out.push(' ');
        self.styled(colour, &format!("{word:<8}"));
        self.out.push(' ');
    }

    fn pair(&mut self, name: &str, text: &str) {
        self.out.push(' ');
        let start = if self.colours { DIM } else { "" };
        self.out.push_str(start);
        push_text(name, self.out);
        self.out.push('=');
        self.out.push_str(if self.colours { PLAIN } else { "" });
        // Quoted where a blank would let one value pass for two.
        if text.is_empty() || text.contains([' ', '"', '=']) {
            self.out.push('"');
            push_text(&text.replace('\\', "\\\\").replace('"', "\\\""), self.out);
            self.out.push('"');
        } else {
            push_text(text, self.out);
        }
    }

    fn styled(&mut self, style: &str, text: &str) {
        self.out.push_str(if self.colours { style } else { "" });
        push_text(text, self.out);
        self.out.push_str(if self.colours { PLAIN } else { "" });
    }
}

fn user(event: &Event) -> Option<&str> {
    [Field::UserName, Field::UserEmail, Field::UserId]
        .into_iter()
        .find_map(|field| event.get(field))
}

fn instant(time: i64) -> String {
    DateTime::from_timestamp_millis(time).map_or_else(
        || time.to_string(),
        |instant| instant.to_rfc3339_opts(SecondsFormat::Millis, true),
    )
}

fn value(value: &EvidenceValue) -> String {
    match value {
        EvidenceValue::Text(text) => text.clone(),
        EvidenceValue::Integer(number) => number.to_string(),
        EvidenceValue::Real(number) => format!("{number:.1}"),
        EvidenceValue::Time(time) => instant(*time),
        EvidenceValue::Address(address) => address.to_string(),
        EvidenceValue::Coordinates(latitude, longitude) => format!("{latitude:.4},{longitude:.4}"),
    }
}
