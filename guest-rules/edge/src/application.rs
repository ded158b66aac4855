//! Everything between a request and what is forwarded, without the outside.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use sidewatch_codecs::request::RequestSettingsError;
use sidewatch_codecs::{PseudonymKey, RequestCodec, RequestView};
use sidewatch_enrich::{EnrichError, Enricher};
use sidewatch_event::{Delivery, Event, IdentifierSequence};
use sidewatch_frame::block::{FRAME_EVENTS, append_texts, slice};
use sidewatch_frame::{MappingDescriptor, RawFinding, complete};

use crate::batch::{self, BatchError};
use crate::configure::{KeyGroup, detection, groups, mapping, unusable};
use crate::fold::{Detection, fold_key};
use crate::headers::Known;
use crate::rules::{MappingFrame, MappingOutcome, Refusal, Rules, Span};
use crate::settings::Settings;
use crate::state::{EMPTY, States};
use crate::store::{Store, StoreError, update};

/// Why the application cannot run. The texts hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// Where requests name users and sessions is wrong.
    #[error("settings.request: {0}")]
    Request(#[from] RequestSettingsError),
    /// Networks or sites are wrong.
    #[error("settings.enrichment: {0}")]
    Enrichment(#[from] EnrichError),
    /// A rule refuses its parameters.
    #[error("rule `{rule}`: {source}")]
    Refused {
        /// The rule.
        rule: String,
        /// What it refuses.
        source: Refusal,
    },
    /// A rule describes itself in a way nobody can accept.
    #[error("rule `{rule}`: its description is unusable: {reason}")]
    Unusable {
        /// The rule.
        rule: String,
        /// Why.
        reason: String,
    },
    /// The plugged rule is another one than listed.
    #[error("slot `{slot}` holds rule `{found}`, not `{listed}`; build the application again")]
    Swapped {
        /// The slot.
        slot: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        listed: String,
    },
}

/// Keys under which identifying values are hashed: the sidecar's own where the
/// two are to agree.
#[derive(Debug, Clone)]
pub struct Keys {
    /// For sessions and other secrets.
    pub pseudonym: PseudonymKey,
    /// For the 64-bit hashes rules see.
    pub hash: [u8; 16],
}

/// A mirrored request as it came in.
#[derive(Debug)]
pub struct Mirrored<'a> {
    /// What a codec reads of it.
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// `1.1`, `2.0` …
    pub version: &'a str,
    /// Names and values in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body, or its beginning.
    pub body: &'a [u8],
    /// The body was longer.
    pub body_truncated: bool,
    /// Who sent it, as the runtime says.
    pub peer: Option<std::net::IpAddr>,
}

/// What came of a request's events.
#[derive(Debug, Default)]
pub struct Processed {
    /// Findings first, then the events, noise left out.
    pub deliveries: Vec<Delivery>,
    /// Why some states could not be kept; the events go on without those rules.
    pub fault: Option<StoreError>,
    /// What belongs into the log.
    pub notes: Vec<String>,
}

/// The application, configured.
pub struct Application<R> {
    settings: Settings,
    rules: R,
    keys: Keys,
    codec: RequestCodec,
    enricher: RefCell<Enricher>,
    mapping: MappingDescriptor,
    detections: Vec<Detection>,
    groups: Vec<KeyGroup>,
    identifiers: IdentifierSequence,
    source: Arc<str>,
}

impl<R: Rules> Application<R> {
    /// Configures codec, enrichment and rules. `parameters` are those of the
    /// rules in the order of their listing.
    ///
    /// # Errors
    /// Says which part cannot be used and why.
    pub fn new(
        settings: Settings,
        parameters: &[String],
        keys: Keys,
        rules: R,
    ) -> Result<Self, ApplicationError> {
        let codec = RequestCodec::new(&settings.request, keys.pseudonym.clone())?;
        let enricher = Enricher::new(&settings.enrichment, keys.hash)?;
        let text = |at: usize| parameters.get(at).map_or("{}", String::as_str);
        let mapping = match settings.rules.first() {
            Some(listing) => mapping(&rules, listing, text(0))?,
            None => return Err(unusable("mapping", "no rule is listed")),
        };
        let mut detections = Vec::new();
        for (at, listing) in settings.rules.iter().enumerate().skip(1) {
            let slot = at - 1;
            let descriptor = detection(&rules, slot, listing, text(at))?;
            detections.push(Detection { slot, descriptor });
        }
        let groups = groups(&detections, keys.hash)?;
        Ok(Self {
            settings,
            rules,
            keys,
            codec,
            enricher: RefCell::new(enricher),
            mapping,
            detections,
            groups,
            identifiers: IdentifierSequence::default(),
            source: Arc::from("edge"),
        })
    }

    /// The settings it was built with.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    fn blank(&self, received: i64) -> Box<Event> {
        let mut event = Box::new(Event::new());
        event.id = self.identifiers.next(received);
        event.received = received;
        event.source = Some(Arc::clone(&self.source));
        event
    }

    /// The event of a mirrored request; there always is one.
    pub fn mirrored(&self, request: &Mirrored<'_>, received: i64) -> Box<Event> {
        let mut event = self.blank(received);
        let id = event.id;
        self.codec.decode(
            RequestView {
                method: request.method,
                target: request.target,
                version: request.version,
                headers: &mut request.headers.iter().copied(),
                body: request.body,
                body_truncated: request.body_truncated,
                peer: request.peer,
                received,
            },
            &mut event,
        );
        event.id = id;
        let mut known = Known::default();
        for (name, value) in request.headers {
            known.look(&self.settings.headers, name, value);
        }
        known.apply(&self.settings.headers, &mut event);
        event
    }

    /// The events of a batch.
    ///
    /// # Errors
    /// Names the first that cannot be read; none is taken then.
    pub fn batch(&self, body: &[u8], received: i64) -> Result<Vec<Box<Event>>, BatchError> {
        let mut events = batch::decode(body, &self.settings.limits, &self.keys.pseudonym, || {
            self.blank(received)
        })?;
        for event in &mut events {
            self.codec.clean(event);
        }
        Ok(events)
    }

    /// Enriches, maps and folds events.
    pub fn process<S: Store>(&self, mut events: Vec<Box<Event>>, store: &S) -> Processed {
        let mut processed = Processed::default();
        {
            let mut enricher = self.enricher.borrow_mut();
            for event in &mut events {
                if event.time == 0 {
                    event.time = event.received;
                }
                enricher.enrich(event);
            }
        }
        for chunk in events.chunks_mut(FRAME_EVENTS) {
            if let Err(reason) = self.map(chunk) {
                processed.notes.push(format!(
                    "the mapping gave an answer that breaks the contract: {reason}"
                ));
            }
        }
        let raw = self.fold(&events, store, &mut processed);
        let events: Vec<Arc<Event>> = events.into_iter().map(Arc::from).collect();
        let enricher = self.enricher.borrow();
        let findings = raw.into_iter().filter_map(|raw| {
            let event = Arc::clone(events.get(raw.event)?);
            let describe = |address| enricher.describe_address(address).in_words();
            Some(Delivery::Finding(Arc::new(complete(raw, event, describe))))
        });
        processed.deliveries = findings
            .chain(
                events
                    .iter()
                    .filter(|event| !event.suppressed)
                    .map(|event| Delivery::Event(Arc::clone(event))),
            )
            .collect();
        processed
    }

    fn map(&self, events: &mut [Box<Event>]) -> Result<(), &'static str> {
        let mut frame = MappingFrame::default();
        for event in &*events {
            frame
                .events
                .push((event.status.into(), event.server_port.into()));
            let texts = &mut frame.texts;
            append_texts(
                &mut frame.block,
                &self.mapping.reads,
                event,
                |start, length| {
                    texts.push(Span { start, length });
                },
            );
        }
        let outcome = self.rules.map(frame);
        self.check_mapped(&outcome, events.len())?;
        for (event, annotation) in &outcome.mapped {
            if let Some(event) = events.get_mut(*event as usize) {
                self.mapping.annotate(event, *annotation);
            }
        }
        for (event, field, span) in &outcome.computed {
            if let (Some(event), Some(text)) =
                (events.get_mut(*event as usize), text(&outcome, *span))
            {
                self.mapping.write(event, *field, text);
            }
        }
        Ok(())
    }

    /// Checks everything before anything is taken.
    fn check_mapped(&self, outcome: &MappingOutcome, events: usize) -> Result<(), &'static str> {
        let most = events.saturating_mul(self.mapping.writes.len().max(1));
        if outcome.block.len() > self.settings.limits.output_bytes {
            return Err("its texts together exceed output_bytes");
        }
        if outcome.mapped.len() > events || outcome.computed.len() > most {
            return Err("more answers than events");
        }
        let known = |event: u32| (event as usize) < events;
        if !outcome.mapped.iter().all(|(event, annotation)| {
            known(*event) && (*annotation as usize) < self.mapping.annotations.len()
        }) {
            return Err("an annotation that does not exist");
        }
        if !outcome.computed.iter().all(|(event, field, span)| {
            known(*event)
                && (*field as usize) < self.mapping.writes.len()
                && text(outcome, *span).is_some()
        }) {
            return Err("a computed text that is no text of its frame");
        }
        Ok(())
    }

    /// Folds each key's events in one transaction of its own.
    fn fold<S: Store>(
        &self,
        events: &[Box<Event>],
        store: &S,
        processed: &mut Processed,
    ) -> Vec<RawFinding> {
        let mut findings = Vec::new();
        for group in &self.groups {
            let detections: Vec<&Detection> = group
                .detections
                .iter()
                .filter_map(|at| self.detections.get(*at))
                .collect();
            let mut members: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
            for (at, event) in events.iter().enumerate() {
                if let Some(key) = group.key.of(event) {
                    members.entry(key).or_default().push(at);
                }
            }
            for (key, members) in members {
                let key = format!("{}/{key:016x}", group.name);
                let attempts = self.settings.limits.attempts;
                if processed.fault.is_some() {
                    // Whoever waited for one key in vain would for every one.
                    break;
                }
                let folded = update(store, &key, &EMPTY, attempts, |value| {
                    let mut states = States::read(value);
                    let before = states.clone();
                    let limits = &self.settings.limits;
                    let folded = fold_key(
                        &self.rules,
                        &detections,
                        limits,
                        events,
                        &members,
                        &mut states,
                    );
                    ((states != before).then(|| states.write()), folded)
                });
                match folded {
                    Ok(mut folded) => {
                        findings.append(&mut folded.findings);
                        processed
                            .notes
                            .extend(folded.rejected.iter().map(ToString::to_string));
                    }
                    Err(fault) => {
                        processed.notes.push(fault.to_string());
                        processed.fault = Some(fault);
                    }
                }
            }
        }
        // By rule, as the sidecar tells them; stable within a rule.
        findings.sort_by_key(|finding| {
            self.detections
                .iter()
                .position(|detection| detection.descriptor.id == finding.rule)
        });
        findings
    }
}

impl<R> std::fmt::Debug for Application<R> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Application")
            .field("detections", &self.detections)
            .finish_non_exhaustive()
    }
}

fn text(outcome: &MappingOutcome, span: Span) -> Option<&str> {
    std::str::from_utf8(slice(&outcome.block, span.start, span.length)?).ok()
}
