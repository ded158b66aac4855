//! Any format text, applied to any line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidewatch_codecs::{Decoder, LogFormat, PseudonymKey};
use sidewatch_event::Event;

fuzz_target!(|input: (&str, &str)| {
    let (text, line) = input;
    if let Ok(format) = LogFormat::compile(text) {
        let format = format.with_session("cookie_a", PseudonymKey::new([1; 32])).with_user("host");
        let mut event = Event::new();
        let result = format.decode(line.as_bytes(), &mut event);
        if let Err(error) = result {
            assert!(!error.to_string().is_empty());
        }
    }
});
