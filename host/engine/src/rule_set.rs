//! The rules that are in force, in their order: mappings first, detections on
//! what the mappings made of the events.
//!
//! Changes are made between two batches, never within one, so every event is
//! evaluated by exactly one version of each rule. States stay with their rule
//! whichever version is in force; versions that were replaced, and rules that
//! were taken out, wait for their return.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidewatch_event::Event;

use crate::canary::SampledState;
use crate::detection::{DetectionRule, RawFinding, numbers};
use crate::exchange::{Change, Effect};
use crate::failure_rate::Verdict;
use crate::limits::RuleLimits;
use crate::mapping::MappingRule;
use crate::rows::{EventNumbers, Row};
use crate::shadow::Shadow;
use crate::state::States;

/// How long after a change the rule may take itself back to the version before.
const PROBATION: Duration = Duration::from_secs(3600);
/// Rules taken out whose states wait.
const MOST_PARKED: usize = 32;

/// Which sources a mapping applies to.
#[derive(Debug)]
pub struct RoutedMapping {
    /// The rule.
    pub rule: MappingRule,
    /// Identifiers of the sources whose events it sees; empty means all.
    pub sources: Vec<std::sync::Arc<str>>,
}

/// What a rule set did of itself; to be told to somebody.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The rule.
    pub rule: Arc<str>,
    /// The version that failed.
    pub version: Arc<str>,
    /// The version in force again; none when the rule was switched off.
    pub restored: Option<Arc<str>>,
    /// Events it failed on since it was last judged.
    pub failed: u64,
    /// Events it was given in that time.
    pub events: u64,
    /// Its latest fault in words.
    pub reason: String,
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// Mappings, in order.
    pub mappings: Vec<RoutedMapping>,
    /// Detections, in order.
    pub detections: Vec<DetectionRule>,
    /// What happened without anybody asking for it.
    pub announcements: Vec<Announcement>,
    /// The version before of rules that were changed, one each.
    before: Vec<Before>,
    /// Rules taken out.
    parked: Vec<Box<DetectionRule>>,
    shadows: Vec<Shadow>,
    /// States of earlier runs whose rule is not in force.
    waiting: BTreeMap<String, States>,
    /// States that went for good, to be told to whoever keeps them.
    forgotten: Vec<(Arc<str>, States)>,
    /// How long changes are on probation; [`PROBATION`] when nothing is said.
    probation: Option<Duration>,
    /// Whether changed states are told to somebody who keeps them.
    remembers: bool,
    /// Numbers of the events of a batch; kept for its room.
    rows: Vec<Row<EventNumbers>>,
}

#[derive(Debug)]
struct Before {
    rule: Box<DetectionRule>,
    replaced: Instant,
    /// It has states of its own: they are under other keys than those of the
    /// version in force.
    states: bool,
}

impl RuleSet {
    /// Maps a batch in place and folds it; findings are appended, by rule and
    /// within a rule by frame.
    pub fn evaluate(&mut self, events: &mut [Box<Event>], findings: &mut Vec<RawFinding>) {
        for RoutedMapping { rule, sources } in &mut self.mappings {
            rule.map(events, |event| {
                sources.is_empty()
                    || event
                        .source
                        .as_ref()
                        .is_some_and(|source| sources.iter().any(|admitted| admitted == source))
            });
        }
        self.forget_after_probation();
        if self.detections.is_empty() {
            return;
        }
        self.rows.clear();
        self.rows.extend(events.iter().map(|event| numbers(event)));
        let mut failing = false;
        for rule in &mut self.detections {
            let id = &rule.descriptor.id;
            let mut shadow = self
                .shadows
                .iter_mut()
                .find(|one| one.rule.descriptor.id == *id);
            if let Some(shadow) = &mut shadow {
                shadow.fold(rule, events, &self.rows);
            }
            let (first, before) = (findings.len(), rule.counters.given());
            rule.fold_rows(events, &self.rows, findings);
            if let Some(shadow) = shadow {
                let after = rule.counters.given();
                let given = (
                    after.0.saturating_sub(before.0),
                    after.1.saturating_sub(before.1),
                );
                let found = findings.get(first..).unwrap_or_default();
                shadow.compare(found, events, given);
            }
            failing |= rule.verdict > Verdict::Fine;
        }
        if failing {
            self.answer_failures();
        }
    }

    /// From now on changed states are told by [`crate::States::drain_changes`].
    pub fn remember_changes(&mut self) {
        self.remembers = true;
        for rule in &mut self.detections {
            rule.states_mut().remember_changes();
        }
    }

    /// How long after a change the rule may take itself back; an hour unless
    /// something else is said here.
    pub fn set_probation(&mut self, probation: Duration) {
        self.probation = Some(probation);
    }

    fn probation(&self) -> Duration {
        self.probation.unwrap_or(PROBATION)
    }

    /// States of an earlier run for a rule that is not in force but may come;
    /// none when too many wait.
    pub fn waiting_states(&mut self, id: &str) -> Option<&mut States> {
        if !self.waiting.contains_key(id) {
            if self.waiting.len() >= MOST_PARKED {
                return None;
            }
            let states = States::new(RuleLimits::default().state_bytes, u64::MAX);
            self.waiting.insert(id.to_owned(), states);
        }
        self.waiting.get_mut(id)
    }

    /// Tells the keys of states that went with a version of their rule.
    pub fn drain_forgotten(&mut self, mut tell: impl FnMut(&Arc<str>, u64)) {
        for (id, mut states) in self.forgotten.drain(..) {
            states.clear();
            states.drain_changes(|key, _| tell(&id, key));
        }
    }

    /// What a version that goes for good kept for itself is told as forgotten.
    fn forget(&mut self, gone: &mut DetectionRule) {
        let states = gone.give_states();
        if self.remembers && !states.is_empty() {
            let id = Arc::clone(&gone.descriptor.id);
            self.forgotten.push((id, states));
        }
    }

    fn retire_before(&mut self, id: &str) -> Option<Box<DetectionRule>> {
        let of_rule = |before: &Before| *before.rule.descriptor.id == *id;
        let at = self.before.iter().position(of_rule)?;
        let mut rule = self.before.swap_remove(at).rule;
        self.forget(&mut rule);
        Some(rule)
    }

    /// States under keys of the version before are kept no longer than it may
    /// come back by itself.
    fn forget_after_probation(&mut self) {
        let probation = self.probation();
        let mut gone = Vec::new();
        for before in &mut self.before {
            if before.states && before.replaced.elapsed() >= probation {
                before.states = false;
                let id = Arc::clone(&before.rule.descriptor.id);
                gone.push((id, before.rule.give_states()));
            }
        }
        if self.remembers {
            self.forgotten.append(&mut gone);
        }
    }

    /// Takes failing rules back, or switches them off.
    fn answer_failures(&mut self) {
        for at in 0..self.detections.len() {
            let Some(rule) = self.detections.get_mut(at) else {
                continue;
            };
            let verdict = std::mem::replace(&mut rule.verdict, Verdict::Fine);
            if verdict == Verdict::Fine || !rule.is_on() {
                continue;
            }
            let id = Arc::clone(&rule.descriptor.id);
            let version = Arc::clone(&rule.descriptor.version);
            let (events, failed) = rule.judged;
            let latest = rule.counters.failures.latest();
            let reason = latest
                .last()
                .map_or_else(String::new, |last| last.fault.to_string());
            let on_probation = self.before.iter().any(|before| {
                before.rule.descriptor.id == id && before.replaced.elapsed() < self.probation()
            });
            let restored = if on_probation {
                self.roll_back(&id).map(|(version, _)| version)
            } else if verdict == Verdict::Hopeless {
                if let Some(rule) = self.detections.get_mut(at) {
                    rule.switch(false);
                }
                None
            } else {
                continue;
            };
            let announced = restored.as_deref().unwrap_or("none");
            tracing::error!(rule = %id, %version, restored = announced, events, failed, reason, "rule fails too often; taken back or switched off");
            self.announcements.push(Announcement {
                rule: id,
                version,
                restored,
                failed,
                events,
                reason,
            });
        }
    }

    fn position(&self, id: &str) -> Option<usize> {
        self.detections
            .iter()
            .position(|rule| *rule.descriptor.id == *id)
    }

    /// The version before and the version it replaces.
    fn roll_back(&mut self, id: &str) -> Option<(Arc<str>, Arc<str>)> {
        let of_rule = |before: &Before| *before.rule.descriptor.id == *id;
        let position = self.before.iter().position(of_rule)?;
        let at = self.position(id)?;
        let rule = self.detections.get_mut(at)?;
        let mut before = self.before.swap_remove(position).rule;
        before.take_over(rule);
        std::mem::swap(rule, &mut *before);
        let versions = (
            Arc::clone(&rule.descriptor.version),
            Arc::clone(&before.descriptor.version),
        );
        self.forget(&mut before);
        Some(versions)
    }

    pub(crate) fn apply(&mut self, change: Change) -> Effect {
        match change {
            Change::Put(rule) => Effect::Done(self.put(rule)),
            Change::Remove(id) => self.remove(&id),
            Change::Order(ids) => {
                let place = |rule: &DetectionRule| {
                    let named = ids.iter().position(|id| **id == *rule.descriptor.id);
                    named.unwrap_or(usize::MAX)
                };
                self.detections.sort_by_key(place);
                Effect::Done(Vec::new())
            }
            Change::RollBack(id) => match self.roll_back(&id) {
                Some((version, from)) => Effect::RolledBack { version, from },
                None => Effect::Refused(format!("no version before is kept of `{id}`")),
            },
            Change::Switch { id, on } => match self.position(&id) {
                Some(at) => {
                    if let Some(rule) = self.detections.get_mut(at) {
                        rule.wish(on);
                    }
                    Effect::Done(Vec::new())
                }
                None => unknown(&id),
            },
            Change::Shadow(rule) => self.shadow(rule),
            Change::EndShadow(id) => {
                let of_rule = |shadow: &Shadow| *shadow.rule.descriptor.id == *id;
                match self.shadows.iter().position(of_rule) {
                    Some(at) => Effect::Done(vec![self.shadows.swap_remove(at).rule]),
                    None => Effect::Refused(format!("nothing runs in the shadow of `{id}`")),
                }
            }
            Change::Mappings(mut mappings) => {
                for (new, old) in mappings.iter_mut().zip(&self.mappings) {
                    new.rule.counters = Arc::clone(&old.rule.counters);
                }
                Effect::Mappings(std::mem::replace(&mut self.mappings, mappings))
            }
            Change::CopyStates { id, most } => match self.position(&id) {
                Some(at) => Effect::States(self.copy_states(at, most)),
                None => unknown(&id),
            },
        }
    }

    /// Puts a version in force; gives back what nobody needs any more.
    fn put(&mut self, mut rule: Box<DetectionRule>) -> Vec<Box<DetectionRule>> {
        let id = Arc::clone(&rule.descriptor.id);
        let mut retired = Vec::new();
        if let Some(at) = self
            .shadows
            .iter()
            .position(|shadow| shadow.rule.descriptor.id == id)
        {
            retired.push(self.shadows.swap_remove(at).rule);
        }
        if let Some(in_force) = self
            .position(&id)
            .and_then(|at| self.detections.get_mut(at))
        {
            rule.take_over(in_force);
            std::mem::swap(in_force, &mut *rule);
            if self.remembers {
                in_force.states_mut().remember_changes();
            }
            let states = !in_force.has_key_of(&rule);
            retired.extend(self.retire_before(&id));
            self.before.push(Before {
                rule,
                replaced: Instant::now(),
                states,
            });
            return retired;
        }
        if let Some(at) = self
            .parked
            .iter()
            .position(|parked| parked.descriptor.id == id)
        {
            let mut parked = self.parked.swap_remove(at);
            rule.take_over(&mut parked);
            self.forget(&mut parked);
            retired.push(parked);
        } else if let Some(states) = self.waiting.remove(&*id) {
            rule.adopt(states);
        }
        if self.remembers {
            rule.states_mut().remember_changes();
        }
        self.detections.push(*rule);
        retired
    }

    fn remove(&mut self, id: &str) -> Effect {
        let Some(at) = self.position(id) else {
            return unknown(id);
        };
        self.parked.push(Box::new(self.detections.remove(at)));
        let mut retired = Vec::new();
        if self.parked.len() > MOST_PARKED {
            retired.push(self.parked.remove(0));
        }
        let of_rule = |rule: &DetectionRule| *rule.descriptor.id == *id;
        retired.extend(self.retire_before(id));
        if let Some(at) = self.shadows.iter().position(|shadow| of_rule(&shadow.rule)) {
            retired.push(self.shadows.swap_remove(at).rule);
        }
        Effect::Done(retired)
    }

    fn shadow(&mut self, rule: Box<DetectionRule>) -> Effect {
        let id = Arc::clone(&rule.descriptor.id);
        if self.position(&id).is_none() {
            return unknown(&id);
        }
        self.shadows
            .retain(|shadow| shadow.rule.descriptor.id != id);
        let shadow = Shadow::new(rule);
        let report = Arc::clone(&shadow.report);
        self.shadows.push(shadow);
        Effect::Shadowed(report)
    }

    fn copy_states(&mut self, at: usize, most: usize) -> Vec<SampledState> {
        let Some(rule) = self.detections.get_mut(at) else {
            return Vec::new();
        };
        rule.states_mut().sample(most)
    }
}

fn unknown(id: &str) -> Effect {
    Effect::Refused(format!("no rule `{id}` is in force"))
}
