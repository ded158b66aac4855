//! Runs a rule over a long stream of events, one at a time, natively.
//!
//! States stay decoded in memory, so that a month of traffic is folded in
//! seconds. For corpora and benchmarks; the sidecar keeps states as bytes.

use std::collections::HashMap;

use super::test_event::key_parts;
use super::{Description, Event, Findings, Rule, Stored, incident, wire};
use crate::ABSENT;
use crate::ParameterError;

/// A rule with the states of all its keys.
#[derive(Debug)]
pub struct Live<R: Rule> {
    rule: R,
    description: Description,
    states: HashMap<u64, Stored<R::State>>,
    block: Vec<u8>,
    spans: Vec<wire::Span>,
    findings: Vec<wire::Finding>,
}

impl<R: Rule> Live<R> {
    /// A rule with the given parameters (a JSON object; empty for defaults).
    ///
    /// # Errors
    /// Names the parameter the rule refuses.
    pub fn new(parameters: &str) -> Result<Self, ParameterError> {
        let rule = R::new(crate::parameters::decode(parameters)?)?;
        Ok(Self {
            rule,
            description: R::description(),
            states: HashMap::new(),
            block: Vec::new(),
            spans: Vec::new(),
            findings: Vec::new(),
        })
    }

    /// What the rule says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// How many keys have a state.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.states.len()
    }

    /// Folds one event and returns what it raised. `text` gives its text
    /// fields by name.
    pub fn feed<'t>(
        &mut self,
        numbers: &wire::Event,
        text: impl Fn(&str) -> Option<&'t str>,
    ) -> &[wire::Finding] {
        self.findings.clear();
        let Some(key) = key(numbers, self.description.key) else {
            return &self.findings;
        };
        self.block.clear();
        self.spans.clear();
        for field in self.description.reads {
            let span = match (text(field), u32::try_from(self.block.len())) {
                (Some(text), Ok(start)) => {
                    self.block.extend_from_slice(text.as_bytes());
                    wire::Span {
                        start,
                        length: u32::try_from(text.len()).unwrap_or(0),
                    }
                }
                _ => wire::Span {
                    start: ABSENT,
                    length: 0,
                },
            };
            self.spans.push(span);
        }
        let event = Event::new(numbers, &self.block, &self.spans);
        let state = self
            .states
            .entry(key)
            .or_insert_with(|| Stored::new(R::State::default()));
        let mut out = Findings {
            list: &mut self.findings,
            event: 0,
            description: &self.description,
        };
        self.rule.evaluate(state, &event, &mut out);
        &self.findings
    }
}

fn key(numbers: &wire::Event, names: &[&str]) -> Option<u64> {
    if let [name] = names {
        return key_parts(numbers, name);
    }
    let parts: Option<Vec<u64>> = names.iter().map(|name| key_parts(numbers, name)).collect();
    parts.map(|parts| incident(&parts))
}
