//! Form (a).

use std::cell::OnceCell;

use impossible_travel::ImpossibleTravel;
use rule_sdk::detection::{describe, fold, incident, wire};

wit_bindgen::generate!({ world: "record-rule", path: "../wit" });

use exports::bench::forms::record_form::{Event, Guest, Outcome};

thread_local! {
    static RULE: OnceCell<ImpossibleTravel> = const { OnceCell::new() };
}

struct Component;
export!(Component);

fn hash(text: &str) -> u64 {
    if text.is_empty() { 0 } else { incident(&[text.len() as u64, text.bytes().fold(7, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))]) }
}

impl Guest for Component {
    fn configure() {
        RULE.with(|cell| drop(cell.set(describe::<ImpossibleTravel>("").ok().unwrap().0)));
    }

    fn evaluate(state: Option<Vec<u8>>, event: Event) -> Outcome {
        let bits = event.address.parse().map_or(0, |address: std::net::Ipv4Addr| address.to_ipv6_mapped().to_bits());
        let mut block = state.unwrap_or_default();
        let state = match block.len() as u32 {
            0 => wire::Span { start: u32::MAX, length: 0 },
            length => wire::Span { start: 0, length },
        };
        let mut texts = Vec::new();
        for _ in 0..<ImpossibleTravel as rule_sdk::detection::Rule>::description().reads.len() {
            texts.push(wire::Span { start: block.len() as u32, length: event.device_type.len() as u32 });
            block.extend_from_slice(event.device_type.as_bytes());
        }
        let country = event.country.as_bytes();
        let numbers = wire::Event {
            time: event.time,
            user: hash(&event.user),
            session: hash(&event.session),
            device: hash(&event.device),
            user_agent: hash(&event.user_agent),
            address_high: (bits >> 64) as u64,
            address_low: bits as u64,
            latitude: event.latitude,
            longitude: event.longitude,
            accuracy: event.accuracy,
            as_number: event.as_number,
            country: country.first().map_or(0, |first| (u32::from(*first) << 8) | country.get(1).map_or(0, |second| u32::from(*second))),
            network_kind: event.network_kind,
            activity: event.activity,
            status: event.status,
        };
        let frame = wire::Frame { block, events: vec![numbers], texts, groups: vec![wire::Group { first: 0, count: 1, state }] };
        let outcome = RULE.with(|cell| fold(cell.get().unwrap(), &frame));
        let state = outcome.changes.first().map(|change| outcome.block[change.state.start as usize..][..change.state.length as usize].to_vec());
        Outcome { state, findings: outcome.findings.into_iter().map(|finding| finding.title).collect() }
    }
}
