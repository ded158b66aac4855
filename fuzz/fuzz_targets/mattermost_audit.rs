//! Any audit record, read and written in every format.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use sidewatch_codecs::{AuditCodec, AuditTable, Decoder, ecs, gelf, plain};
use sidewatch_event::{Delivery, Event};

static CODEC: LazyLock<AuditCodec> = LazyLock::new(|| {
    AuditCodec::new(Arc::new(AuditTable::built_in().expect("the pack's table")))
        .with_plain(true)
        .with_original(true)
});

fuzz_target!(|record: &[u8]| {
    let mut event = Event::new();
    if CODEC.decode(record, &mut event).is_err() {
        return;
    }
    event.source_ip = event.peer_ip;
    let delivery = Delivery::Event(Arc::new(event));
    let mut out = Vec::new();
    ecs::encode(&delivery, &mut out);
    out.push(b'\n');
    ecs::encode_elastic(&delivery, &mut out);
    out.push(b'\n');
    gelf::encode(&delivery, "host", &mut out);
    out.push(b'\n');
    plain::encode(&delivery, &mut out);
    let lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().take(3).all(|line| line.starts_with(b"{") && line.ends_with(b"}")));
});
