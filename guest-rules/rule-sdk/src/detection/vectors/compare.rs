//! Comparing findings with what a vector expects of them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use serde_json::Value;

use super::Expected;
use crate::detection::harness::START;
use crate::detection::wire;

pub(super) fn check(
    expected: &[Expected],
    descriptor: &wire::Descriptor,
    found: &[wire::Finding],
) -> Result<(), String> {
    if expected.len() != found.len() {
        return Err(format!(
            "expected {} findings, found {}:{}",
            expected.len(),
            found.len(),
            summary(descriptor, found)
        ));
    }
    let mut incidents: BTreeMap<&str, u64> = BTreeMap::new();
    for (position, (expected, found)) in expected.iter().zip(found).enumerate() {
        one(expected, descriptor, found)
            .and_then(|()| {
                same_incident(&mut incidents, expected.incident.as_deref(), found.incident)
            })
            .map_err(|message| {
                format!(
                    "finding {position}: {message}; found:{}",
                    summary(descriptor, std::slice::from_ref(found))
                )
            })?;
    }
    Ok(())
}

fn kind_name<'a>(descriptor: &'a wire::Descriptor, finding: &wire::Finding) -> &'a str {
    descriptor
        .findings
        .get(finding.kind as usize)
        .map_or("(undeclared kind)", |kind| kind.id.as_str())
}

/// What was found, for a person who has to find the mistake.
fn summary(descriptor: &wire::Descriptor, found: &[wire::Finding]) -> String {
    let one = |finding: &wire::Finding| {
        let kind = kind_name(descriptor, finding);
        let evidence: String = finding
            .evidence
            .iter()
            .map(|evidence| format!("\n    {} = {}", evidence.name, shown(&evidence.value)))
            .collect();
        format!(
            "\n  {kind} at event {}, occurrence {}, severity {}: {}{evidence}",
            finding.event, finding.occurrence, finding.severity, finding.title
        )
    };
    found.iter().map(one).collect()
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

fn one(
    expected: &Expected,
    descriptor: &wire::Descriptor,
    found: &wire::Finding,
) -> Result<(), String> {
    let kind = kind_name(descriptor, found);
    same("kind", &expected.kind.as_str(), &kind)?;
    same("event", &expected.event, &found.event)?;
    same(
        "occurrence",
        &expected.occurrence.unwrap_or(found.occurrence),
        &found.occurrence,
    )?;
    same(
        "severity",
        &expected.severity.unwrap_or(found.severity),
        &found.severity,
    )?;
    if expected
        .score
        .is_some_and(|score| (score - found.score).abs() > 0.005)
    {
        return Err(format!(
            "score: expected {:?}, found {}",
            expected.score, found.score
        ));
    }
    if expected
        .title
        .as_ref()
        .is_some_and(|words| !found.title.contains(words))
    {
        return Err(format!(
            "title: expected `{}`",
            expected.title.as_deref().unwrap_or_default()
        ));
    }
    for (name, value) in &expected.evidence {
        let found = found
            .evidence
            .iter()
            .find(|evidence| evidence.name == *name)
            .map(|evidence| &evidence.value);
        match (value, found) {
            (Value::Null, None) => {}
            (_, Some(found)) if matches(value, found) => {}
            (_, found) => {
                let found = found.map_or_else(|| "nothing".to_owned(), shown);
                return Err(format!(
                    "evidence `{name}`: expected {value}, found {found}"
                ));
            }
        }
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, found: &T) -> Result<(), String> {
    if expected == found {
        Ok(())
    } else {
        Err(format!("{what}: expected {expected:?}, found {found:?}"))
    }
}

fn same_incident<'a>(
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
fn minutes(time: i64) -> f64 {
    time.saturating_sub(START) as f64 / 60_000.0
}

fn ip(address: wire::Address) -> IpAddr {
    let address = Ipv6Addr::from((u128::from(address.high) << 64) | u128::from(address.low));
    address
        .to_ipv4_mapped()
        .map_or(IpAddr::V6(address), IpAddr::V4)
}
