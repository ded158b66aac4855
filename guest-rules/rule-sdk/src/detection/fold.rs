//! Folding a frame: the loop between the wire types and a [`Rule`].
//!
//! The same function runs in the component and natively, so a rule cannot
//! behave differently in its unit tests.

use super::{Event, Findings, Rule, Stored, wire};
use crate::{ABSENT, State, parameters, slice};

/// Builds the rule from its parameters and describes it to the host.
///
/// # Errors
/// Names the parameter the rule cannot accept.
pub fn describe<R: Rule>(parameters: &str) -> Result<(R, wire::Descriptor), wire::ParameterError> {
    let rule = parameters::decode(parameters)
        .and_then(R::new)
        .map_err(|error| wire::ParameterError {
            parameter: error.parameter,
            message: error.message,
        })?;
    let description = R::description();
    let owned = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
    let descriptor = wire::Descriptor {
        id: description.id.to_owned(),
        version: description.version.to_owned(),
        key: owned(description.key),
        reads: owned(description.reads),
        state_ttl: description.state_ttl,
        state_limit: description.state_limit,
        findings: description
            .kinds
            .iter()
            .map(|kind| wire::FindingKind {
                id: kind.id.to_owned(),
                title: kind.title.to_owned(),
                severity: kind.severity,
                technique: kind.technique.to_owned(),
            })
            .collect(),
    };
    Ok((rule, descriptor))
}

/// Folds a frame with a rule.
#[must_use]
pub fn fold<R: Rule>(rule: &R, frame: &wire::Frame) -> wire::Outcome {
    let description = R::description();
    let columns = description.reads.len();
    let mut outcome = wire::Outcome {
        // Most states are of the size they had: one allocation for all.
        block: Vec::with_capacity(frame.block.len()),
        changes: Vec::with_capacity(frame.groups.len()),
        findings: Vec::new(),
    };
    let mut state = Stored::new(R::State::default());
    for (index, group) in (0_u32..).zip(&frame.groups) {
        state.load(match group.state.start {
            ABSENT => None,
            start => slice(&frame.block, start, group.state.length),
        });
        for at in group.first..group.first.saturating_add(group.count) {
            let position = at as usize;
            let Some(numbers) = frame.events.get(position) else {
                break;
            };
            let texts = frame
                .texts
                .get(position * columns..(position + 1) * columns)
                .unwrap_or_default();
            let event = Event::new(numbers, &frame.block, texts);
            let mut findings = Findings {
                list: &mut outcome.findings,
                event: at,
                description: &description,
            };
            rule.evaluate(&mut state, &event, &mut findings);
        }
        if state.changed {
            let start = outcome.block.len();
            state.value.encode(&mut outcome.block);
            if let (Ok(from), Ok(length)) = (
                u32::try_from(start),
                u32::try_from(outcome.block.len() - start),
            ) {
                outcome.changes.push(wire::Change {
                    group: index,
                    state: wire::Span {
                        start: from,
                        length,
                    },
                });
            }
        }
    }
    outcome
}
