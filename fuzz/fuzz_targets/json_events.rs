//! Any JSON is read as an event or refused; what was read is written as one
//! line that reads back. A value of the edge's store is read or empty.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidewatch_codecs::{PseudonymKey, json};
use sidewatch_event::{Delivery, Event};

fuzz_target!(|body: &[u8]| {
    let _ = edge::state::States::read(body).write();
    let Ok(value) = serde_json::from_slice(body) else {
        return;
    };
    let key = PseudonymKey::new([7; 32]);
    let mut event = Event::new();
    if json::decode(&value, &key, &mut event).is_err() {
        return;
    }
    let mut line = Vec::new();
    json::encode(&Delivery::Event(event.into()), &mut line);
    assert!(!line.contains(&b'\n'));
    let value = serde_json::from_slice(&line).expect("what is written is JSON");
    json::decode(&value, &key, &mut Event::new()).expect("what is written is read");
});
