//! Form (c).

use std::cell::OnceCell;

use impossible_travel::ImpossibleTravel;
use rule_sdk::detection::{Rule, describe, fold, wire};

wit_bindgen::generate!({ world: "block-rule", path: "../wit" });

use exports::bench::forms::block_form::Guest;

thread_local! {
    static RULE: OnceCell<ImpossibleTravel> = const { OnceCell::new() };
}

struct Component;
export!(Component);

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn event(bytes: &[u8]) -> wire::Event {
    let float = |at| f64::from_bits(u64_at(bytes, at));
    wire::Event {
        time: u64_at(bytes, 0) as i64,
        user: u64_at(bytes, 8),
        session: u64_at(bytes, 16),
        device: u64_at(bytes, 24),
        user_agent: u64_at(bytes, 32),
        address_high: u64_at(bytes, 40),
        address_low: u64_at(bytes, 48),
        latitude: float(56),
        longitude: float(64),
        accuracy: f32::from_bits(u32_at(bytes, 72)),
        as_number: u32_at(bytes, 76),
        country: u32_at(bytes, 80),
        network_kind: u32_at(bytes, 84),
        activity: u32_at(bytes, 88),
        status: u32_at(bytes, 92),
    }
}

impl Guest for Component {
    fn configure() {
        RULE.with(|cell| drop(cell.set(describe::<ImpossibleTravel>("").ok().unwrap().0)));
    }

    fn evaluate(frame: Vec<u8>) -> Vec<u8> {
        let columns = ImpossibleTravel::description().reads.len();
        let (events, groups) = (u32_at(&frame, 0) as usize, u32_at(&frame, 4) as usize);
        let texts_at = 8 + events * 96;
        let groups_at = texts_at + events * columns * 8;
        let span = |at: usize| wire::Span { start: u32_at(&frame, at), length: u32_at(&frame, at + 4) };
        let events = (0..events).map(|at| event(&frame[8 + at * 96..8 + at * 96 + 96])).collect::<Vec<_>>();
        let texts = (0..events.len() * columns).map(|at| span(texts_at + at * 8)).collect();
        let groups = (0..groups)
            .map(|at| groups_at + at * 16)
            .map(|at| wire::Group { first: u32_at(&frame, at), count: u32_at(&frame, at + 4), state: span(at + 8) })
            .collect();
        let frame = wire::Frame { block: frame, events, texts, groups };
        let outcome = RULE.with(|cell| fold(cell.get().unwrap(), &frame));
        let mut out = Vec::with_capacity(8 + outcome.changes.len() * 12 + outcome.block.len());
        out.extend_from_slice(&(outcome.changes.len() as u32).to_le_bytes());
        out.extend_from_slice(&(outcome.findings.len() as u32).to_le_bytes());
        for change in &outcome.changes {
            for number in [change.group, change.state.start, change.state.length] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&outcome.block);
        out
    }
}
