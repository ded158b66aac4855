//! Any form is read or refused; what was read is written within the limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidewatch_codecs::tirreno::{decode_form, encode_form, request_id};
use sidewatch_event::{Delivery, Event};

fuzz_target!(|body: &[u8]| {
    for start in ["", "ipAddress=::1&url=/&userName="] {
        let body = [start.as_bytes(), body].concat();
        let mut event = Event::new();
        if decode_form(&body, &mut event).is_err() {
            continue;
        }
        let delivery = Delivery::Event(event.into());
        let mut out = String::new();
        encode_form(&delivery, 1_795_222_923_000, &mut out).expect("an address was required");
        assert!(out.starts_with("ipAddress=") && out.contains("&userName=") && out.is_ascii());
        assert!(request_id(&delivery).is_none());
        let mut again = Event::new();
        decode_form(out.as_bytes(), &mut again).expect("what is written is read");
        assert!(again.time <= 1_795_222_923_000);
    }
});
