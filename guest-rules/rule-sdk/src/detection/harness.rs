//! Runs a rule natively: events in, findings out, no WebAssembly.
//!
//! The harness builds real frames and uses the same fold as the component.
//! It keeps states as bytes between frames, so encoding is tested on the way.

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Rule, describe, fold, wire};
use crate::{ABSENT, ParameterError};

/// An event written the way a person would say it.
#[derive(Debug, Clone, Default)]
pub struct TestEvent {
    time: i64,
    user: String,
    session: String,
    device: String,
    user_agent: String,
    address: Option<IpAddr>,
    place: Option<(f64, f64, f32)>,
    as_number: u32,
    country: String,
    network_kind: u32,
    activity: u32,
    status: u32,
    texts: HashMap<String, String>,
}

/// Names stand in for the keyed hashes of the real thing.
fn hash(name: &str) -> u64 {
    if name.is_empty() {
        return 0;
    }
    let bytes: Vec<u64> = name.bytes().map(u64::from).collect();
    super::incident(&bytes).max(1)
}

impl TestEvent {
    /// An event of `user` at `minutes` after the start of the test.
    #[must_use]
    pub fn new(user: &str, minutes: f64) -> Self {
        /// 2026-03-02 08:00:00 UTC, a Monday.
        const START: i64 = 1_772_438_400_000;
        #[expect(clippy::cast_possible_truncation, reason = "test times are small")]
        Self { time: START + (minutes * 60_000.0) as i64, user: user.to_owned(), ..Self::default() }
    }

    /// From an address, such as `192.0.2.7`. Unreadable text means none.
    #[must_use]
    pub fn from(mut self, address: &str) -> Self {
        self.address = address.parse().ok();
        self
    }

    /// At coordinates, with an accuracy radius in kilometres.
    #[must_use]
    pub fn at(mut self, latitude: f64, longitude: f64, accuracy_km: f32) -> Self {
        self.place = Some((latitude, longitude, accuracy_km));
        self
    }

    /// In a session.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        session.clone_into(&mut self.session);
        self
    }

    /// With a device identifier.
    #[must_use]
    pub fn device(mut self, device: &str) -> Self {
        device.clone_into(&mut self.device);
        self
    }

    /// With a user-agent family, such as `Firefox/Linux`.
    #[must_use]
    pub fn user_agent(mut self, family: &str) -> Self {
        family.clone_into(&mut self.user_agent);
        self
    }

    /// In an autonomous system.
    #[must_use]
    pub fn as_number(mut self, number: u32) -> Self {
        self.as_number = number;
        self
    }

    /// In a country, by its two ISO letters.
    #[must_use]
    pub fn country(mut self, letters: &str) -> Self {
        letters.clone_into(&mut self.country);
        self
    }

    /// Behind a kind of network.
    #[must_use]
    pub fn network(mut self, kind: super::NetworkKind) -> Self {
        self.network_kind = kind as u32;
        self
    }

    /// Doing something.
    #[must_use]
    pub fn activity(mut self, activity: super::Activity) -> Self {
        self.activity = activity as u32;
        self
    }

    /// Answered with an HTTP status.
    #[must_use]
    pub fn status(mut self, status: u32) -> Self {
        self.status = status;
        self
    }

    /// With a text field.
    #[must_use]
    pub fn text(mut self, field: &str, value: &str) -> Self {
        self.texts.insert(field.to_owned(), value.to_owned());
        self
    }

    fn numbers(&self) -> wire::Event {
        let bits = match self.address {
            None => 0,
            Some(IpAddr::V4(address)) => address.to_ipv6_mapped().to_bits(),
            Some(IpAddr::V6(address)) => address.to_bits(),
        };
        let (latitude, longitude, accuracy) = self.place.unwrap_or((f64::NAN, f64::NAN, 0.0));
        let country = match self.country.as_bytes() {
            [first, second] => (u32::from(*first) << 8) | u32::from(*second),
            _ => 0,
        };
        #[expect(clippy::cast_possible_truncation, reason = "the two halves of the address")]
        wire::Event {
            time: self.time,
            user: hash(&self.user),
            session: hash(&self.session),
            device: hash(&self.device),
            user_agent: hash(&self.user_agent),
            address_high: (bits >> 64) as u64,
            address_low: bits as u64,
            latitude,
            longitude,
            accuracy,
            as_number: self.as_number,
            country,
            network_kind: self.network_kind,
            activity: self.activity,
            status: self.status,
        }
    }

    fn key(&self, names: &[String]) -> Option<Vec<u64>> {
        let numbers = self.numbers();
        let network = super::Event::new(&numbers, &[], &[]).network();
        names
            .iter()
            .map(|name| match name.as_str() {
                "user" => numbers.user,
                "session" => numbers.session,
                "device" => numbers.device,
                "source-ip" => numbers.address_high ^ numbers.address_low.rotate_left(17),
                "source-network" => network,
                _ => 0,
            })
            .map(|part| (part != 0).then_some(part))
            .collect()
    }
}

/// Runs one rule over test events.
#[derive(Debug)]
pub struct Harness<R> {
    rule: R,
    descriptor: wire::Descriptor,
    states: HashMap<Vec<u64>, Vec<u8>>,
}

impl<R: Rule> Harness<R> {
    /// A rule with the given parameters (a JSON object; empty for defaults).
    ///
    /// # Errors
    /// Names the parameter the rule refuses.
    pub fn new(parameters: &str) -> Result<Self, ParameterError> {
        let (rule, descriptor) = describe::<R>(parameters)
            .map_err(|error| ParameterError { parameter: error.parameter, message: error.message })?;
        Ok(Self { rule, descriptor, states: HashMap::new() })
    }

    /// Folds the events in one frame and returns the findings by time of
    /// their events.
    pub fn run(&mut self, events: &[TestEvent]) -> Vec<wire::Finding> {
        let (frame, keys, order) = self.frame(events);
        let mut outcome = fold(&self.rule, &frame);
        for change in &outcome.changes {
            let bytes = crate::slice(&outcome.block, change.state.start, change.state.length).unwrap_or_default();
            if let Some(key) = keys.get(change.group as usize) {
                self.states.insert(key.clone(), bytes.to_vec());
            }
        }
        for finding in &mut outcome.findings {
            finding.event = order.get(finding.event as usize).copied().unwrap_or(u32::MAX);
        }
        outcome.findings.sort_by_key(|finding| finding.event);
        outcome.findings
    }

    /// Folds the events one frame each: the low-latency case.
    pub fn run_singly(&mut self, events: &[TestEvent]) -> Vec<wire::Finding> {
        let mut findings = Vec::new();
        for (index, event) in (0..).zip(events) {
            let found = self.run(std::slice::from_ref(event));
            findings.extend(found.into_iter().map(|finding| wire::Finding { event: index, ..finding }));
        }
        findings
    }

    /// The largest state kept, in bytes.
    #[must_use]
    pub fn largest_state(&self) -> usize {
        self.states.values().map(Vec::len).max().unwrap_or(0)
    }

    fn frame(&self, events: &[TestEvent]) -> (wire::Frame, Vec<Vec<u64>>, Vec<u32>) {
        let mut groups: Vec<(Vec<u64>, Vec<u32>)> = Vec::new();
        for (index, event) in (0..).zip(events) {
            let Some(key) = event.key(&self.descriptor.key) else { continue };
            match groups.iter_mut().find(|(candidate, _)| *candidate == key) {
                Some((_, members)) => members.push(index),
                None => groups.push((key, vec![index])),
            }
        }
        let mut frame = wire::Frame { block: Vec::new(), events: Vec::new(), texts: Vec::new(), groups: Vec::new() };
        let mut order = Vec::new();
        for (key, members) in &groups {
            let state = match self.states.get(key).filter(|state| !state.is_empty()) {
                Some(state) => append(&mut frame.block, state),
                None => wire::Span { start: ABSENT, length: 0 },
            };
            let first = u32::try_from(frame.events.len()).unwrap_or(u32::MAX);
            for &member in members {
                let Some(event) = events.get(member as usize) else { continue };
                order.push(member);
                frame.events.push(event.numbers());
                for field in &self.descriptor.reads {
                    let span = event
                        .texts
                        .get(field)
                        .map_or(wire::Span { start: ABSENT, length: 0 }, |text| append(&mut frame.block, text.as_bytes()));
                    frame.texts.push(span);
                }
            }
            let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
            frame.groups.push(wire::Group { first, count, state });
        }
        (frame, groups.into_iter().map(|(key, _)| key).collect(), order)
    }
}

fn append(block: &mut Vec<u8>, bytes: &[u8]) -> wire::Span {
    let start = u32::try_from(block.len()).unwrap_or(ABSENT);
    block.extend_from_slice(bytes);
    wire::Span { start, length: u32::try_from(bytes.len()).unwrap_or(0) }
}
