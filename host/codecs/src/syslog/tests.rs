//! Syslog messages in both forms and framings, forged ones included.

use proptest::prelude::*;

use super::*;

/// 2026-11-21 01:02:03 UTC.
const NOW: i64 = 1_795_222_923_000;

fn header<'a>(structured_data: &'a [SdElement<'a>]) -> SyslogHeader<'a> {
    SyslogHeader {
        facility: 23,
        severity: 6,
        time: NOW + 45,
        hostname: "h1",
        app_name: "sidewatch",
        process_id: "7",
        message_id: "finding",
        structured_data,
    }
}

#[test]
fn the_form_nginx_sends_is_read() {
    let message = decode(
        b"<190>Nov 21 01:02:03 web1 nginx: 10.0.0.1 - - [x]\n",
        NOW + 5_000,
        0,
    )
    .unwrap();
    assert_eq!(
        (message.facility, message.severity, message.time),
        (23, 6, Some(NOW))
    );
    assert_eq!(
        (message.hostname, message.app_name, message.process_id),
        ("web1", "nginx", "")
    );
    assert_eq!(message.message, b"10.0.0.1 - - [x]");
}

#[test]
fn older_forms_are_read() {
    for (record, host, app, process, text) in [
        (
            "<13>Nov  1 01:02:03 app[12]: hello",
            "",
            "app",
            "12",
            "hello",
        ),
        (
            "<13>Nov  1 01:02:03 h app[12]: hello",
            "h",
            "app",
            "12",
            "hello",
        ),
        (
            "<13>2026-11-01T01:02:03.5+01:00 h app: hello",
            "h",
            "app",
            "",
            "hello",
        ),
        (
            "<13>Nov  1 01:02:03 h just words: here",
            "h",
            "",
            "",
            "just words: here",
        ),
        ("<14>CEF:0|a|b\0", "", "", "", "CEF:0|a|b"),
        ("<13>1 not 5424", "", "", "", "1 not 5424"),
        ("<13>", "", "", "", ""),
    ] {
        let message = decode(record.as_bytes(), NOW, 0).unwrap();
        assert_eq!(
            (message.hostname, message.app_name, message.process_id),
            (host, app, process),
            "{record}"
        );
        assert_eq!(message.message, text.as_bytes());
    }
    for record in ["", "<", "<192>x", "<x>", "hello", "<+1>x", "< 1>x"] {
        assert_eq!(
            decode(record.as_bytes(), NOW, 0),
            Err(SyslogError::Priority),
            "{record}"
        );
    }
}

#[test]
fn the_missing_year_is_the_nearest() {
    let new_year = 1_798_761_600_000; // 2027-01-01
    let time = |text: &str, received| decode(text.as_bytes(), received, 0).unwrap().time.unwrap();
    assert_eq!(
        time("<13>Dec 31 23:59:59 h a: x", new_year + 1_000),
        new_year - 1_000
    );
    assert_eq!(
        time("<13>Jan  1 00:00:01 h a: x", new_year - 1_000),
        new_year + 1_000
    );
    assert_eq!(
        decode(b"<13>Nov 21 01:02:03 h a: x", NOW, 3_600)
            .unwrap()
            .time,
        Some(NOW - 3_600_000)
    );
}

#[test]
fn rfc_5424_is_read() {
    let record =
        "<34>1 2026-11-21T01:02:03.045Z h su - ID47 [a@1 b=\"x \\\"]\\\\\"][c] \u{feff}text [x]";
    let message = decode(record.as_bytes(), 0, 0).unwrap();
    assert_eq!(
        (message.facility, message.severity, message.time),
        (4, 2, Some(NOW + 45))
    );
    assert_eq!(
        (
            message.hostname,
            message.app_name,
            message.process_id,
            message.message_id
        ),
        ("h", "su", "", "ID47")
    );
    assert_eq!(
        structured_params(message.structured_data),
        [("a@1".into(), "b".into(), "x \"]\\".into())]
    );
    assert_eq!(message.message, "text [x]".as_bytes());
    let bare = decode(b"<34>1 - - - - - -", 0, 0).unwrap();
    assert_eq!(
        (bare.time, bare.structured_data, bare.message),
        (None, "", &b""[..])
    );
}

#[test]
fn records_are_written_as_the_rfcs_say() {
    let mut out = Vec::new();
    let element = SdElement {
        id: "s@1",
        params: &[("k", "a\"b]c\\d\n")],
    };
    encode_5424(&header(&[element]), b"two\nlines\0", &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        r#"<190>1 2026-11-21T01:02:03.045Z h1 sidewatch 7 finding [s@1 k="a\"b\]c\\d#012"] two#012lines#000"#
    );
    let mut out = Vec::new();
    encode_3164(&header(&[]), 7_200, b"x", &mut out);
    assert_eq!(out, b"<190>Nov 21 03:02:03 h1 sidewatch[7]: x");
}

fn split_all(chunks: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, usize) {
    let mut splitter = Splitter::new(limit);
    let (mut records, mut lost, mut held) = (Vec::new(), 0, Vec::new());
    for at in 0..=chunks.len() {
        held.extend_from_slice(chunks.get(at).copied().unwrap_or_default());
        loop {
            let consumed = match splitter.next(&held, at == chunks.len()) {
                Split::Record { record, consumed } => {
                    records.push(record.to_vec());
                    consumed
                }
                Split::Skip {
                    consumed,
                    oversized,
                } => {
                    lost += usize::from(oversized);
                    consumed
                }
                Split::More => break,
            };
            assert!(consumed > 0);
            held.drain(..consumed);
        }
        assert!(held.len() <= limit + 16);
    }
    (records, lost)
}

#[test]
fn both_framings_may_share_a_stream() {
    let stream = b"<1>one\r\n\n6 <2>two<3>three\x006 <4>fou2026 is a year\n<5>last";
    for size in [1, 2, 5, 100] {
        let chunks: Vec<_> = stream.chunks(size).collect();
        let (records, lost) = split_all(&chunks, 20);
        let expected: [&[u8]; 6] = [
            b"<1>one",
            b"<2>two",
            b"<3>three",
            b"<4>fou",
            b"2026 is a year",
            b"<5>last",
        ];
        assert_eq!((records, lost), (expected.map(<[u8]>::to_vec).to_vec(), 0));
    }
}

#[test]
fn records_beyond_the_limit_are_counted_once_and_skipped() {
    let stream = b"<1>far too long\n<2>ok\n15 <3>far too long<4>ok\n99 <5>cut";
    for size in [1, 3, 100] {
        let chunks: Vec<_> = stream.chunks(size).collect();
        let (records, lost) = split_all(&chunks, 8);
        assert_eq!(
            (records, lost),
            (vec![b"<2>ok".to_vec(), b"<4>ok".to_vec()], 3),
            "{size}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn what_is_written_is_one_record_and_reads_back(
        message in prop::collection::vec(any::<u8>(), 0..60),
        value in any::<String>(),
        host in any::<String>(),
        time in 1..253_402_300_799_999_i64,
    ) {
        let params = [("k", value.as_str())];
        let element = [SdElement { id: "e", params: &params }];
        let header = SyslogHeader { hostname: &host, time, ..header(&element) };
        let mut out = Vec::new();
        encode_5424(&header, &message, &mut out);
        prop_assert!(!out.iter().any(u8::is_ascii_control));
        let read = decode(&out, 0, 0).unwrap();
        prop_assert_eq!((read.time, read.app_name, read.message_id), (Some(time), "sidewatch", "finding"));
        let octal = |byte: u8| format!("#{byte:03o}");
        let visible: String =
            value.chars().map(|c| if c.is_ascii_control() { octal(c as u8) } else { c.to_string() }).collect();
        prop_assert_eq!(structured_params(read.structured_data), [("e".to_owned(), "k".to_owned(), visible)]);
        let expected: Vec<u8> = message
            .iter()
            .flat_map(|byte| if byte.is_ascii_control() { octal(*byte).into_bytes() } else { vec![*byte] })
            .collect();
        let expected = expected.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&expected);
        prop_assert_eq!(read.message, expected);
    }

    #[test]
    fn octet_counted_records_survive_any_chunking(
        records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..5),
        size in 1_usize..20,
    ) {
        let mut stream = Vec::new();
        let sent: Vec<Vec<u8>> = records.iter().map(|text| [b"<1>", &text[..]].concat()).collect();
        for record in &sent {
            frame_octet_counted(record, &mut stream);
        }
        let chunks: Vec<_> = stream.chunks(size).collect();
        prop_assert_eq!(split_all(&chunks, 40), (sent, 0));
    }

    #[test]
    fn no_bytes_panic_and_nothing_is_stuck(
        stream in prop::collection::vec(prop::sample::select(b"<1>2 9\n\0[\"=]-x ".to_vec()), 0..80),
        size in 1_usize..9,
    ) {
        let chunks: Vec<_> = stream.chunks(size).collect();
        for record in split_all(&chunks, 10).0 {
            if let Ok(message) = decode(&record, NOW, 0) {
                prop_assert!(message.message.len() <= record.len());
            }
        }
    }
}
