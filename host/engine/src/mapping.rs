//! One configured mapping rule: its instance, its catalogue, its faults.

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use sidewatch_event::{Annotation, Event, Field, FieldName};
use wasmtime::Store;

use crate::bindings::mapping::MappingRule as Bindings;
use crate::bindings::mapping::exports::sidewatch::rule::mapping as wire;
use crate::evaluate::{Map, MappingFrame, MappingOutcome};
use crate::fault::{Fault, RuleCounters, add};
use crate::frame::{FRAME_EVENTS, append_texts, field_names, slice};
use crate::limits::{Guard, RuleLimits};
use crate::loader::{ConfigureError, LoadedRule, Prepared};
use crate::rows::{Computed, RequestNumbers, Row, Span};
use crate::suspension::Suspension;

/// Severity that stands for "not set" on the wire.
const NO_SEVERITY: u32 = 255;

/// What a mapping rule says of itself, checked.
#[derive(Debug, Clone)]
pub struct MappingDescriptor {
    /// Names the rule in files and metrics.
    pub id: Arc<str>,
    /// Semantic version.
    pub version: Arc<str>,
    /// Text fields it reads.
    pub reads: Vec<FieldName>,
    /// Text fields it computes.
    pub writes: Vec<FieldName>,
    /// The catalogue.
    pub annotations: Vec<Arc<Annotation>>,
}

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
        let descriptor = check(descriptor).map_err(ConfigureError::Description)?;
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
                &mut buffers.texts,
                &self.descriptor.reads,
                event,
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
            if let (Some(event), Some(annotation)) =
                (events.get_mut(at), self.annotation(mapped.annotation))
            {
                event.suppressed |= annotation.suppress;
                event.activity = annotation.activity;
                event.annotation = Some(Arc::clone(annotation));
            }
        }
        for Row(item) in &outcome.computed {
            let at = members
                .get(item.event as usize)
                .copied()
                .unwrap_or(usize::MAX);
            if let (Some(event), Some(name), Some(text)) =
                (events.get_mut(at), writes(item.field), text(item))
            {
                match name {
                    FieldName::Field(field) => event.set(*field, text),
                    FieldName::Label(label) => event.set_label(label, text),
                }
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

/// Fields a mapping may not write: identity and evidence are the host's.
const RESERVED: [Field; 10] = [
    Field::DeviceId,
    Field::EventDataset,
    Field::EventOriginal,
    Field::HttpRequestId,
    Field::SessionId,
    Field::SourceAddress,
    Field::UrlOriginal,
    Field::LogFilePath,
    Field::UserId,
    Field::UserName,
];

fn check(descriptor: wire::Descriptor) -> Result<MappingDescriptor, String> {
    /// More than any table needs; bounds what the host keeps.
    const MOST: usize = 16_384;
    if descriptor.id.is_empty() || descriptor.id.len() > 64 {
        return Err("its id is empty or too long".to_owned());
    }
    if descriptor.annotations.len() > MOST {
        return Err(format!("its catalogue has more than {MOST} entries"));
    }
    let writes = field_names(&descriptor.writes, "writes")?;
    if let Some(field) = RESERVED
        .into_iter()
        .find(|field| writes.contains(&FieldName::Field(*field)))
    {
        return Err(format!(
            "it writes `{}`, which only the host may set",
            field.name()
        ));
    }
    Ok(MappingDescriptor {
        reads: field_names(&descriptor.reads, "reads")?,
        writes,
        id: descriptor.id.into(),
        version: descriptor.version.into(),
        annotations: descriptor
            .annotations
            .into_iter()
            .map(|entry| Arc::new(annotation(entry)))
            .collect(),
    })
}

fn annotation(entry: wire::Annotation) -> Annotation {
    let severity = match entry.severity {
        NO_SEVERITY => None,
        severity => u8::try_from(severity.min(10)).ok(),
    };
    let fields = [
        (Field::EventAction, entry.action),
        (Field::EventCategory, entry.category.join(",")),
        (Field::EventType, entry.kinds.join(",")),
        (Field::EventOutcome, entry.outcome),
        (Field::EventCode, entry.code),
        (Field::SidewatchName, entry.name),
        (Field::ObserverProduct, entry.product),
    ];
    Annotation::new(fields, severity, entry.suppress)
}
