//! The audit trail of Archivematica's pack, line by line: what the table in
//! `rules/packs/archivematica/README.md` promises.

use std::net::UdpSocket;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use integration_tests::{Output, sidewatch};
use std::io::Write as _;

const AIP: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";
const ARGUMENTS: [&str; 5] = ["replay", "--pack", "archivematica", "--format", "cef"];

fn replay(arguments: &[&str], log: &[u8]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let arguments = [&ARGUMENTS, arguments, &["-"]].concat();
    sidewatch(directory.path(), &arguments, log)
}

/// The only record of a log.
fn record(log: &str) -> String {
    let ended = replay(&[], log.as_bytes());
    assert_eq!(ended.code, 0, "{log}: {}", ended.err);
    let mut lines = ended.out.lines();
    let record = lines.next().unwrap_or_else(|| panic!("no record of {log}"));
    assert_eq!(lines.next(), None);
    record.to_owned()
}

fn line(start: &str, rest: &str) -> String {
    format!("{start} - - [21/Nov/2026:01:02:03 +0000] {rest}\n")
}

#[test]
fn a_record_has_the_header_and_keys_consumers_know() {
    let log = line(
        "192.0.2.7",
        &format!(
            "\"GET /archival-storage/download/aip/{AIP}/ HTTP/1.1\" 200 5 \"http://am.example/\" \"curl/8 a=b|c\" \"-\" user=zo\\xC3\\xAB"
        ),
    );
    assert_eq!(
        record(&log),
        format!(
            "CEF:0|Artefactual Systems, Inc.|Archivematica|hosted|16|AIP downloaded from Archival Storage|3|\
             cs1Label=requestClientApplication cs1=curl/8 a\\=b|c rt=Nov 21 2026 01:02:03 requestMethod=GET \
             request=/archival-storage/download/aip/{AIP}/ src=192.0.2.7 suser=zo\u{eb} msg=UUID:{AIP}"
        )
    );
}

#[test]
fn times_are_utc_whatever_the_zone_of_the_log() {
    for (zone, expected) in [
        ("+0530", "Nov 20 2026 19:32:03"),
        ("-0800", "Nov 21 2026 09:02:03"),
    ] {
        let log = line(
            "192.0.2.7",
            "\"GET /transfer/ HTTP/1.1\" 200 5 \"http://a/\" \"x\"",
        )
        .replace("+0000", zone);
        assert!(record(&log).contains(&format!(" rt={expected} ")), "{zone}");
    }
}

#[test]
fn every_client_and_protocol_is_read() {
    for (client, version, expected) in [
        ("2001:db8::7", " HTTP/1.1", " src=2001:db8::7"),
        ("::ffff:192.0.2.7", " HTTP/2.0", " src="),
        ("192.0.2.7", " HTTP/3.0", " src=192.0.2.7"),
        ("192.0.2.7", "", " src=192.0.2.7"),
        ("unix:", " HTTP/1.1", "requestMethod=GET request=/transfer/"),
    ] {
        let rest = format!("\"GET /transfer/{version}\" 200 5 \"http://a/\" \"x\"");
        let record = record(&line(client, &rest));
        assert!(record.contains(expected), "{client}{version}: {record}");
    }
}

#[test]
fn empty_and_absent_headers_shift_nothing() {
    for (agent, referer) in [
        ("\"\"", "\"\""),
        ("\"-\"", "\"\""),
        ("\"\"", "\"http://a/\""),
    ] {
        let rest = format!(
            "\"GET /backlog/download/{AIP}/ HTTP/1.1\" 200 5 {referer} {agent} \"10.0.0.1\" user=alice"
        );
        let record = record(&line("192.0.2.7", &rest));
        assert!(record.contains("|hosted|9|"), "{record}");
        assert!(record.contains("|3|rt="), "no user agent, no key: {record}");
        assert!(record.contains(" suser=alice "), "{record}");
    }
}

#[test]
fn a_blank_in_the_target_stays_there() {
    let record = record(&line(
        "192.0.2.7",
        "\"GET /transfer/a b HTTP/1.1\" 200 5 \"http://a/\" \"x\"",
    ));
    assert!(
        record.contains(" requestMethod=GET request=/transfer/a b src="),
        "{record}"
    );
}

#[test]
fn secrets_in_queries_are_not_passed_on() {
    let record = record(&line(
        "192.0.2.7",
        "\"GET /api/transfer/completed/?username=u&api_key=S3CRET HTTP/1.1\" 200 5 \"-\" \"x\"",
    ));
    assert!(record.contains("|hosted|48|"), "{record}");
    assert!(!record.contains("S3CRET"), "{record}");
}

#[test]
fn the_basic_auth_user_counts_when_there_is_no_other() {
    let log = "192.0.2.7 - carol [21/Nov/2026:01:02:03 +0000] \"GET /transfer/ HTTP/1.1\" 200 5 \"http://a/\" \"x\"\n";
    assert!(record(log).ends_with(" suser=carol"));
}

#[test]
fn every_line_ends_in_one_counter_and_losses_end_in_the_exit_code() {
    let good = line(
        "192.0.2.7",
        "\"GET /transfer/ HTTP/1.1\" 200 5 \"http://a/\" \"x\"",
    );
    let noise = line(
        "192.0.2.7",
        "\"GET /media/x.css HTTP/1.1\" 200 5 \"http://a/\" \"x\"",
    );
    let glued = good.trim_end().to_owned() + &good;
    let impossible = good.replace("21/Nov", "31/Feb");
    let mut log = Vec::new();
    for line in [
        &good,
        &noise,
        &glued,
        &impossible,
        "junk\n",
        &("x".to_owned() + &good),
    ] {
        log.extend_from_slice(line.as_bytes());
    }
    log.extend_from_slice(
        good.replace("\"x\"", "\"Z\u{fc}rich\"")
            .replace('\u{fc}', "\u{1}")
            .as_bytes(),
    );
    log.extend_from_slice(b"192.0.2.7 - - [21/Nov/2026:01:02:03 +0000] \"GET /transfer/\xff HTTP/1.1\" 200 5 \"http://a/\" \"\xfc\"\n");
    let ended = replay(&["--verbose"], &log);
    assert_eq!(ended.code, 3);
    assert!(
        ended
            .err
            .contains(": 3 events, 1 discarded, 0 suppressed, 4 unreadable"),
        "{}",
        ended.err
    );
    for number in [3, 4, 5, 6] {
        assert!(
            ended.err.contains(&format!("-:{number}: ")),
            "{number}: {}",
            ended.err
        );
    }
    assert!(ended.out.contains("cs1=Z#001rich "), "{}", ended.out);
    assert!(ended.out.contains("cs1=\\\\xFC "), "{}", ended.out);
    let ended = replay(&["--suppress"], good.as_bytes());
    assert_eq!((ended.code, ended.out.as_str()), (0, ""));
    assert!(
        ended
            .err
            .contains(": 0 events, 0 discarded, 1 suppressed, 0 unreadable")
    );
}

/// What takes auditmatica minutes: 200 such lines of 32 KB.
#[test]
fn crafted_lines_take_no_longer_than_others() {
    let mut log = String::new();
    for agent in ["a ".repeat(16_000), " ".repeat(32_000)] {
        let rest = format!("\"GET /transfer/ HTTP/3.0\" 200 5 \"http://a/\" \"{agent}\"");
        log.push_str(&line("192.0.2.7", &rest).repeat(100));
    }
    let quotes = "[21/Nov/2026:01:02:03 +0000] \"x".repeat(1_000);
    log.push_str(&line("192.0.2.7", &quotes).repeat(100));
    // The helper ends a program that takes longer than 20 seconds.
    let ended = replay(&["--suppress"], log.as_bytes());
    assert_eq!(ended.code, 3, "{}", ended.err);
    assert!(
        ended
            .err
            .contains(": 0 events, 0 discarded, 200 suppressed, 100 unreadable"),
        "{}",
        ended.err
    );
}

#[test]
fn records_go_to_syslog_under_the_facility_asked_for() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let port = receiver.local_addr().unwrap().port().to_string();
    let log = line(
        "192.0.2.7",
        "\"GET /transfer/ HTTP/1.1\" 403 5 \"http://a/\" \"x\"",
    );
    let ended = replay(
        &[
            "--syslog",
            "127.0.0.1",
            "--port",
            &port,
            "--facility",
            "LOCAL0",
        ],
        log.as_bytes(),
    );
    assert_eq!((ended.code, ended.out.as_str()), (0, ""), "{}", ended.err);
    let mut datagram = [0; 4096];
    let length = receiver.recv(&mut datagram).unwrap();
    let text = std::str::from_utf8(&datagram[..length]).unwrap();
    // local0 is 16; severity 5 is a warning.
    assert!(text.starts_with("<132>1 2026-11-21T01:02:03"), "{text}");
    assert!(
        text.contains("CEF:0|Artefactual Systems, Inc.|Archivematica|hosted|200|"),
        "{text}"
    );

    let refused = replay(
        &["--syslog", "127.0.0.1", "--facility", "locl0"],
        log.as_bytes(),
    );
    assert_eq!(refused.code, 2);
    assert!(
        refused.err.contains("locl0") && refused.err.contains("local0, local1"),
        "{}",
        refused.err
    );
}

#[test]
fn files_packed_or_not_become_one_trail() {
    let directory = tempfile::tempdir().unwrap();
    let named = |name: &str| {
        let rest = format!("\"GET /transfer/{name} HTTP/1.1\" 200 5 \"http://a/\" \"x\"");
        line("192.0.2.7", &rest)
    };
    let packed = std::fs::File::create(directory.path().join("access.log.1.gz")).unwrap();
    let mut encoder = GzEncoder::new(packed, Compression::default());
    encoder.write_all(named("old").as_bytes()).unwrap();
    encoder.finish().unwrap();
    std::fs::write(directory.path().join("access.log"), named("new")).unwrap();
    let arguments = [
        &ARGUMENTS[..],
        &["-o", "audit.cef", "access.log.1.gz", "access.log"],
    ]
    .concat();
    let ended = sidewatch(directory.path(), &arguments, b"");
    assert_eq!(ended.code, 0, "{}", ended.err);
    let written = std::fs::read_to_string(directory.path().join("audit.cef")).unwrap();
    let requests: Vec<_> = written
        .lines()
        .filter_map(|record| record.split(" request=").nth(1)?.split(' ').next())
        .collect();
    assert_eq!(requests, ["/transfer/old", "/transfer/new"]);
}
