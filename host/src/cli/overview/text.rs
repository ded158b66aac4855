//! The overview for a terminal.

use std::fmt::Write as _;

use super::report::{EventRow, Report};
use crate::cli::replay::NO_USER;
use crate::cli::terminal::visible;

/// Rows of each table.
const ROWS: usize = 20;
/// Users with a column of their own, when there are more of them.
const COLUMNS: usize = 5;
/// Widths, in characters.
const NAME: usize = 44;
const COLUMN: usize = 11;

/// Everything, ready to be printed.
pub(super) fn tables(report: &Report) -> String {
    let mut out = String::new();
    head(report, &mut out);
    events(report, &mut out);
    users(report, &mut out);
    failures(report, &mut out);
    addresses(report, &mut out);
    hours(report, &mut out);
    if !report.names_users && report.lines.events > 0 {
        out.push('\n');
        out.push_str(NO_USER);
    }
    out
}

/// Text cut to a width and safe to show.
fn fit(text: &str, width: usize) -> String {
    let text = visible(text);
    if text.chars().count() <= width {
        text
    } else {
        let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
        cut.push('…');
        cut
    }
}

fn user(name: Option<&str>) -> &str {
    name.unwrap_or("(no user)")
}

/// A number with its thousands set apart; nothing for 0.
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn shown(value: u64) -> String {
    if value == 0 {
        "·".to_owned()
    } else {
        number(value)
    }
}

/// Writing into a text cannot fail.
fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").unwrap_or_default();
}

fn head(report: &Report, out: &mut String) {
    let lines = &report.lines;
    match (&report.from, &report.to) {
        (Some(from), Some(to)) => line(out, format_args!("{from} to {to}")),
        _ => line(out, format_args!("no event")),
    }
    line(
        out,
        format_args!(
            "{} lines: {} events ({} failures, {} unspecified), {} discarded, {} suppressed, {} unreadable",
            number(lines.read),
            number(lines.events),
            number(lines.failures),
            number(lines.unspecified),
            number(lines.discarded),
            number(lines.suppressed),
            number(lines.unreadable)
        ),
    );
}

fn more(out: &mut String, rows: usize, what: &str) {
    if rows > ROWS {
        line(
            out,
            format_args!("  … {} more {what}; --format json has them", rows - ROWS),
        );
    }
}

fn events(report: &Report, out: &mut String) {
    if report.events.is_empty() {
        return;
    }
    let most = if report.users.len() == COLUMNS + 1 {
        COLUMNS + 1
    } else {
        COLUMNS
    };
    let columns: Vec<Option<&str>> = report
        .users
        .iter()
        .take(most)
        .map(|row| row.user.as_deref())
        .collect();
    let others = report.users.len() > columns.len();
    let mut text = format!("\n{:>6}  {:<NAME$} {:>COLUMN$}", "id", "what", "all");
    for column in &columns {
        let name = fit(user(*column), COLUMN - 1);
        write!(text, "{name:>COLUMN$}").unwrap_or_default();
    }
    if others {
        write!(text, "{:>COLUMN$}", "others").unwrap_or_default();
    }
    line(out, format_args!("{text}"));
    for event in report.events.iter().take(ROWS) {
        row(event, &what(event, report), &columns, others, out);
    }
    more(out, report.events.len(), "kinds of events");
}

/// The name of an event; with what tells its product from others of the same
/// event, where there are several (`Archivematica`, `Archivematica Storage
/// Service`).
fn what(event: &EventRow, report: &Report) -> String {
    let same = |other: &&EventRow| other.name == event.name && other.product != event.product;
    let Some(other) = report.events.iter().find(same) else {
        return event.name.clone();
    };
    let own = event.product.strip_prefix(&other.product);
    let own = own.map(str::trim).unwrap_or(&event.product);
    let room = NAME.saturating_sub(own.chars().count() + 3);
    format!("{} ({own})", fit(&event.name, room))
}

fn row(event: &EventRow, what: &str, columns: &[Option<&str>], others: bool, out: &mut String) {
    let mut text = format!(
        "{:>6}  {:<NAME$} {:>COLUMN$}",
        fit(&event.code, 6),
        fit(what, NAME),
        number(event.count)
    );
    let mut left = event.count;
    for column in columns {
        let share = event
            .users
            .iter()
            .find(|share| share.user.as_deref() == *column);
        let count = share.map_or(0, |share| share.count);
        left = left.saturating_sub(count);
        write!(text, "{:>COLUMN$}", shown(count)).unwrap_or_default();
    }
    if others {
        write!(text, "{:>COLUMN$}", shown(left)).unwrap_or_default();
    }
    line(out, format_args!("{text}"));
}

fn users(report: &Report, out: &mut String) {
    if report.users.is_empty() {
        return;
    }
    line(
        out,
        format_args!(
            "\n{:<30} {:>COLUMN$} {:>9} {:>9}  {:<20}  last",
            "user", "events", "failures", "addresses", "first"
        ),
    );
    for row in report.users.iter().take(ROWS) {
        line(
            out,
            format_args!(
                "{:<30} {:>COLUMN$} {:>9} {:>9}  {:<20}  {}",
                fit(user(row.user.as_deref()), 30),
                number(row.events),
                shown(row.failures),
                row.addresses,
                row.first,
                row.last
            ),
        );
    }
    more(out, report.users.len(), "users");
}

fn failures(report: &Report, out: &mut String) {
    let mut failing: Vec<&EventRow> = report
        .events
        .iter()
        .filter(|event| event.failures > 0)
        .collect();
    if failing.is_empty() {
        return;
    }
    failing.sort_by_key(|event| std::cmp::Reverse(event.failures));
    line(out, format_args!("\n{:>COLUMN$}  failed", "failures"));
    for event in failing.iter().take(ROWS) {
        line(
            out,
            format_args!(
                "{:>COLUMN$}  {}",
                number(event.failures),
                fit(&event.name, 70)
            ),
        );
    }
    more(out, failing.len(), "kinds of failures");
}

fn addresses(report: &Report, out: &mut String) {
    if report.addresses.is_empty() {
        return;
    }
    line(
        out,
        format_args!(
            "\n{:<40} {:>COLUMN$} {:>9} {:>6}  last",
            "address", "events", "failures", "users"
        ),
    );
    for row in report.addresses.iter().take(ROWS / 2) {
        line(
            out,
            format_args!(
                "{:<40} {:>COLUMN$} {:>9} {:>6}  {}",
                fit(&row.address, 40),
                number(row.events),
                shown(row.failures),
                row.users,
                row.last
            ),
        );
    }
}

/// A bar per hour, four rows high.
fn hours(report: &Report, out: &mut String) {
    const HEIGHT: u64 = 4;
    const STEPS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = report.hours.iter().map(|hour| hour.events).max();
    let Some(most) = most.filter(|most| *most > 0) else {
        return;
    };
    line(
        out,
        format_args!("\nactivity by hour, UTC (highest: {})", number(most)),
    );
    for level in (0..HEIGHT).rev() {
        let mut text = String::from(" ");
        for hour in &report.hours {
            // Eighths of a row; what is there at all shows at least one.
            let exact = u128::from(hour.events) * u128::from(HEIGHT * 8);
            let eighths = u64::try_from(exact.div_ceil(u128::from(most))).unwrap_or(0);
            let step = eighths.saturating_sub(level * 8).min(8);
            let block = usize::try_from(step).ok().and_then(|step| STEPS.get(step));
            let block = block.copied().unwrap_or(' ');
            text.extend([block, block, ' ']);
        }
        line(out, format_args!("{}", text.trim_end()));
    }
    let mut axis = String::from(" ");
    for hour in &report.hours {
        write!(axis, "{:02} ", hour.hour).unwrap_or_default();
    }
    line(out, format_args!("{}", axis.trim_end()));
}
