//! Folding events of one state key with all rules that share it.

use std::sync::Arc;

use sidewatch_event::{Event, EvidenceValue};
use sidewatch_frame::block::{ABSENT, FRAME_EVENTS, append, append_texts, slice};
use sidewatch_frame::{DetectionDescriptor, RawFinding, numbers};

use crate::rules::{DetectionFrame, DetectionOutcome, Group, Reported, Rules, Span};
use crate::settings::Limits;
use crate::state::States;

/// A configured detection.
#[derive(Debug)]
pub struct Detection {
    /// Its slot.
    pub slot: usize,
    /// What it says of itself, checked.
    pub descriptor: DetectionDescriptor,
}

/// An answer of a rule that breaks the contract; nothing of it is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule `{rule}` gave an answer that breaks the contract: {reason}")]
pub struct Rejected {
    /// The rule.
    pub rule: Arc<str>,
    /// Why.
    pub reason: &'static str,
}

/// What came of folding the events of one key.
#[derive(Debug, Default)]
pub struct Folded {
    /// By rule and frame, about events of the batch.
    pub findings: Vec<RawFinding>,
    /// Answers that were not taken.
    pub rejected: Vec<Rejected>,
}

/// Folds the events at `members` of `events`, which share a state key, with
/// each detection in turn.
pub fn fold_key<R: Rules>(
    rules: &R,
    detections: &[&Detection],
    limits: &Limits,
    events: &[Box<Event>],
    members: &[usize],
    states: &mut States,
) -> Folded {
    let mut folded = Folded::default();
    for detection in detections {
        for members in members.chunks(FRAME_EVENTS) {
            let frame = frame(&detection.descriptor, events, members, states);
            let outcome = rules.fold(detection.slot, frame);
            let findings = &mut folded.findings;
            let accepted = accept(
                &detection.descriptor,
                limits,
                events,
                members,
                outcome,
                states,
                findings,
            );
            if let Err(reason) = accepted {
                folded.rejected.push(Rejected {
                    rule: Arc::clone(&detection.descriptor.id),
                    reason,
                });
            }
        }
    }
    folded
}

fn frame(
    rule: &DetectionDescriptor,
    events: &[Box<Event>],
    members: &[usize],
    states: &States,
) -> DetectionFrame {
    let mut frame = DetectionFrame::default();
    let events = members.iter().filter_map(|at| events.get(*at));
    for (at, event) in events.enumerate() {
        if at == 0 {
            let (start, length) = match states.get(&rule.id, event.time, rule.state_ttl) {
                Some(state) => append(&mut frame.block, state),
                None => (ABSENT, 0),
            };
            frame.groups.push(Group {
                first: 0,
                count: 0,
                state: Span { start, length },
            });
        }
        frame.events.push(numbers(event));
        let texts = &mut frame.texts;
        append_texts(&mut frame.block, &rule.reads, event, |start, length| {
            texts.push(Span { start, length });
        });
    }
    let count = u32::try_from(frame.events.len()).unwrap_or(u32::MAX);
    for group in &mut frame.groups {
        group.count = count;
    }
    frame
}

/// Checks everything, then takes everything: a bad answer changes nothing.
fn accept(
    rule: &DetectionDescriptor,
    limits: &Limits,
    events: &[Box<Event>],
    members: &[usize],
    outcome: DetectionOutcome,
    states: &mut States,
    findings: &mut Vec<RawFinding>,
) -> Result<(), &'static str> {
    if outcome.block.len() > limits.output_bytes {
        return Err("its states together exceed output_bytes");
    }
    if outcome.findings.len() > limits.findings_per_frame {
        return Err("more findings than findings_per_frame");
    }
    if outcome.changes.len() > 1 || outcome.changes.iter().any(|change| change.group != 0) {
        return Err("more changed states than groups");
    }
    let changed = outcome.changes.first().map(|change| change.state);
    let changed = match changed {
        Some(state) if state.length > rule.state_limit => {
            return Err("a state larger than the rule's own state-limit");
        }
        Some(state) if state.length == 0 => Some(&[][..]),
        Some(state) => Some(
            slice(&outcome.block, state.start, state.length)
                .ok_or("a changed state outside its frame")?,
        ),
        None => None,
    };
    let mut budget = limits.output_bytes;
    let mut checked = Vec::with_capacity(outcome.findings.len());
    for reported in outcome.findings {
        checked.push(finding(rule, members, reported, &mut budget)?);
    }
    findings.append(&mut checked);
    if let Some(bytes) = changed {
        let times = members
            .iter()
            .filter_map(|at| events.get(*at))
            .map(|event| event.time);
        states.set(&rule.id, bytes, times.max().unwrap_or_default());
    }
    Ok(())
}

fn finding(
    rule: &DetectionDescriptor,
    members: &[usize],
    reported: Reported,
    budget: &mut usize,
) -> Result<RawFinding, &'static str> {
    let event = members
        .get(reported.event as usize)
        .ok_or("a finding about no event")?;
    let kind = rule
        .kinds
        .get(reported.kind as usize)
        .ok_or("a finding of undeclared kind")?;
    let size = reported
        .evidence
        .iter()
        .fold(reported.title.len(), |size, item| {
            let value = match &item.value {
                EvidenceValue::Text(text) => text.len(),
                _ => 16,
            };
            size + item.name.len() + value
        });
    *budget = budget
        .checked_sub(size)
        .ok_or("its findings together exceed output_bytes")?;
    Ok(RawFinding {
        event: *event,
        incident: reported.incident,
        occurrence: reported.occurrence,
        rule: Arc::clone(&rule.id),
        rule_version: Arc::clone(&rule.version),
        kind: Arc::clone(&kind.id),
        technique: Arc::clone(&kind.technique),
        severity: u8::try_from(reported.severity.min(10)).unwrap_or(10),
        score: if reported.score.is_finite() {
            reported.score.clamp(0.0, 1.0)
        } else {
            0.0
        },
        title: reported.title,
        evidence: reported.evidence,
    })
}
