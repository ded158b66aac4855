//! Any stream, split and read; any message, written and read back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sidewatch_codecs::syslog::{
    SdElement, Split, Splitter, SyslogHeader, decode, encode_3164, encode_5424, structured_params,
};

fuzz_target!(|input: (&[u8], &str, i64)| {
    let (stream, text, time) = input;
    let mut splitter = Splitter::new(64);
    let mut rest = stream;
    loop {
        let consumed = match splitter.next(rest, true) {
            Split::Record { record, consumed } => {
                assert!(record.len() <= 64);
                if let Ok(message) = decode(record, time, 3_600) {
                    structured_params(message.structured_data);
                }
                consumed
            }
            Split::Skip { consumed, .. } => consumed,
            Split::More => break,
        };
        assert!(consumed > 0);
        rest = &rest[consumed..];
    }
    assert!(rest.is_empty());

    let params = [("k", text)];
    let element = [SdElement { id: text, params: &params }];
    let header = SyslogHeader {
        facility: 1,
        severity: 6,
        time,
        hostname: text,
        app_name: "app",
        process_id: text,
        message_id: "id",
        structured_data: &element,
    };
    for old in [false, true] {
        let mut out = Vec::new();
        if old {
            encode_3164(&header, 0, stream, &mut out);
        } else {
            encode_5424(&header, stream, &mut out);
        }
        assert!(!out.iter().any(u8::is_ascii_control));
        let read = decode(&out, time, 0).expect("what is written is read");
        assert_eq!((read.facility, read.severity, read.app_name), (1, 6, "app"));
    }
});
