//! What the rules in force did of themselves is worth a finding: a rule that
//! was taken back or switched off watches less than its operator believes.

use std::sync::Arc;

use sidewatch_engine::RawFinding;
use sidewatch_event::{Event, Evidence, EvidenceValue, Field};

use super::report::SOURCE;
use crate::lifecycle::audit::{BY_ITSELF, DATASET};

/// Findings for events of the sidecar's own that are one.
pub(super) fn findings(events: &[Box<Event>], findings: &mut Vec<RawFinding>) {
    for (at, event) in events.iter().enumerate() {
        let own = event.source.as_deref() == Some(SOURCE);
        if own
            && event.get(Field::EventDataset) == Some(DATASET)
            && event.label(BY_ITSELF).is_some()
        {
            findings.push(finding(at, event));
        }
    }
}

fn finding(at: usize, event: &Event) -> RawFinding {
    let evidence = ["rule", "version"]
        .into_iter()
        .filter_map(|name| {
            Some(Evidence {
                name: name.to_owned(),
                value: EvidenceValue::Text(event.label(name)?.to_owned()),
            })
        })
        .collect();
    RawFinding {
        event: at,
        incident: 0,
        occurrence: 1,
        rule: Arc::from("sidewatch"),
        rule_version: Arc::from(env!("CARGO_PKG_VERSION")),
        kind: Arc::from(event.get(Field::EventAction).unwrap_or_default()),
        technique: Arc::from(""),
        severity: event.severity.unwrap_or(7),
        score: 1.0,
        title: event.get(Field::Message).unwrap_or_default().to_owned(),
        evidence,
    }
}
