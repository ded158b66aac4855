//! Writing down what was found, so that a case holds: `sidewatch test --update`.
//!
//! Invariant: a case says no more of a finding than it said before; only
//! findings that are new to it are written down whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::Expected;
use super::compare::{align, holds, ip, kind_name, minutes, same_incident};
use crate::detection::wire;

pub(super) fn corrected(
    expected: &[Expected],
    descriptor: &wire::Descriptor,
    found: &[wire::Finding],
) -> Vec<Value> {
    let mut incidents: BTreeMap<&str, u64> = BTreeMap::new();
    let mut findings = Vec::new();
    for (expected, found) in align(expected, descriptor, found) {
        let Some(found) = found else { continue };
        let mut members = Map::new();
        members.insert("kind".to_owned(), kind_name(descriptor, found).into());
        members.insert("event".to_owned(), found.event.into());
        match expected {
            Some(expected) => {
                let label = expected.incident.as_deref();
                let fits = same_incident(&mut incidents, label, found.incident).is_ok();
                if let Some(label) = label.filter(|_| fits) {
                    members.insert("incident".to_owned(), label.into());
                }
                known(&mut members, expected, found);
            }
            None => new(&mut members, found),
        }
        findings.push(Value::Object(members));
    }
    findings
}

fn known(members: &mut Map<String, Value>, expected: &Expected, found: &wire::Finding) {
    if expected.occurrence.is_some() {
        members.insert("occurrence".to_owned(), found.occurrence.into());
    }
    if expected.severity.is_some() {
        members.insert("severity".to_owned(), found.severity.into());
    }
    if expected.score.is_some() {
        members.insert("score".to_owned(), rounded(found.score));
    }
    if let Some(words) = &expected.title {
        let kept = if found.title.contains(words) {
            words
        } else {
            &found.title
        };
        members.insert("title".to_owned(), kept.as_str().into());
    }
    let mut evidence = Map::new();
    for (name, value) in &expected.evidence {
        let item = found.evidence.iter().find(|item| item.name == *name);
        let item = item.map(|item| &item.value);
        let kept = if holds(value, item) {
            value.clone()
        } else {
            item.map_or(Value::Null, written)
        };
        evidence.insert(name.clone(), kept);
    }
    if !evidence.is_empty() {
        members.insert("evidence".to_owned(), evidence.into());
    }
}

fn new(members: &mut Map<String, Value>, found: &wire::Finding) {
    members.insert("occurrence".to_owned(), found.occurrence.into());
    members.insert("severity".to_owned(), found.severity.into());
    members.insert("score".to_owned(), rounded(found.score));
    members.insert("title".to_owned(), found.title.as_str().into());
    let evidence = found.evidence.iter();
    let evidence: Map<String, Value> = evidence
        .map(|item| (item.name.clone(), written(&item.value)))
        .collect();
    members.insert("evidence".to_owned(), evidence.into());
}

fn rounded(score: f32) -> Value {
    json!((f64::from(score) * 100.0).round() / 100.0)
}

/// As a vector writes it.
fn written(value: &wire::EvidenceValue) -> Value {
    match value {
        wire::EvidenceValue::Text(text) => text.as_str().into(),
        wire::EvidenceValue::Integer(number) => (*number).into(),
        wire::EvidenceValue::Real(number) => json!(number),
        wire::EvidenceValue::Time(time) => json!(minutes(*time)),
        wire::EvidenceValue::Address(address) => ip(*address).to_string().into(),
        wire::EvidenceValue::Coordinates(place) => json!([place.latitude, place.longitude]),
    }
}
