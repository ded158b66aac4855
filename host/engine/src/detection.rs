//! One configured detection rule: its instance, its states, its faults.
//!
//! Lifetime: the instance lives until it faults; then it is thrown away with
//! everything in it and made anew from the prepared component, which takes some
//! tens of microseconds. States survive, because they are the host's.
//!
//! A faulty frame is halved until the offending event stands alone; that event
//! goes on to the sinks without this rule. A key whose faults take time (loops,
//! not traps) is set aside for a while; a rule whose faults, over many keys,
//! take more than their share of time is suspended and tried again later.

mod answer;
mod convert;
mod succession;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::Value;
use sidewatch_event::Event;
use sidewatch_frame::StateKey;
use sidewatch_frame::block::{ABSENT, FRAME_EVENTS, append, append_texts};
use sidewatch_frame::key::NAMES;
pub use sidewatch_frame::{DetectionDescriptor, FindingKind, RawFinding};
use wasmtime::Store;

use crate::bindings::detection::DetectionRule as Bindings;
use crate::bindings::detection::exports::sidewatch::rule::detection as wire;
use crate::evaluate::{Detect, DetectionFrame};
use crate::failure_rate::{FailureRate, Verdict};
use crate::fault::{Fault, RuleCounters, add};
use crate::limits::{Guard, RuleLimits, thread_time};
use crate::loader::{ConfigureError, LoadedRule, Prepared};
use crate::quarantine::Quarantine;
use crate::rows::{EventNumbers, Group, Row, Span};
use crate::state::States;
use crate::suspension::Suspension;

use convert::claims;
pub(crate) use convert::numbers;

/// Events with the numbers of each.
#[derive(Clone, Copy)]
struct Batch<'a> {
    events: &'a [Box<Event>],
    rows: &'a [Row<EventNumbers>],
}

struct Live {
    store: Store<Guard>,
    evaluate: Detect,
}

#[derive(Default)]
struct Buffers {
    block: Vec<u8>,
    events: Vec<Row<EventNumbers>>,
    texts: Vec<Row<Span>>,
    groups: Vec<Row<Group>>,
    keys: Vec<(u64, i64)>,
}

/// A detection rule, ready to fold events.
pub struct DetectionRule {
    loaded: LoadedRule,
    parameters: String,
    limits: RuleLimits,
    /// What the rule says of itself.
    pub descriptor: DetectionDescriptor,
    /// Shared with the metrics endpoint.
    pub counters: Arc<RuleCounters>,
    key: StateKey,
    live: Option<Live>,
    states: States,
    buffers: Buffers,
    members: Vec<(u64, u32)>,
    suspension: Suspension,
    quarantine: Quarantine,
    failure_rate: FailureRate,
    /// What its failures say; whoever owns the rule acts on it.
    pub(crate) verdict: Verdict,
    /// Events and failed ones when the verdict was reached.
    pub(crate) judged: (u64, u64),
    /// Switched off, it sees no events.
    on: bool,
    /// Somebody wished it off: its next version is off, too.
    unwanted: bool,
}

impl std::fmt::Debug for DetectionRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("DetectionRule")
            .field("descriptor", &self.descriptor)
            .finish_non_exhaustive()
    }
}

impl DetectionRule {
    pub(crate) fn new(
        loaded: &LoadedRule,
        parameters: &Value,
        limits: RuleLimits,
    ) -> Result<Self, ConfigureError> {
        let parameters = parameters.to_string();
        let (live, descriptor) = instantiate(loaded, &parameters, &limits)?;
        let descriptor = DetectionDescriptor::try_from(claims(descriptor))
            .map_err(ConfigureError::Description)?;
        let key = StateKey::parse(&descriptor.key, loaded.engine.hash_key).map_err(|name| {
            let known: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
            ConfigureError::Description(format!(
                "its key names `{name}`; known are {}",
                known.join(", ")
            ))
        })?;
        let states = States::new(limits.state_bytes, descriptor.state_ttl);
        Ok(Self {
            loaded: loaded.clone(),
            parameters,
            limits,
            descriptor,
            counters: Arc::default(),
            key,
            live: Some(live),
            states,
            buffers: Buffers::default(),
            members: Vec::new(),
            suspension: Suspension::default(),
            quarantine: Quarantine::default(),
            failure_rate: FailureRate::new(limits.failures),
            verdict: Verdict::Fine,
            judged: (0, 0),
            on: true,
            unwanted: false,
        })
    }

    /// Folds a batch in order; findings are appended.
    pub fn fold(&mut self, events: &[Box<Event>], findings: &mut Vec<RawFinding>) {
        let rows: Vec<_> = events.iter().map(|event| numbers(event)).collect();
        self.fold_rows(events, &rows, findings);
    }

    /// The same; `rows` are the numbers of the events in the same order, made
    /// once for all rules.
    pub(crate) fn fold_rows(
        &mut self,
        events: &[Box<Event>],
        rows: &[Row<EventNumbers>],
        findings: &mut Vec<RawFinding>,
    ) {
        if !self.on {
            add(&self.counters.skipped, events.len());
            return;
        }
        let (started, worked) = (Instant::now(), thread_time());
        let before = (self.counters.seen(), self.counters.failed());
        let batch = Batch { events, rows };
        let mut first = 0;
        for chunk in events.chunks(FRAME_EVENTS) {
            self.fold_chunk(batch, first, chunk, findings);
            first += chunk.len();
        }
        let elapsed = usize::try_from(started.elapsed().as_nanos()).unwrap_or(usize::MAX);
        add(&self.counters.nanoseconds, elapsed);
        self.judge(started, worked, before);
        self.counters
            .states
            .store(self.states.len() as u64, Ordering::Relaxed);
        self.counters
            .state_bytes
            .store(self.states.bytes() as u64, Ordering::Relaxed);
        self.counters
            .states_evicted
            .store(self.states.evicted(), Ordering::Relaxed);
    }

    /// Whether it did its work in the time it may take, and without failing
    /// too often; `before` are events and failures before the batch.
    fn judge(&mut self, started: Instant, worked: Option<Duration>, before: (u64, u64)) {
        let events = self.counters.seen().saturating_sub(before.0);
        let failed = self.counters.failed().saturating_sub(before.1);
        if let (Some(worked), Some(now)) = (worked, thread_time())
            && failed == 0
        {
            let allowed = self.limits.event_microseconds.saturating_mul(1_000);
            let allowed = Duration::from_nanos(allowed.saturating_mul(events));
            let excess = now.saturating_sub(worked).saturating_sub(allowed);
            if !excess.is_zero()
                && let Some(pause) = self.suspension.strike(started, excess)
            {
                add(&self.counters.too_slow, 1);
                tracing::error!(rule = %self.descriptor.id, seconds = pause.as_secs(), "rule takes longer than `event_microseconds` and is suspended");
            }
        }
        if events > 0 {
            let verdict = self.failure_rate.note(started, events, failed);
            if verdict > self.verdict {
                self.verdict = verdict;
                self.judged = (events, failed);
            }
        }
    }

    fn fold_chunk(
        &mut self,
        all: Batch<'_>,
        first: usize,
        chunk: &[Box<Event>],
        findings: &mut Vec<RawFinding>,
    ) {
        let mut members = std::mem::take(&mut self.members);
        members.clear();
        for (at, event) in (first..).zip(chunk) {
            if let (Some(key), Ok(at)) = (self.key.of(event), u32::try_from(at)) {
                members.push((key, at));
            }
        }
        if !self.quarantine.is_empty() {
            let now = Instant::now();
            let before = members.len();
            members.retain(|(key, _)| !self.quarantine.holds(*key, now));
            add(&self.counters.events, before - members.len());
            add(&self.counters.quarantined, before - members.len());
        }
        if !members.is_empty() {
            // The index breaks ties, so events of one key stay in order.
            members.sort_unstable();
            add(&self.counters.events, members.len());
            self.fold_members(all, &members, findings);
        }
        self.members = members;
    }

    /// Folds a frame, halving it on faults. The recursion is as deep as the
    /// logarithm of the frame's size.
    fn fold_members(
        &mut self,
        events: Batch<'_>,
        members: &[(u64, u32)],
        findings: &mut Vec<RawFinding>,
    ) {
        if self.suspension.holds(Instant::now()) {
            add(&self.counters.skipped, members.len());
            return;
        }
        add(&self.counters.frames, 1);
        let (started, worked) = (Instant::now(), thread_time());
        let before = findings.len();
        let Err(fault) = self.attempt(events, members, findings) else {
            return;
        };
        findings.truncate(before);
        let halves = members.split_at(members.len() / 2);
        if fault == Fault::Crowded && members.len() > 1 {
            // Many users at once, each with a state of a size it may have: no
            // fault of the rule's.
            self.fold_members(events, halves.0, findings);
            self.fold_members(events, halves.1, findings);
            return;
        }
        self.live = None;
        self.counters.count(&fault);
        // Processor time: a busy machine is no fault of the rule.
        let cost = match (worked, thread_time()) {
            (Some(before), Some(now)) => now.saturating_sub(before),
            _ => started.elapsed(),
        };
        if let Some(pause) = self.suspension.strike(started, cost) {
            tracing::error!(rule = %self.descriptor.id, error = %fault, seconds = pause.as_secs(), "rule keeps failing and is suspended");
        }
        if let [(key, at)] = members {
            add(&self.counters.quarantined, 1);
            if fault == Fault::TimedOut && self.quarantine.strike(*key, started, cost) {
                self.states.set(*key, &[], 0);
            }
            if let Some(event) = events.events.get(*at as usize) {
                tracing::warn!(rule = %self.descriptor.id, error = %fault, event = format_args!("{:032x}", event.id), "rule cannot evaluate an event");
                let version = &self.descriptor.version;
                self.counters.failures.note(event, version, fault);
            }
            return;
        }
        self.fold_members(events, halves.0, findings);
        self.fold_members(events, halves.1, findings);
    }

    fn attempt(
        &mut self,
        events: Batch<'_>,
        members: &[(u64, u32)],
        findings: &mut Vec<RawFinding>,
    ) -> Result<(), Fault> {
        self.build(events, members);
        let groups = &self.buffers.groups;
        let states: usize = groups
            .iter()
            .map(|group| group.0.state.length as usize)
            .sum();
        if groups.len() > 1 && states > self.limits.output_bytes {
            // They will come back, so the call would be for nothing.
            return Err(Fault::Crowded);
        }
        if self.live.is_none() {
            self.live = Some(
                match instantiate(&self.loaded, &self.parameters, &self.limits) {
                    Ok((live, _)) => live,
                    Err(ConfigureError::Fault(fault)) => return Err(fault),
                    Err(error) => return Err(Fault::Rejected(error.to_string())),
                },
            );
        }
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        let frame = DetectionFrame {
            block: &self.buffers.block,
            events: &self.buffers.events,
            texts: &self.buffers.texts,
            groups: &self.buffers.groups,
        };
        let running = self
            .loaded
            .engine
            .clock
            .begin_call(&mut live.store, self.limits.frame());
        let outcome = live.evaluate.call(&mut live.store, frame);
        drop(running);
        let outcome = outcome.map_err(|error| Fault::from_error(&error))?;
        self.accept(outcome, members, findings)
    }

    fn build(&mut self, batch: Batch<'_>, members: &[(u64, u32)]) {
        let buffers = &mut self.buffers;
        buffers.block.clear();
        buffers.events.clear();
        buffers.texts.clear();
        buffers.groups.clear();
        buffers.keys.clear();
        for (key, at) in members {
            let at = *at as usize;
            let (Some(event), Some(row)) = (batch.events.get(at), batch.rows.get(at)) else {
                continue;
            };
            let position = u32::try_from(buffers.events.len()).unwrap_or(u32::MAX);
            match (buffers.groups.last_mut(), buffers.keys.last_mut()) {
                (Some(group), Some((last, time))) if last == key => {
                    group.0.count += 1;
                    *time = event.time.max(*time);
                }
                _ => {
                    let (start, length) = match self.states.get(*key, event.time) {
                        Some(state) => append(&mut buffers.block, state),
                        None => (ABSENT, 0),
                    };
                    buffers.groups.push(Row(Group {
                        first: position,
                        count: 1,
                        state: Span { start, length },
                    }));
                    buffers.keys.push((*key, event.time));
                }
            }
            buffers.events.push(*row);
            append_texts(
                &mut buffers.block,
                &self.descriptor.reads,
                event,
                |start, length| buffers.texts.push(Row(Span { start, length })),
            );
        }
    }

    /// The component.
    #[must_use]
    pub fn loaded(&self) -> &LoadedRule {
        &self.loaded
    }

    /// Its parameters, a JSON object.
    #[must_use]
    pub fn parameters(&self) -> Value {
        self.parameters.parse().unwrap_or(Value::Null)
    }

    /// What it may use.
    #[must_use]
    pub fn limits(&self) -> RuleLimits {
        self.limits
    }

    /// Whether it is switched on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// The rule's states, to be kept beyond the process.
    pub fn states_mut(&mut self) -> &mut States {
        &mut self.states
    }

    /// Instructions the present instance has executed, where the engine counts
    /// them.
    #[must_use]
    pub fn instructions(&self) -> u64 {
        let left = self
            .live
            .as_ref()
            .and_then(|live| live.store.get_fuel().ok());
        left.map_or(0, |left| u64::MAX - left)
    }

    /// Until when the rule is suspended, if it is.
    #[must_use]
    pub fn suspended_for(&self) -> Option<Duration> {
        self.suspension.remaining(Instant::now())
    }
}

fn instantiate(
    loaded: &LoadedRule,
    parameters: &str,
    limits: &RuleLimits,
) -> Result<(Live, wire::Descriptor), ConfigureError> {
    let Prepared::Detection(prepared) = &*loaded.prepared else {
        return Err(ConfigureError::Kind("mapping"));
    };
    let fault = |error: wasmtime::Error| ConfigureError::Fault(Fault::from_error(&error));
    let mut store = limits.store(&loaded.engine.wasmtime);
    // Configuring may parse tables, so it gets more time than a frame.
    let running = loaded
        .engine
        .clock
        .begin_call(&mut store, limits.frame().saturating_mul(20));
    let instance = prepared
        .instance_pre()
        .instantiate(&mut store)
        .map_err(fault)?;
    let bindings = Bindings::new(&mut store, &instance).map_err(fault)?;
    let evaluate = Detect::find(&mut store, &instance).map_err(fault)?;
    let configured = bindings
        .sidewatch_rule_detection()
        .call_configure(&mut store, parameters)
        .map_err(fault)?;
    let descriptor = configured.map_err(|error| ConfigureError::Parameter {
        parameter: error.parameter,
        message: error.message,
    })?;
    drop(running);
    Ok((Live { store, evaluate }, descriptor))
}
