//! Findings for a person to read: what happened, to whom, and the whole
//! evidence. Texts from outside never reach the terminal raw.

use chrono::{DateTime, SecondsFormat};
use sidewatch_event::{EvidenceValue, Field, Finding};

use super::terminal::visible;

/// Milliseconds since the epoch as RFC 3339 in UTC.
#[must_use]
pub fn time(milliseconds: i64) -> String {
    DateTime::from_timestamp_millis(milliseconds).map_or_else(
        || "unknown time".to_owned(),
        |time| time.to_rfc3339_opts(SecondsFormat::Secs, true),
    )
}

/// One value of evidence.
#[must_use]
pub fn value(value: &EvidenceValue) -> String {
    match value {
        EvidenceValue::Text(text) => visible(text),
        EvidenceValue::Integer(number) => number.to_string(),
        EvidenceValue::Real(number) => format!("{number:.1}"),
        EvidenceValue::Time(milliseconds) => time(*milliseconds),
        EvidenceValue::Address(address) => address.to_string(),
        EvidenceValue::Coordinates(latitude, longitude) => format!("{latitude:.3}, {longitude:.3}"),
    }
}

/// A finding with its evidence, several lines, no line end after the last.
#[must_use]
pub fn finding(finding: &Finding) -> String {
    let mut text = String::new();
    let user = finding
        .event
        .get(Field::UserName)
        .or(finding.event.get(Field::UserId))
        .unwrap_or("-");
    text.push_str(&format!(
        "{}  severity {:>2}  {}  user {}\n  {}",
        time(finding.time),
        finding.severity,
        finding.kind,
        visible(user),
        visible(&finding.title)
    ));
    let width = finding
        .evidence
        .iter()
        .map(|item| item.name.chars().count())
        .max()
        .unwrap_or(0)
        .min(32);
    for item in &finding.evidence {
        text.push_str(&format!(
            "\n    {:<width$}  {}",
            visible(&item.name),
            value(&item.value)
        ));
    }
    text.push_str(&format!(
        "\n    {:<width$}  {:016x}, report {}, {} {}, score {:.2}",
        "incident",
        finding.incident,
        finding.occurrence,
        finding.rule,
        finding.rule_version,
        finding.score
    ));
    if !finding.technique.is_empty() {
        text.push_str(&format!(
            "\n    {:<width$}  MITRE ATT&CK {}",
            "technique", finding.technique
        ));
    }
    text
}

/// A table of findings by kind: how many, about how many users.
#[must_use]
pub fn summary<'a>(findings: impl Iterator<Item = (&'a str, usize, usize)>) -> String {
    let mut text = String::new();
    for (kind, incidents, users) in findings {
        text.push_str(&format!(
            "  {kind:<28} {incidents:>7} incidents  {users:>6} users\n"
        ));
    }
    text
}
