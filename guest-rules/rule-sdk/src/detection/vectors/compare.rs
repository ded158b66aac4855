//! Comparing findings with what a vector expects of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use super::Expected;
use crate::detection::harness::START;
use crate::detection::wire;

/// Compares all findings and tells every difference, a line each.
pub(super) fn check(
    expected: &[Expected],
    descriptor: &wire::Descriptor,
    found: &[wire::Finding],
) -> Result<(), String> {
    let mut incidents: BTreeMap<&str, u64> = BTreeMap::new();
    let mut told = String::new();
    for (position, pair) in align(expected, descriptor, found).into_iter().enumerate() {
        match pair {
            (Some(expected), Some(found)) => {
                let mut wrong = differences(expected, descriptor, found);
                let label = expected.incident.as_deref();
                wrong.extend(same_incident(&mut incidents, label, found.incident).err());
                if !wrong.is_empty() {
                    let kind = kind_name(descriptor, found);
                    told += &format!("\n  finding {position}, {kind} at event {}", found.event);
                    for line in wrong {
                        told += &format!("\n    {line}");
                    }
                }
            }
            (Some(expected), None) => {
                told += &format!("\n- {} at event {}", expected.kind, expected.event);
            }
            (None, Some(found)) => {
                told += &summary(descriptor, found);
            }
            (None, None) => {}
        }
    }
    if told.is_empty() {
        return Ok(());
    }
    Err(if expected.len() == found.len() {
        format!("the findings differ:{told}")
    } else {
        format!(
            "expected {} findings, found {}:{told}",
            expected.len(),
            found.len()
        )
    })
}

type Pair<'a> = (Option<&'a Expected>, Option<&'a wire::Finding>);

/// Which finding belongs to which expected one: by their order when there are
/// as many, else by event and kind.
pub(super) fn align<'a>(
    expected: &'a [Expected],
    descriptor: &wire::Descriptor,
    found: &'a [wire::Finding],
) -> Vec<Pair<'a>> {
    if expected.len() == found.len() {
        return expected
            .iter()
            .map(Some)
            .zip(found.iter().map(Some))
            .collect();
    }
    let mut pairs = Vec::new();
    let mut waiting: Vec<&wire::Finding> = found.iter().collect();
    for wanted in expected {
        let fits = |finding: &&wire::Finding| {
            finding.event == wanted.event && kind_name(descriptor, finding) == wanted.kind
        };
        match waiting.iter().position(fits) {
            Some(at) => pairs.push((Some(wanted), Some(waiting.remove(at)))),
            None => pairs.push((Some(wanted), None)),
        }
    }
    pairs.extend(waiting.into_iter().map(|finding| (None, Some(finding))));
    pairs.sort_by_key(|(expected, found)| {
        let event = found.map(|finding| finding.event);
        event.or(expected.map(|wanted| wanted.event))
    });
    pairs
}

pub(super) fn kind_name<'a>(descriptor: &'a wire::Descriptor, finding: &wire::Finding) -> &'a str {
    descriptor
        .findings
        .get(finding.kind as usize)
        .map_or("(undeclared kind)", |kind| kind.id.as_str())
}

/// What was found, for a person who has to find the mistake.
fn summary(descriptor: &wire::Descriptor, finding: &wire::Finding) -> String {
    let kind = kind_name(descriptor, finding);
    let evidence: String = finding
        .evidence
        .iter()
        .map(|evidence| format!("\n    {} = {}", evidence.name, shown(&evidence.value)))
        .collect();
    format!(
        "\n+ {kind} at event {}, occurrence {}, severity {}: {}{evidence}",
        finding.event, finding.occurrence, finding.severity, finding.title
    )
}

fn shown(value: &wire::EvidenceValue) -> String {
    match value {
        wire::EvidenceValue::Text(text) => format!("{text:?}"),
        wire::EvidenceValue::Integer(number) => number.to_string(),
        wire::EvidenceValue::Real(number) => number.to_string(),
        wire::EvidenceValue::Time(time) => format!("minute {}", minutes(*time)),
        wire::EvidenceValue::Address(address) => format!("\"{}\"", ip(*address)),
        wire::EvidenceValue::Coordinates(place) => {
            format!("[{}, {}]", place.latitude, place.longitude)
        }
    }
}

/// Everything that is not as written down.
fn differences(
    expected: &Expected,
    descriptor: &wire::Descriptor,
    found: &wire::Finding,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut same = |what: &str, expected: String, found: String| {
        if expected != found {
            wrong.push(format!("{what}: expected {expected}, found {found}"));
        }
    };
    let kind = kind_name(descriptor, found);
    same("kind", expected.kind.clone(), kind.to_owned());
    same("event", expected.event.to_string(), found.event.to_string());
    let number =
        |wanted: Option<u32>, found: u32| (wanted.unwrap_or(found).to_string(), found.to_string());
    let (wanted, had) = number(expected.occurrence, found.occurrence);
    same("occurrence", wanted, had);
    let (wanted, had) = number(expected.severity, found.severity);
    same("severity", wanted, had);
    if let Some(score) = expected.score
        && (score - found.score).abs() > 0.005
    {
        same("score", score.to_string(), found.score.to_string());
    }
    if let Some(words) = &expected.title
        && !found.title.contains(words)
    {
        same("title", format!("`{words}`"), format!("`{}`", found.title));
    }
    for (name, value) in &expected.evidence {
        let item = found.evidence.iter().find(|item| item.name == *name);
        if !holds(value, item.map(|item| &item.value)) {
            let had = item.map_or_else(|| "nothing".to_owned(), |item| shown(&item.value));
            same(&format!("evidence `{name}`"), value.to_string(), had);
        }
    }
    wrong
}

/// Whether a piece of evidence is as written down; `null` and `false` stand
/// for none.
pub(super) fn holds(expected: &Value, found: Option<&wire::EvidenceValue>) -> bool {
    match (expected, found) {
        (Value::Null | Value::Bool(false), found) => found.is_none(),
        (_, Some(found)) => matches(expected, found),
        (_, None) => false,
    }
}

pub(super) fn same_incident<'a>(
    incidents: &mut BTreeMap<&'a str, u64>,
    label: Option<&'a str>,
    found: u64,
) -> Result<(), String> {
    let Some(label) = label else { return Ok(()) };
    match incidents.get(label) {
        Some(known) if *known != found => {
            Err(format!("incident: not the one labelled `{label}` before"))
        }
        Some(_) => Ok(()),
        None if incidents.values().any(|known| *known == found) => {
            Err(format!("incident: expected a new one, labelled `{label}`"))
        }
        None => {
            incidents.insert(label, found);
            Ok(())
        }
    }
}

fn matches(expected: &Value, found: &wire::EvidenceValue) -> bool {
    if let Some(range) = expected.as_object() {
        let bound = |name: &str| range.get(name).and_then(Value::as_f64);
        let known = range
            .keys()
            .all(|name| name == "at_least" || name == "at_most");
        return known
            && number(found).is_some_and(|found| {
                bound("at_least").is_none_or(|least| found >= least)
                    && bound("at_most").is_none_or(|most| found <= most)
            });
    }
    match found {
        wire::EvidenceValue::Text(text) => expected.as_str() == Some(text),
        wire::EvidenceValue::Address(address) => expected
            .as_str()
            .is_some_and(|text| text.parse() == Ok(ip(*address))),
        wire::EvidenceValue::Coordinates(place) => {
            let near = |index: usize, value: f64| {
                expected
                    .get(index)
                    .and_then(Value::as_f64)
                    .is_some_and(|number| (number - value).abs() < 1e-4)
            };
            near(0, place.latitude) && near(1, place.longitude)
        }
        _ => expected
            .as_f64()
            .zip(number(found))
            .is_some_and(|(expected, found)| (expected - found).abs() < 1e-6),
    }
}

fn number(value: &wire::EvidenceValue) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "numbers of tests are small")]
    match value {
        wire::EvidenceValue::Integer(number) => Some(*number as f64),
        wire::EvidenceValue::Real(number) => Some(*number),
        wire::EvidenceValue::Time(time) => Some(minutes(*time)),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "test times are small")]
pub(super) fn minutes(time: i64) -> f64 {
    time.saturating_sub(START) as f64 / 60_000.0
}

pub(super) fn ip(address: wire::Address) -> IpAddr {
    let address = Ipv6Addr::from((u128::from(address.high) << 64) | u128::from(address.low));
    address
        .to_ipv4_mapped()
        .map_or(IpAddr::V6(address), IpAddr::V4)
}
