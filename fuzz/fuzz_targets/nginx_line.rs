//! Any line under every preset: no panic, and what is read can be written.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use sidewatch_codecs::{Decoder, LogFormat, cef, json};
use sidewatch_event::{Delivery, Event};

static FORMATS: LazyLock<Vec<LogFormat>> =
    LazyLock::new(|| LogFormat::PRESETS.iter().filter_map(|name| LogFormat::preset(name)).collect());

fuzz_target!(|line: &[u8]| {
    for format in FORMATS.iter() {
        let mut event = Event::new();
        if format.decode(line, &mut event).is_err() {
            continue;
        }
        let delivery = Delivery::Event(event.into());
        let mut out = Vec::new();
        cef::encode(&delivery, &cef::CefSettings::default(), &mut out);
        let text = std::str::from_utf8(&out).expect("CEF is text");
        cef::decode(text).expect("CEF reads back");
        out.push(b'\n');
        json::encode(&delivery, &mut out);
        assert_eq!(out.iter().filter(|byte| byte.is_ascii_control()).count(), 1);
    }
});
