//! Rule components as detectors of the corpora.

use std::error::Error;
use std::net::{IpAddr, Ipv6Addr};

use sidewatch_corpus::detector::{Alert, Panel};
use sidewatch_corpus::traffic::CorpusEvent;
use sidewatch_engine::{DetectionRule, RawFinding};
use sidewatch_event::{Activity, Event, Field, Location, NetworkKind};

use crate::config::rules::{DetectionComponent, RulesError};

/// Events folded at a time.
const BATCH: usize = 512;

/// Every detection rule of a directory.
pub(super) struct Components {
    rules: Vec<(DetectionComponent, DetectionRule)>,
    batch: Vec<Box<Event>>,
    found: Vec<RawFinding>,
}

impl Components {
    /// Configures the rules.
    ///
    /// # Errors
    /// Names the rule and what is wrong with it.
    pub(super) fn new(components: Vec<DetectionComponent>) -> Result<Self, RulesError> {
        let rules = components
            .into_iter()
            .map(|component| component.configure().map(|rule| (component, rule)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            rules,
            batch: Vec::new(),
            found: Vec::new(),
        })
    }
}

impl Panel for Components {
    fn names(&self) -> Vec<String> {
        let id = |(component, _): &(DetectionComponent, _)| component.id.clone();
        self.rules.iter().map(id).collect()
    }

    fn reset(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        for (component, rule) in &mut self.rules {
            *rule = component.configure()?;
        }
        Ok(())
    }

    fn fold(&mut self, events: &[CorpusEvent], alerts: &mut [Vec<Alert>]) {
        for chunk in events.chunks(BATCH) {
            self.batch.resize_with(chunk.len(), Box::default);
            for (event, source) in self.batch.iter_mut().zip(chunk) {
                fill(event, source);
            }
            for ((_, rule), alerts) in self.rules.iter_mut().zip(alerts.iter_mut()) {
                self.found.clear();
                rule.fold(&self.batch, &mut self.found);
                let kinds = &rule.descriptor.kinds;
                alerts.extend(self.found.iter().map(|finding| {
                    let kind = kinds.iter().position(|kind| kind.id == finding.kind);
                    Alert {
                        time: self.batch.get(finding.event).map_or(0, |event| event.time),
                        kind: kind.and_then(|kind| u32::try_from(kind).ok()).unwrap_or(0),
                    }
                }));
            }
        }
    }
}

/// An event as enrichment leaves it.
pub(in crate::cli) fn fill(event: &mut Event, source: &CorpusEvent) {
    event.clear();
    let numbers = &source.numbers;
    event.time = numbers.time;
    event.status = u16::try_from(numbers.status).unwrap_or(0);
    event.keys.user = numbers.user;
    event.keys.session = numbers.session;
    event.keys.device = numbers.device;
    event.keys.user_agent = numbers.user_agent;
    let bits = u128::from(numbers.address_high) << 64 | u128::from(numbers.address_low);
    event.source_ip = (bits != 0).then(|| IpAddr::V6(Ipv6Addr::from(bits)).to_canonical());
    event.location = (!numbers.latitude.is_nan()).then_some(Location {
        latitude: numbers.latitude,
        longitude: numbers.longitude,
        accuracy_km: numbers.accuracy,
    });
    event.as_number = numbers.as_number;
    event.network_kind = kind_of(numbers.network_kind);
    event.activity = activity_of(numbers.activity);
    let country = u16::try_from(numbers.country).unwrap_or(0).to_be_bytes();
    if let Some(text) = std::str::from_utf8(&country)
        .ok()
        .filter(|_| numbers.country != 0)
    {
        event.set(Field::SourceGeoCountryIsoCode, text);
    }
    for field in [Field::DeviceType, Field::UserAgentOsName] {
        if let Some(text) = source.text(field.name()) {
            event.set(field, text);
        }
    }
}

fn kind_of(number: u32) -> NetworkKind {
    NetworkKind::ALL
        .into_iter()
        .find(|kind| *kind as u32 == number)
        .unwrap_or_default()
}

fn activity_of(number: u32) -> Activity {
    [
        Activity::LoginSuccess,
        Activity::LoginFailure,
        Activity::MfaPrompt,
        Activity::MfaFailure,
    ]
    .into_iter()
    .find(|activity| *activity as u32 == number)
    .unwrap_or_default()
}
