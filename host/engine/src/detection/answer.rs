//! What a rule answered to a frame, checked before any of it counts.
//!
//! Invariant: a bad answer changes nothing, neither a state nor a finding.

use std::sync::Arc;

use sidewatch_event::{Evidence, EvidenceValue};
use sidewatch_frame::block::slice;

use super::convert::value;
use super::{DetectionRule, RawFinding};
use crate::bindings::detection::exports::sidewatch::rule::detection as wire;
use crate::evaluate::DetectionOutcome;
use crate::fault::{Fault, add};
use crate::rows::{Row, Span};

impl DetectionRule {
    /// Checks everything, then takes everything: a bad answer changes nothing.
    pub(super) fn accept(
        &mut self,
        outcome: DetectionOutcome,
        members: &[(u64, u32)],
        findings: &mut Vec<RawFinding>,
    ) -> Result<(), Fault> {
        let rejected = |text: &str| Fault::Rejected(text.to_owned());
        if outcome.block.len() > self.limits.output_bytes {
            return Err(Fault::Crowded);
        }
        if outcome.findings.len() > self.limits.findings_per_frame {
            return Err(rejected("more findings than findings_per_frame"));
        }
        if outcome.changes.len() > self.buffers.keys.len() {
            return Err(rejected("more changed states than groups"));
        }
        for Row(change) in &outcome.changes {
            let known = self.buffers.keys.get(change.group as usize).is_some();
            let bytes = bytes_of(&outcome.block, change.state);
            if !known || bytes.is_none() {
                return Err(rejected("a changed state outside its frame"));
            }
            if change.state.length > self.descriptor.state_limit {
                return Err(rejected("a state larger than the rule's own state-limit"));
            }
        }
        let mut checked = Vec::with_capacity(outcome.findings.len());
        let mut budget = self.limits.output_bytes;
        for finding in outcome.findings {
            checked.push(self.finding(finding, members, &mut budget)?);
        }
        for Row(change) in &outcome.changes {
            if let (Some((key, time)), Some(bytes)) = (
                self.buffers.keys.get(change.group as usize),
                bytes_of(&outcome.block, change.state),
            ) {
                self.states.set(*key, bytes, *time);
            }
        }
        add(&self.counters.findings, checked.len());
        findings.append(&mut checked);
        Ok(())
    }

    fn finding(
        &self,
        finding: wire::Finding,
        members: &[(u64, u32)],
        budget: &mut usize,
    ) -> Result<RawFinding, Fault> {
        let rejected = |text: &str| Fault::Rejected(text.to_owned());
        let (_, event) = members
            .get(finding.event as usize)
            .ok_or_else(|| rejected("a finding about no event"))?;
        let kind = self
            .descriptor
            .kinds
            .get(finding.kind as usize)
            .ok_or_else(|| rejected("a finding of undeclared kind"))?;
        let mut size = finding.title.len();
        let mut evidence = Vec::with_capacity(finding.evidence.len());
        for item in finding.evidence {
            let value = value(item.value);
            size += item.name.len()
                + if let EvidenceValue::Text(text) = &value {
                    text.len()
                } else {
                    16
                };
            evidence.push(Evidence {
                name: item.name,
                value,
            });
        }
        *budget = budget
            .checked_sub(size)
            .ok_or_else(|| rejected("its findings together exceed output_bytes"))?;
        Ok(RawFinding {
            event: *event as usize,
            incident: finding.incident,
            occurrence: finding.occurrence,
            rule: Arc::clone(&self.descriptor.id),
            rule_version: Arc::clone(&self.descriptor.version),
            kind: Arc::clone(&kind.id),
            technique: Arc::clone(&kind.technique),
            severity: u8::try_from(finding.severity.min(10)).unwrap_or(10),
            score: if finding.score.is_finite() {
                finding.score.clamp(0.0, 1.0)
            } else {
                0.0
            },
            title: finding.title,
            evidence,
        })
    }
}

/// The bytes of a changed state. None, wherever the span begins, forgets it.
fn bytes_of(block: &[u8], span: Span) -> Option<&[u8]> {
    match span.length {
        0 => Some(&[]),
        length => slice(block, span.start, length),
    }
}
