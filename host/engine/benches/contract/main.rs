//! Which form should the rule interface have? The same real rule
//! (`impossible-travel`) behind three: (a) a record of strings per event and
//! call, (b) the interface as it is, a typed frame of spans into one block,
//! (c) one opaque block with a documented layout.
//!
//! `deploy/bench/contract.sh` builds the guests and runs this; it prints
//! nanoseconds of thread CPU time per event, minimum over rounds, for frames of
//! 64 events (form (a) has no frames). All forms find the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a measuring program, run by hand"
)]

#[expect(dead_code, reason = "the table is for the other bench")]
#[path = "../rule_path/data.rs"]
mod data;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use cpu_time::ThreadTime;
use sidewatch_engine::{DetectionRule, RawFinding, RuleLimits};
use sidewatch_event::{Event, Field};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

mod record {
    wasmtime::component::bindgen!({ world: "record-rule", path: "benches/contract/wit", ownership: Borrowing { duplicate_if_necessary: true } });
}
mod block {
    wasmtime::component::bindgen!({ world: "block-rule", path: "benches/contract/wit", ownership: Borrowing { duplicate_if_necessary: true } });
}

const EVENTS: usize = 4096;
const FRAME: usize = 64;
const ROUNDS: usize = 40;

type States = HashMap<u64, Vec<u8>>;

fn cpu_time() -> Duration {
    ThreadTime::now().as_duration()
}

trait Form {
    fn pass(&mut self, events: &[Box<Event>]) -> usize;
}

struct RecordForm(Store<()>, record::RecordRule, States);
struct FrameForm(DetectionRule);
struct BlockForm(Store<()>, block::BlockRule, States, Vec<u8>);

impl Form for RecordForm {
    fn pass(&mut self, events: &[Box<Event>]) -> usize {
        let Self(store, rule, states) = self;
        let mut findings = 0;
        for event in events {
            let place = event.location.unwrap();
            let (user, session, agent) = (
                format!("{:016x}", event.keys.user),
                format!("{:016x}", event.keys.session),
                format!("{:016x}", event.keys.user_agent),
            );
            let address = event.source_ip.unwrap().to_string();
            let text = |field| event.get(field).unwrap_or_default();
            let record = record::exports::bench::forms::record_form::Event {
                time: event.time,
                user: &user,
                session: &session,
                device: "",
                user_agent: &agent,
                address: &address,
                method: text(Field::HttpRequestMethod),
                path: text(Field::UrlPath),
                referrer: text(Field::HttpRequestReferrer),
                user_agent_name: text(Field::UserAgentName),
                user_agent_os: text(Field::UserAgentOsName),
                device_type: text(Field::DeviceType),
                country: text(Field::SourceGeoCountryIsoCode),
                city: text(Field::SourceGeoCityName),
                as_organization: text(Field::SourceAsOrganizationName),
                dataset: text(Field::EventDataset),
                latitude: place.latitude,
                longitude: place.longitude,
                accuracy: place.accuracy_km,
                as_number: event.as_number,
                network_kind: event.network_kind as u32,
                activity: event.activity as u32,
                status: u32::from(event.status),
            };
            store.set_epoch_deadline(1_000_000);
            let state = states.get(&event.keys.user).map(Vec::as_slice);
            let outcome = rule
                .bench_forms_record_form()
                .call_evaluate(&mut *store, state, record)
                .unwrap();
            findings += outcome.findings.len();
            if let Some(state) = outcome.state {
                states.insert(event.keys.user, state);
            }
        }
        findings
    }
}

impl Form for FrameForm {
    fn pass(&mut self, events: &[Box<Event>]) -> usize {
        let mut findings: Vec<RawFinding> = Vec::new();
        for batch in events.chunks(256) {
            self.0.fold(batch, &mut findings);
        }
        findings.len()
    }
}

impl Form for BlockForm {
    fn pass(&mut self, events: &[Box<Event>]) -> usize {
        let mut findings = 0;
        for chunk in events.chunks(FRAME) {
            let keys = self.build(chunk);
            let Self(store, rule, states, frame) = self;
            store.set_epoch_deadline(1_000_000);
            let out = rule
                .bench_forms_block_form()
                .call_evaluate(&mut *store, frame)
                .unwrap();
            let number =
                |at: usize| u32::from_le_bytes(out[at..at + 4].try_into().unwrap()) as usize;
            findings += number(4);
            let base = 8 + number(0) * 12;
            for at in (0..number(0)).map(|at| 8 + at * 12) {
                let bytes = &out[base + number(at + 4)..][..number(at + 8)];
                let state = states.entry(keys[number(at)]).or_default();
                state.clear();
                state.extend_from_slice(bytes);
            }
        }
        findings
    }
}

impl BlockForm {
    fn build(&mut self, events: &[Box<Event>]) -> Vec<u64> {
        let mut members: Vec<(u64, usize)> = events
            .iter()
            .enumerate()
            .map(|(at, event)| (event.keys.user, at))
            .collect();
        members.sort_unstable();
        let mut keys: Vec<u64> = members.iter().map(|(key, _)| *key).collect();
        keys.dedup();
        let frame = &mut self.3;
        frame.clear();
        let put = |frame: &mut Vec<u8>, number: u32| frame.extend_from_slice(&number.to_le_bytes());
        put(frame, events.len() as u32);
        put(frame, keys.len() as u32);
        for (_, at) in &members {
            let event = &events[*at];
            let place = event.location.unwrap();
            let bits = match event.source_ip.unwrap() {
                std::net::IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
                std::net::IpAddr::V6(address) => address.to_bits(),
            };
            let wide = [
                event.time as u64,
                event.keys.user,
                event.keys.session,
                event.keys.device,
                event.keys.user_agent,
                (bits >> 64) as u64,
                bits as u64,
                place.latitude.to_bits(),
                place.longitude.to_bits(),
            ];
            wide.iter()
                .for_each(|number| frame.extend_from_slice(&number.to_le_bytes()));
            let country = event
                .get(Field::SourceGeoCountryIsoCode)
                .unwrap_or("  ")
                .as_bytes();
            let narrow = [
                place.accuracy_km.to_bits(),
                event.as_number,
                (u32::from(country[0]) << 8) | u32::from(country[1]),
                event.network_kind as u32,
                event.activity as u32,
                u32::from(event.status),
            ];
            narrow.iter().for_each(|number| put(frame, *number));
        }
        let texts_at = frame.len();
        let groups_at = texts_at + events.len() * 8;
        frame.resize(groups_at + keys.len() * 16, 0);
        let write = |frame: &mut Vec<u8>, at: usize, number: u32| {
            frame[at..at + 4].copy_from_slice(&number.to_le_bytes())
        };
        for (position, (_, at)) in members.iter().enumerate() {
            let (start, length) = match events[*at].get(Field::DeviceType) {
                Some(text) => (frame.len() as u32, text.len() as u32),
                None => (u32::MAX, 0),
            };
            frame.extend_from_slice(
                events[*at]
                    .get(Field::DeviceType)
                    .unwrap_or_default()
                    .as_bytes(),
            );
            write(frame, texts_at + position * 8, start);
            write(frame, texts_at + position * 8 + 4, length);
        }
        let mut first = 0;
        for (group, key) in keys.iter().enumerate() {
            let count = members
                .iter()
                .skip(first)
                .take_while(|(member, _)| member == key)
                .count();
            let state = self.2.get(key);
            let start = state.map_or(u32::MAX, |_| frame.len() as u32);
            let length = state.map_or(0, Vec::len) as u32;
            frame.extend_from_slice(state.map_or(&[], Vec::as_slice));
            for (offset, number) in [first as u32, count as u32, start, length]
                .into_iter()
                .enumerate()
            {
                write(frame, groups_at + group * 16 + offset * 4, number);
            }
            first += count;
        }
        keys
    }
}

fn forms(directory: &Path, rules: &Path) -> Vec<(&'static str, Box<dyn Form>)> {
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let component = |name: &str| {
        Component::from_file(&engine, directory.join(name)).expect("run deploy/bench/contract.sh")
    };
    let store = || {
        let mut store = Store::new(&engine, ());
        store.set_epoch_deadline(1_000_000);
        store
    };
    let mut one = store();
    let record =
        record::RecordRule::instantiate(&mut one, &component("record.wasm"), &Linker::new(&engine))
            .unwrap();
    record
        .bench_forms_record_form()
        .call_configure(&mut one)
        .unwrap();
    let mut two = store();
    let block =
        block::BlockRule::instantiate(&mut two, &component("block.wasm"), &Linker::new(&engine))
            .unwrap();
    block
        .bench_forms_block_form()
        .call_configure(&mut two)
        .unwrap();
    let ours = sidewatch_engine::Engine::new(&sidewatch_engine::EngineSettings::default()).unwrap();
    let limits = RuleLimits {
        frame_milliseconds: 60_000,
        ..RuleLimits::default()
    };
    let rule = ours
        .load_file(&rules.join("impossible-travel.wasm"))
        .unwrap()
        .detection(&serde_json::json!({}), limits)
        .unwrap();
    vec![
        (
            "(a) record of strings per event",
            Box::new(RecordForm(one, record, States::new())),
        ),
        (
            "(b) typed frame of spans (chosen)",
            Box::new(FrameForm(rule)),
        ),
        (
            "(c) opaque block",
            Box::new(BlockForm(two, block, States::new(), Vec::new())),
        ),
    ]
}

fn main() {
    let Ok(directory) = std::env::var("CONTRACT_FORMS") else {
        println!("the guests of the other forms are not built; run deploy/bench/contract.sh");
        return;
    };
    let rules = std::env::var("SIDEWATCH_RULES")
        .expect("SIDEWATCH_RULES names the directory with the rule components");
    let mut forms = forms(Path::new(&directory), Path::new(&rules));
    let mut events = data::events(EVENTS);
    let mut best = vec![f64::INFINITY; forms.len()];
    let mut findings = vec![0; forms.len()];
    for round in 0..ROUNDS {
        for event in &mut events {
            event.time += 86_400_000;
        }
        for (at, (_, form)) in forms.iter_mut().enumerate() {
            let began = cpu_time();
            findings[at] += form.pass(&events);
            if round > 2 {
                best[at] = best[at].min((cpu_time() - began).as_nanos() as f64 / EVENTS as f64);
            }
        }
    }
    for (at, (name, _)) in forms.iter().enumerate() {
        println!(
            "{name:<36} {:>8.0} ns/event  {:>6.2}x of (b)  {} findings",
            best[at],
            best[at] / best[1],
            findings[at]
        );
    }
    assert!(
        findings.iter().all(|count| *count == findings[1]),
        "all forms must find the same"
    );
}
