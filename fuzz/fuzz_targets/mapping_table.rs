//! Any table and any request: the table is refused with a reason or maps in
//! bounded time, never a panic.
#![no_main]

use event_mapping::EventMapping;
use libfuzzer_sys::fuzz_target;
use rule_sdk::mapping::harness::{Harness, Sample};

fuzz_target!(|input: (&str, &str)| {
    let (table, request) = input;
    if let Ok(harness) = Harness::<EventMapping>::new(table) {
        harness.map(&[Sample::request(request)]);
    }
});
