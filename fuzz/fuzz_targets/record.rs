//! Any bytes are read as a stored record or refused; what was read can be
//! written and read again.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use sidewatch_event::record::{Dictionary, Shared};
use sidewatch_event::wire::Reader;

fuzz_target!(|input: &[u8]| {
    let mut reader = Reader::new(input);
    let Some(shared) = Shared::read(&mut reader) else {
        return;
    };
    let Some(event) = shared.event(&mut reader) else {
        return;
    };
    let mut dictionary = Dictionary::default();
    let mut body = Vec::new();
    dictionary.put_event(&event, &mut body);
    let mut out = Vec::new();
    dictionary.write(&mut out);
    out.extend_from_slice(&body);
    let mut again = Reader::new(&out);
    let known = Shared::read(&mut again).expect("what is written is read");
    let same = known.event(&mut again).expect("what is written is read");
    assert!(again.is_empty());
    assert!(event.fields().eq(same.fields()));
    if let Some(finding) = shared.finding(&mut reader, Arc::new(event)) {
        dictionary.put_finding(&finding, &mut body);
    }
});
