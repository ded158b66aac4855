//! The overview as one page: no script, nothing loaded from elsewhere, every
//! text from the log escaped.

use std::fmt::Write as _;

use super::report::Report;
use crate::cli::terminal::visible;

/// Rows of the longer tables.
const ROWS: usize = 100;
/// Users with a column of their own.
const COLUMNS: usize = 12;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--bar:#3973ac;--bad:#b3402e;--dim:#777}
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.3rem 0}.dim{color:var(--dim)}.note{border-left:4px solid var(--bad);padding:.3rem .8rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600}td.text,th.text{text-align:left}td.bad{color:var(--bad)}
svg{width:100%;height:auto;max-height:14rem}.bar{fill:var(--bar)}.fail{fill:var(--bad)}
svg text{font:10px system-ui,sans-serif;fill:currentColor}
@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}
";

/// The page.
pub(super) fn page(report: &Report) -> String {
    let mut out = String::with_capacity(64 * 1024);
    let period = match (&report.from, &report.to) {
        (Some(from), Some(to)) => format!("{from} to {to}"),
        _ => "no event".to_owned(),
    };
    let lines = &report.lines;
    push(
        &mut out,
        format_args!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>Activity, {period}</title>\
             <style>{STYLE}</style></head>\n<body><h1>Activity</h1><p>{period}</p>\
             <p class=\"dim\">{} lines read: {} events, {} of them failures and {} unspecified; \
             {} lines discarded as noise, {} suppressed, {} unreadable.</p>\n",
            lines.read,
            lines.events,
            lines.failures,
            lines.unspecified,
            lines.discarded,
            lines.suppressed,
            lines.unreadable
        ),
    );
    if !report.names_users && lines.events > 0 {
        out.push_str(
            "<p class=\"note\">No event names a user. Add <code>user=$upstream_http_x_username</code> \
             (or <code>$remote_user</code>) to nginx' <code>log_format</code>; for Archivematica, let its \
             dashboard send the header X-Username.</p>\n",
        );
    }
    hours(report, &mut out);
    days(report, &mut out);
    matrix(report, &mut out);
    users(report, &mut out);
    addresses(report, &mut out);
    let files: Vec<String> = report.files.iter().map(|file| escape(file)).collect();
    push(
        &mut out,
        format_args!(
            "<p class=\"dim\">Times are UTC. Read from {}.</p></body></html>\n",
            files.join(", ")
        ),
    );
    out
}

/// Writing into a text cannot fail.
fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).unwrap_or_default();
}

/// A text of the log as HTML, also inside quotes.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in visible(text).chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

fn user(name: Option<&str>) -> String {
    name.map_or_else(|| "(no user)".to_owned(), escape)
}

/// Bars with a title each: label, all, failures.
fn chart(bars: &[(String, u64, u64)], every: usize, out: &mut String) {
    const HEIGHT: u64 = 120;
    let most = bars
        .iter()
        .map(|(_, all, _)| *all)
        .max()
        .unwrap_or(0)
        .max(1);
    let step = (960 / bars.len().max(1)).clamp(2, 40);
    let width = step * bars.len();
    let scale = |count: u64| count.saturating_mul(HEIGHT).div_ceil(most);
    push(
        out,
        format_args!(
            "<svg viewBox=\"0 0 {width} {}\" role=\"img\">\n",
            HEIGHT + 16
        ),
    );
    for (at, (label, all, failures)) in bars.iter().enumerate() {
        let (x, thick) = (at * step, step - step / 5);
        let (height, bad) = (scale(*all), scale(*failures));
        push(
            out,
            format_args!("<g><title>{label}: {all} events, {failures} failures</title>"),
        );
        for (class, height) in [("bar", height), ("fail", bad)] {
            if height > 0 {
                push(
                    out,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{x}\" y=\"{}\" width=\"{thick}\" height=\"{height}\"/>",
                        HEIGHT - height
                    ),
                );
            }
        }
        if at % every == 0 {
            push(
                out,
                format_args!("<text x=\"{x}\" y=\"{}\">{label}</text>", HEIGHT + 12),
            );
        }
        out.push_str("</g>\n");
    }
    out.push_str("</svg>\n");
}

fn hours(report: &Report, out: &mut String) {
    let bars: Vec<_> = report
        .hours
        .iter()
        .map(|row| (format!("{:02}", row.hour), row.events, row.failures))
        .collect();
    out.push_str("<h2>By hour of the day</h2>\n");
    chart(&bars, 1, out);
}

fn days(report: &Report, out: &mut String) {
    if report.days.len() < 2 {
        return;
    }
    let bars: Vec<_> = report
        .days
        .iter()
        .map(|row| (row.day.clone(), row.events, row.failures))
        .collect();
    out.push_str("<h2>By day</h2>\n");
    chart(&bars, bars.len().div_ceil(12), out);
}

fn table(head: &[&str], out: &mut String) {
    out.push_str("<div class=\"scroll\"><table><thead><tr>");
    for title in head {
        let class = if title.starts_with('<') {
            " class=\"text\""
        } else {
            ""
        };
        let title = title.trim_start_matches('<');
        push(out, format_args!("<th{class}>{title}</th>"));
    }
    out.push_str("</tr></thead><tbody>\n");
}

fn end_table(rows: usize, out: &mut String) {
    out.push_str("</tbody></table></div>\n");
    if rows > ROWS {
        push(
            out,
            format_args!("<p class=\"dim\">… and {} more</p>\n", rows - ROWS),
        );
    }
}

fn cell(count: u64, bad: bool, out: &mut String) {
    let class = if bad && count > 0 {
        " class=\"bad\""
    } else {
        ""
    };
    match count {
        0 => out.push_str("<td></td>"),
        _ => push(out, format_args!("<td{class}>{count}</td>")),
    }
}

fn matrix(report: &Report, out: &mut String) {
    let columns: Vec<Option<&str>> = report
        .users
        .iter()
        .take(COLUMNS)
        .map(|row| row.user.as_deref())
        .collect();
    let names: Vec<String> = columns.iter().map(|name| user(*name)).collect();
    let mut head = vec!["id", "<what", "<where", "severity", "all", "failures"];
    head.extend(names.iter().map(String::as_str));
    let others = report.users.len() > columns.len();
    if others {
        head.push("others");
    }
    out.push_str("<h2>Who did what</h2>\n");
    table(&head, out);
    for event in report.events.iter().take(ROWS) {
        push(
            out,
            format_args!(
                "<tr><td>{}</td><td class=\"text\">{}</td><td class=\"text\">{}</td><td>{}</td>",
                escape(&event.code),
                escape(&event.name),
                escape(&event.product),
                event.severity
            ),
        );
        cell(event.count, false, out);
        cell(event.failures, true, out);
        let mut left = event.count;
        for column in &columns {
            let share = event
                .users
                .iter()
                .find(|share| share.user.as_deref() == *column);
            let count = share.map_or(0, |share| share.count);
            left = left.saturating_sub(count);
            cell(count, false, out);
        }
        if others {
            cell(left, false, out);
        }
        out.push_str("</tr>\n");
    }
    end_table(report.events.len(), out);
}

fn users(report: &Report, out: &mut String) {
    out.push_str("<h2>Users</h2>\n");
    let head = ["<user", "events", "failures", "addresses", "first", "last"];
    table(&head, out);
    for row in report.users.iter().take(ROWS) {
        push(
            out,
            format_args!("<tr><td class=\"text\">{}</td>", user(row.user.as_deref())),
        );
        cell(row.events, false, out);
        cell(row.failures, true, out);
        push(
            out,
            format_args!(
                "<td>{}</td><td>{}</td><td>{}</td></tr>\n",
                row.addresses, row.first, row.last
            ),
        );
    }
    end_table(report.users.len(), out);
}

fn addresses(report: &Report, out: &mut String) {
    out.push_str("<h2>Addresses</h2>\n");
    let head = ["<address", "events", "failures", "users", "first", "last"];
    table(&head, out);
    for row in report.addresses.iter().take(ROWS) {
        push(
            out,
            format_args!("<tr><td class=\"text\">{}</td>", escape(&row.address)),
        );
        cell(row.events, false, out);
        cell(row.failures, true, out);
        push(
            out,
            format_args!(
                "<td>{}</td><td>{}</td><td>{}</td></tr>\n",
                row.users, row.first, row.last
            ),
        );
    }
    end_table(report.addresses.len(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_log_holds_cannot_become_markup() {
        assert_eq!(
            escape("<script>alert('&\")</script>\u{202e}"),
            "&lt;script&gt;alert(&#39;&amp;&quot;)&lt;/script&gt;\u{fffd}"
        );
    }
}
