//! Runs a rule over test events: events in, findings out.
//!
//! [`Harness`] runs it natively, no WebAssembly needed; [`Runner`] takes any
//! function that folds frames, so the same events can be put through the
//! component. Both build real frames and keep states as bytes in between, so
//! encoding is tested on the way.

use std::collections::HashMap;

use super::{Rule, describe, fold, wire};
use crate::{ABSENT, ParameterError};

pub use super::test_event::{START, TestEvent, hash};

/// Feeds test events to anything that folds frames like a rule.
#[derive(Debug)]
pub struct Runner<F> {
    fold: F,
    descriptor: wire::Descriptor,
    states: HashMap<Vec<u64>, Vec<u8>>,
}

/// The members of one group of a frame, by their index in the list of events.
#[derive(Debug, Default)]
struct Members {
    key: Vec<u64>,
    events: Vec<u32>,
}

impl<F: FnMut(&wire::Frame) -> wire::Outcome> Runner<F> {
    /// A runner for a rule that describes itself so.
    pub fn new(descriptor: wire::Descriptor, fold: F) -> Self {
        Self {
            fold,
            descriptor,
            states: HashMap::new(),
        }
    }

    /// What the rule says of itself.
    pub fn descriptor(&self) -> &wire::Descriptor {
        &self.descriptor
    }

    /// Folds the events in one frame and returns the findings by time of
    /// their events.
    pub fn run(&mut self, events: &[TestEvent]) -> Vec<wire::Finding> {
        let groups = self.groups(events);
        let (frame, order) = self.frame(events, &groups);
        let mut outcome = (self.fold)(&frame);
        for change in &outcome.changes {
            let bytes = crate::slice(&outcome.block, change.state.start, change.state.length)
                .unwrap_or_default();
            if let Some(members) = groups.get(change.group as usize) {
                self.states.insert(members.key.clone(), bytes.to_vec());
            }
        }
        for finding in &mut outcome.findings {
            finding.event = order
                .get(finding.event as usize)
                .copied()
                .unwrap_or(u32::MAX);
        }
        outcome.findings.sort_by_key(|finding| finding.event);
        outcome.findings
    }

    /// Folds the events one frame each: the low-latency case.
    pub fn run_singly(&mut self, events: &[TestEvent]) -> Vec<wire::Finding> {
        let mut findings = Vec::new();
        for (index, event) in (0..).zip(events) {
            let found = self.run(std::slice::from_ref(event));
            findings.extend(found.into_iter().map(|finding| wire::Finding {
                event: index,
                ..finding
            }));
        }
        findings
    }

    /// Goes on with the states another version of the rule left: what a swap
    /// does in the sidecar.
    pub fn take_states_of<G>(&mut self, other: &Runner<G>) {
        self.states.clone_from(&other.states);
    }

    /// The largest state kept, in bytes.
    #[must_use]
    pub fn largest_state(&self) -> usize {
        self.states.values().map(Vec::len).max().unwrap_or(0)
    }

    /// The states as the rule last returned them, in the order of their keys.
    #[must_use]
    pub fn states(&self) -> Vec<(&[u64], &[u8])> {
        let mut states: Vec<_> = self
            .states
            .iter()
            .map(|(key, state)| (key.as_slice(), state.as_slice()))
            .collect();
        states.sort_unstable();
        states
    }

    fn groups(&self, events: &[TestEvent]) -> Vec<Members> {
        let mut groups: Vec<Members> = Vec::new();
        let mut index: HashMap<Vec<u64>, usize> = HashMap::new();
        for (event, number) in events.iter().zip(0..) {
            let Some(key) = event.key(&self.descriptor.key) else {
                continue;
            };
            let position = *index.entry(key.clone()).or_insert(groups.len());
            if position == groups.len() {
                groups.push(Members {
                    key,
                    events: Vec::new(),
                });
            }
            if let Some(members) = groups.get_mut(position) {
                members.events.push(number);
            }
        }
        groups
    }

    fn frame(&self, events: &[TestEvent], groups: &[Members]) -> (wire::Frame, Vec<u32>) {
        let mut frame = wire::Frame {
            block: Vec::new(),
            events: Vec::new(),
            texts: Vec::new(),
            groups: Vec::new(),
        };
        let mut order = Vec::new();
        for members in groups {
            let known = self
                .states
                .get(&members.key)
                .filter(|state| !state.is_empty());
            let state = span(&mut frame.block, known.map(Vec::as_slice));
            let first = u32::try_from(frame.events.len()).unwrap_or(u32::MAX);
            for &member in &members.events {
                let Some(event) = events.get(member as usize) else {
                    continue;
                };
                order.push(member);
                frame.events.push(event.numbers());
                for field in &self.descriptor.reads {
                    let text = event.texts.get(field).map(String::as_bytes);
                    frame.texts.push(span(&mut frame.block, text));
                }
            }
            let count = u32::try_from(members.events.len()).unwrap_or(u32::MAX);
            frame.groups.push(wire::Group {
                first,
                count,
                state,
            });
        }
        (frame, order)
    }
}

fn span(block: &mut Vec<u8>, bytes: Option<&[u8]>) -> wire::Span {
    match (bytes, u32::try_from(block.len())) {
        (Some(bytes), Ok(start)) => {
            block.extend_from_slice(bytes);
            wire::Span {
                start,
                length: u32::try_from(bytes.len()).unwrap_or(0),
            }
        }
        _ => wire::Span {
            start: ABSENT,
            length: 0,
        },
    }
}

type BoxedFold = Box<dyn FnMut(&wire::Frame) -> wire::Outcome>;

/// Runs one rule natively.
pub struct Harness<R> {
    runner: Runner<BoxedFold>,
    rule: std::marker::PhantomData<R>,
}

impl<R: Rule + 'static> Harness<R> {
    /// A rule with the given parameters (a JSON object; empty for defaults).
    ///
    /// # Errors
    /// Names the parameter the rule refuses.
    pub fn new(parameters: &str) -> Result<Self, ParameterError> {
        let (rule, descriptor) = describe::<R>(parameters).map_err(|error| ParameterError {
            parameter: error.parameter,
            message: error.message,
        })?;
        let runner = Runner::new(
            descriptor,
            Box::new(move |frame: &wire::Frame| fold(&rule, frame)) as BoxedFold,
        );
        Ok(Self {
            runner,
            rule: std::marker::PhantomData,
        })
    }
}

impl<R> std::ops::Deref for Harness<R> {
    type Target = Runner<BoxedFold>;
    fn deref(&self) -> &Self::Target {
        &self.runner
    }
}

impl<R> std::ops::DerefMut for Harness<R> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.runner
    }
}

impl<R> std::fmt::Debug for Harness<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Harness")
            .field("rule", &self.runner.descriptor.id)
            .finish_non_exhaustive()
    }
}
