//! The native twin: the same rule crates, the same fold, the same frames and
//! the same state store, without WebAssembly between.

use std::sync::Arc;

use account_sharing::AccountSharing;
use event_mapping::EventMapping;
use impossible_travel::ImpossibleTravel;
use rule_sdk::detection::{self, Rule, wire};
use rule_sdk::mapping::{self, wire as mapping_wire};
use sidewatch_engine::RawFinding;
use sidewatch_engine::state::States;
use sidewatch_event::{Activity, Annotation, Event, Field, FieldName};

const FRAME: usize = 64;

pub(crate) struct Rules {
    mapping: Option<Mapping>,
    detections: Vec<Box<dyn Detection>>,
}

impl Rules {
    pub(crate) fn new(names: &[&str]) -> Self {
        let mut rules = Self {
            mapping: None,
            detections: Vec::new(),
        };
        for name in names {
            match *name {
                "event-mapping" => rules.mapping = Some(Mapping::new()),
                "impossible-travel" => rules
                    .detections
                    .push(Box::new(Fold::<ImpossibleTravel>::new())),
                "account-sharing" => rules
                    .detections
                    .push(Box::new(Fold::<AccountSharing>::new())),
                other => unreachable!("{other}"),
            }
        }
        rules
    }

    pub(crate) fn evaluate(&mut self, events: &mut [Box<Event>], findings: &mut Vec<RawFinding>) {
        if let Some(mapping) = &mut self.mapping {
            events
                .chunks_mut(FRAME)
                .for_each(|chunk| mapping.map(chunk));
        }
        for rule in &mut self.detections {
            for chunk in events.chunks(FRAME) {
                rule.fold(chunk, findings);
            }
        }
    }
}

trait Detection {
    fn fold(&mut self, events: &[Box<Event>], findings: &mut Vec<RawFinding>);
}

struct Fold<R> {
    rule: R,
    reads: Vec<FieldName>,
    states: States,
    frame: wire::Frame,
    keys: Vec<(u64, i64)>,
    members: Vec<(u64, u32)>,
}

fn names(names: &[String]) -> Vec<FieldName> {
    names
        .iter()
        .map(|name| FieldName::parse(name).unwrap())
        .collect()
}

fn append(block: &mut Vec<u8>, bytes: Option<&[u8]>) -> (u32, u32) {
    let Some(bytes) = bytes else {
        return (u32::MAX, 0);
    };
    let start = block.len() as u32;
    block.extend_from_slice(bytes);
    (start, bytes.len() as u32)
}

fn span((start, length): (u32, u32)) -> wire::Span {
    wire::Span { start, length }
}

impl<R: Rule> Fold<R> {
    fn new() -> Self {
        let (rule, descriptor) = detection::describe::<R>("")
            .map_err(|error| error.message)
            .unwrap();
        let frame = wire::Frame {
            block: Vec::new(),
            events: Vec::new(),
            texts: Vec::new(),
            groups: Vec::new(),
        };
        Self {
            rule,
            reads: names(&descriptor.reads),
            states: States::new(64 << 20, descriptor.state_ttl),
            frame,
            keys: Vec::new(),
            members: Vec::new(),
        }
    }

    fn build(&mut self, events: &[Box<Event>]) {
        let frame = &mut self.frame;
        frame.block.clear();
        frame.events.clear();
        frame.texts.clear();
        frame.groups.clear();
        self.keys.clear();
        self.members.clear();
        self.members.extend(
            (0..)
                .zip(events)
                .filter(|(_, event)| event.keys.user != 0)
                .map(|(at, event)| (event.keys.user, at)),
        );
        self.members.sort_unstable();
        for (key, at) in &self.members {
            let event = &events[*at as usize];
            match self.keys.last_mut() {
                Some((last, time)) if last == key => {
                    frame.groups.last_mut().unwrap().count += 1;
                    *time = event.time.max(*time);
                }
                _ => {
                    let state = span(append(&mut frame.block, self.states.get(*key, event.time)));
                    frame.groups.push(wire::Group {
                        first: frame.events.len() as u32,
                        count: 1,
                        state,
                    });
                    self.keys.push((*key, event.time));
                }
            }
            frame.events.push(numbers(event));
            for name in &self.reads {
                let text = span(append(
                    &mut frame.block,
                    event.get_named(name).map(str::as_bytes),
                ));
                frame.texts.push(text);
            }
        }
    }
}

impl<R: Rule> Detection for Fold<R> {
    fn fold(&mut self, events: &[Box<Event>], findings: &mut Vec<RawFinding>) {
        self.build(events);
        let outcome = detection::fold(&self.rule, &self.frame);
        for change in &outcome.changes {
            let (key, time) = self.keys[change.group as usize];
            let start = change.state.start as usize;
            self.states.set(
                key,
                &outcome.block[start..start + change.state.length as usize],
                time,
            );
        }
        findings.extend(outcome.findings.into_iter().map(|finding| RawFinding {
            event: finding.event as usize,
            incident: finding.incident,
            occurrence: finding.occurrence,
            rule: Arc::from(""),
            rule_version: Arc::from(""),
            kind: Arc::from(""),
            technique: Arc::from(""),
            severity: finding.severity as u8,
            score: finding.score,
            title: finding.title,
            evidence: Vec::new(),
        }));
    }
}

fn numbers(event: &Event) -> wire::Event {
    let bits = match event.source_ip {
        Some(std::net::IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
        Some(std::net::IpAddr::V6(address)) => address.to_bits(),
        None => 0,
    };
    let (latitude, longitude, accuracy) =
        event.location.map_or((f64::NAN, f64::NAN, 0.0), |place| {
            (place.latitude, place.longitude, place.accuracy_km)
        });
    let country = match event.get(Field::SourceGeoCountryIsoCode).map(str::as_bytes) {
        Some([first, second]) => (u32::from(*first) << 8) | u32::from(*second),
        _ => 0,
    };
    wire::Event {
        time: event.time,
        user: event.keys.user,
        session: event.keys.session,
        device: event.keys.device,
        user_agent: event.keys.user_agent,
        address_high: (bits >> 64) as u64,
        address_low: bits as u64,
        latitude,
        longitude,
        accuracy,
        as_number: event.as_number,
        country,
        network_kind: event.network_kind as u32,
        activity: event.activity as u32,
        status: u32::from(event.status),
    }
}

struct Mapping {
    rule: EventMapping,
    reads: Vec<FieldName>,
    writes: Vec<FieldName>,
    annotations: Vec<Arc<Annotation>>,
    frame: mapping_wire::Frame,
}

impl Mapping {
    fn new() -> Self {
        let parameters = super::data::table().to_string();
        let (rule, descriptor) = mapping::describe::<EventMapping>(&parameters)
            .map_err(|error| error.message)
            .unwrap();
        let annotations = descriptor
            .annotations
            .into_iter()
            .map(|entry| {
                let fields = [
                    (Field::EventAction, entry.action),
                    (Field::EventCategory, entry.category.join(",")),
                    (Field::EventType, entry.kinds.join(",")),
                    (Field::EventOutcome, entry.outcome),
                    (Field::EventCode, entry.code),
                ];
                Arc::new(Annotation::new(
                    fields,
                    u8::try_from(entry.severity).ok(),
                    entry.suppress,
                ))
            })
            .collect();
        Self {
            rule,
            reads: names(&descriptor.reads),
            writes: names(&descriptor.writes),
            annotations,
            frame: mapping_wire::Frame {
                block: Vec::new(),
                events: Vec::new(),
                texts: Vec::new(),
            },
        }
    }

    fn map(&mut self, events: &mut [Box<Event>]) {
        let frame = &mut self.frame;
        frame.block.clear();
        frame.events.clear();
        frame.texts.clear();
        for event in &*events {
            frame.events.push(mapping_wire::Event {
                status: event.status.into(),
                server_port: event.server_port.into(),
            });
            for name in &self.reads {
                let (start, length) =
                    append(&mut frame.block, event.get_named(name).map(str::as_bytes));
                frame.texts.push(mapping_wire::Span { start, length });
            }
        }
        let outcome = mapping::map(&self.rule, self.reads.len(), frame);
        for mapped in &outcome.mapped {
            let annotation = &self.annotations[mapped.annotation as usize];
            let event = &mut events[mapped.event as usize];
            event.activity = annotation.activity;
            event.suppressed |= annotation.suppress;
            event.annotation = Some(Arc::clone(annotation));
        }
        for item in &outcome.computed {
            let start = item.text.start as usize;
            let text =
                std::str::from_utf8(&outcome.block[start..start + item.text.length as usize])
                    .unwrap();
            match &self.writes[item.field as usize] {
                FieldName::Field(field) => events[item.event as usize].set(*field, text),
                FieldName::Label(label) => events[item.event as usize].set_label(label, text),
            }
        }
        debug_assert!(
            events
                .iter()
                .all(|event| event.activity as u32 <= Activity::PermissionDenied as u32)
        );
    }
}
