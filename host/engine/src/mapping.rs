//! One configured mapping rule: its instance, its catalogue, its faults.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use sidewatch_event::{Annotation, Event};
pub use sidewatch_frame::MappingDescriptor;
use sidewatch_frame::block::{FRAME_EVENTS, append_texts, slice};
use sidewatch_frame::{CatalogueEntry, MappingClaims};
use wasmtime::Store;

use crate::bindings::mapping::MappingRule as Bindings;
use crate::bindings::mapping::exports::sidewatch::rule::mapping as wire;
use crate::evaluate::{Map, MappingFrame, MappingOutcome};
use crate::fault::{Fault, RuleCounters, add};
use crate::limits::{Guard, RuleLimits};
use crate::loader::{ConfigureError, LoadedRule, Prepared};
use crate::rows::{Computed, RequestNumbers, Row, Span};
use crate::suspension::Suspension;

struct Live {
    store: Store<Guard>,
    evaluate: Map,
}

#[derive(Default)]
struct Buffers {
    block: Vec<u8>,
    events: Vec<Row<RequestNumbers>>,
    texts: Vec<Row<Span>>,
}

/// A mapping rule, ready to map events.
pub struct MappingRule {
    loaded: LoadedRule,
    parameters: String,
    limits: RuleLimits,
    /// What the rule says of itself.
    pub descriptor: MappingDescriptor,
    /// Shared with the metrics endpoint.
    pub counters: Arc<RuleCounters>,
    live: Option<Live>,
    buffers: Buffers,
    suspension: Suspension,
}

impl std::fmt::Debug for MappingRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("MappingRule")
            .field("id", &self.descriptor.id)
            .finish_non_exhaustive()
    }
}

impl MappingRule {
    pub(crate) fn new(
        loaded: &LoadedRule,
        parameters: &Value,
        limits: RuleLimits,
    ) -> Result<Self, ConfigureError> {
        let parameters = parameters.to_string();
        let (live, descriptor) = instantiate(loaded, &parameters, &limits)?;
        let descriptor =
            MappingDescriptor::try_from(claims(descriptor)).map_err(ConfigureError::Description)?;
        Ok(Self {
            loaded: loaded.clone(),
            parameters,
            limits,
            descriptor,
            counters: Arc::default(),
            live: Some(live),
            buffers: Buffers::default(),
            suspension: Suspension::default(),
        })
    }

    /// The component.
    #[must_use]
    pub fn loaded(&self) -> &LoadedRule {
        &self.loaded
    }

    /// Maps a batch in place: annotation, computed texts, activity, noise.
    /// Only events for which `admits` holds are shown to the rule.
    pub fn map(&mut self, events: &mut [Box<Event>], admits: impl Fn(&Event) -> bool) {
        let started = Instant::now();
        let mut members = Vec::with_capacity(FRAME_EVENTS.min(events.len()));
        for chunk in events.chunks_mut(FRAME_EVENTS) {
            members.clear();
            members.extend(
                (0..chunk.len()).filter(|at| chunk.get(*at).is_some_and(|event| admits(event))),
            );
            if !members.is_empty() {
                add(&self.counters.events, members.len());
                self.map_members(chunk, &members);
            }
        }
        add(
            &self.counters.nanoseconds,
            usize::try_from(started.elapsed().as_nanos()).unwrap_or(usize::MAX),
        );
    }

    fn map_members(&mut self, events: &mut [Box<Event>], members: &[usize]) {
        if self.suspension.holds(Instant::now()) {
            add(&self.counters.skipped, members.len());
            return;
        }
        add(&self.counters.frames, 1);
        let started = Instant::now();
        let fault = match self.attempt(events, members) {
            Ok(outcome) => match self.accept(&outcome, events, members) {
                Ok(()) => return,
                Err(fault) => fault,
            },
            Err(fault) => fault,
        };
        self.live = None;
        self.counters.count(&fault);
        if let Some(pause) = self.suspension.strike(started, started.elapsed()) {
            tracing::error!(rule = %self.descriptor.id, error = %fault, seconds = pause.as_secs(), "rule keeps failing and is suspended");
        }
        if members.len() == 1 {
            add(&self.counters.quarantined, 1);
            tracing::warn!(rule = %self.descriptor.id, error = %fault, "rule cannot map an event");
            if let Some(event) = members.first().and_then(|at| events.get(*at)) {
                let version = &self.descriptor.version;
                self.counters.failures.note(event, version, fault);
            }
            return;
        }
        let (left, right) = members.split_at(members.len() / 2);
        self.map_members(events, left);
        self.map_members(events, right);
    }

    fn attempt(
        &mut self,
        events: &[Box<Event>],
        members: &[usize],
    ) -> Result<MappingOutcome, Fault> {
        let buffers = &mut self.buffers;
        buffers.block.clear();
        buffers.events.clear();
        buffers.texts.clear();
        for event in members.iter().filter_map(|at| events.get(*at)) {
            buffers.events.push(Row(RequestNumbers {
                status: event.status.into(),
                server_port: event.server_port.into(),
            }));
            append_texts(
                &mut buffers.block,
                &self.descriptor.reads,
                event,
                |start, length| buffers.texts.push(Row(Span { start, length })),
            );
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
            return Err(Fault::Rejected("no instance".to_owned()));
        };
        let frame = MappingFrame {
            block: &self.buffers.block,
            events: &self.buffers.events,
            texts: &self.buffers.texts,
        };
        let _running = self
            .loaded
            .engine
            .clock
            .begin_call(&mut live.store, self.limits.frame());
        live.evaluate
            .call(&mut live.store, frame)
            .map_err(|error| Fault::from_error(&error))
    }

    /// Checks everything, then takes everything: a bad answer changes nothing.
    fn accept(
        &self,
        outcome: &MappingOutcome,
        events: &mut [Box<Event>],
        members: &[usize],
    ) -> Result<(), Fault> {
        let rejected = |text: &str| Err(Fault::Rejected(text.to_owned()));
        if outcome.block.len() > self.limits.output_bytes {
            return rejected("its texts together exceed output_bytes");
        }
        let most = members
            .len()
            .saturating_mul(self.descriptor.writes.len().max(1));
        if outcome.mapped.len() > members.len() || outcome.computed.len() > most {
            return rejected("more answers than events");
        }
        let known = |event: u32| members.get(event as usize).is_some();
        if !outcome
            .mapped
            .iter()
            .all(|Row(mapped)| known(mapped.event) && self.annotation(mapped.annotation).is_some())
        {
            return rejected("an annotation that does not exist");
        }
        let text = |computed: &Computed| {
            let bytes = slice(&outcome.block, computed.text.start, computed.text.length)?;
            std::str::from_utf8(bytes).ok()
        };
        let writes = |field: u32| self.descriptor.writes.get(field as usize);
        if !outcome.computed.iter().all(|Row(item)| {
            known(item.event) && writes(item.field).is_some() && text(item).is_some()
        }) {
            return rejected("a computed text that is no text of its frame");
        }
        for Row(mapped) in &outcome.mapped {
            let at = members
                .get(mapped.event as usize)
                .copied()
                .unwrap_or(usize::MAX);
            if let Some(event) = events.get_mut(at) {
                self.descriptor.annotate(event, mapped.annotation);
            }
        }
        for Row(item) in &outcome.computed {
            let at = members
                .get(item.event as usize)
                .copied()
                .unwrap_or(usize::MAX);
            if let (Some(event), Some(text)) = (events.get_mut(at), text(item)) {
                self.descriptor.write(event, item.field, text);
            }
        }
        Ok(())
    }

    fn annotation(&self, number: u32) -> Option<&Arc<Annotation>> {
        self.descriptor.annotations.get(number as usize)
    }
}

fn instantiate(
    loaded: &LoadedRule,
    parameters: &str,
    limits: &RuleLimits,
) -> Result<(Live, wire::Descriptor), ConfigureError> {
    let Prepared::Mapping(prepared) = &*loaded.prepared else {
        return Err(ConfigureError::Kind("detection"));
    };
    let fault = |error: wasmtime::Error| ConfigureError::Fault(Fault::from_error(&error));
    let mut store = limits.store(&loaded.engine.wasmtime);
    // Configuring compiles a whole table, so it gets more time than a frame.
    let running = loaded
        .engine
        .clock
        .begin_call(&mut store, limits.frame().saturating_mul(20));
    let instance = prepared
        .instance_pre()
        .instantiate(&mut store)
        .map_err(fault)?;
    let bindings = Bindings::new(&mut store, &instance).map_err(fault)?;
    let evaluate = Map::find(&mut store, &instance).map_err(fault)?;
    let configured = bindings
        .sidewatch_rule_mapping()
        .call_configure(&mut store, parameters)
        .map_err(fault)?;
    let descriptor = configured.map_err(|error| ConfigureError::Parameter {
        parameter: error.parameter,
        message: error.message,
    })?;
    drop(running);
    Ok((Live { store, evaluate }, descriptor))
}

fn claims(descriptor: wire::Descriptor) -> MappingClaims {
    let entry = |entry: wire::Annotation| CatalogueEntry {
        action: entry.action,
        category: entry.category,
        kinds: entry.kinds,
        outcome: entry.outcome,
        code: entry.code,
        name: entry.name,
        severity: entry.severity,
        product: entry.product,
        suppress: entry.suppress,
    };
    MappingClaims {
        id: descriptor.id,
        version: descriptor.version,
        reads: descriptor.reads,
        writes: descriptor.writes,
        annotations: descriptor.annotations.into_iter().map(entry).collect(),
    }
}
