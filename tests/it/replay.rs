//! `sidewatch replay`: a log somebody already has.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use flate2::{Compression, write::GzEncoder};
use integration_tests::{command, sidewatch};
use serde_json::Value;

fn line(path: &str, user: &str) -> String {
    format!(
        "192.0.2.7 - {user} [21/Nov/2026:01:02:03 +0000] \"GET {path} HTTP/1.1\" 200 512 \"-\" \
         \"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\"\n"
    )
}

/// Every line of the output as JSON.
fn records(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

const GARBAGE: &[u8] = b"\x00\xff\xfe\x1b[2J\x80garbage\x07 \xc3\x28\n";

#[test]
fn a_garbage_line_is_counted_and_named_and_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut log = Vec::new();
    log.extend_from_slice(line("/one", "alice").as_bytes());
    log.extend_from_slice(line("/two", "alice").as_bytes());
    log.extend_from_slice(GARBAGE);
    log.extend_from_slice(line("/four", "bob").as_bytes());
    let output = sidewatch(
        directory.path(),
        &["replay", "--pack", "nginx", "--format", "json", "-"],
        &log,
    );
    assert_eq!(
        output.code, 3,
        "some input could not be read: {}",
        output.err
    );
    let records = records(&output.out);
    let paths: Vec<_> = records
        .iter()
        .map(|record| record["url"]["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["/one", "/two", "/four"]);
    assert_eq!(records[0]["user"]["name"], "alice");
    assert_eq!(records[0]["@timestamp"], "2026-11-21T01:02:03.000Z");
    assert_eq!(records[0]["http"]["response"]["status_code"], 200);
    assert!(
        output.err.contains("-:3: "),
        "the line is named by its number: {}",
        output.err
    );
    assert!(
        output.err.contains("4 lines")
            && output.err.contains("3 events")
            && output.err.contains("1 unreadable"),
        "{}",
        output.err
    );
    assert!(
        !output.err.contains('\x1b'),
        "what the line holds does not reach the terminal: {:?}",
        output.err
    );
}

#[test]
fn plain_and_packed_files_are_read_one_after_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("access.log");
    std::fs::write(&plain, line("/plain", "alice")).unwrap();
    let packed = directory.path().join("access.log.1.gz");
    let mut encoder = GzEncoder::new(
        std::fs::File::create(&packed).unwrap(),
        Compression::default(),
    );
    encoder
        .write_all((line("/packed", "bob") + &line("/packed-too", "bob")).as_bytes())
        .unwrap();
    encoder.finish().unwrap();
    let files = [packed.to_str().unwrap(), plain.to_str().unwrap()];
    let output = sidewatch(directory.path(), &["replay", files[0], files[1]], b"");
    assert_eq!(output.code, 0, "{}", output.err);
    let paths: Vec<_> = records(&output.out)
        .iter()
        .map(|record| record["url"]["path"].clone())
        .collect();
    assert_eq!(paths, ["/packed", "/packed-too", "/plain"]);
}

#[test]
fn a_missing_file_is_named_and_the_others_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let plain = directory.path().join("access.log");
    std::fs::write(&plain, line("/plain", "alice")).unwrap();
    let output = sidewatch(
        directory.path(),
        &["replay", "missing.log", plain.to_str().unwrap()],
        b"",
    );
    assert_eq!(output.code, 1, "{}", output.err);
    assert!(output.err.contains("missing.log"), "{}", output.err);
    assert_eq!(records(&output.out).len(), 1);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("access.log");
    // Far more than a pipe holds.
    std::fs::write(&log, line("/page", "alice").repeat(20_000)).unwrap();
    let mut child = command::command(directory.path())
        .args(["replay", "--format", "json", log.to_str().unwrap()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut first).unwrap();
    drop(reader);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(records(&first).len(), 1);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(
        String::from_utf8_lossy(&ended.stderr),
        "",
        "quiet, as in `| head -1`"
    );
}

#[test]
fn the_formats_are_one_record_per_line_too() {
    let directory = tempfile::tempdir().unwrap();
    let log = line("/one", "alice") + &line("/a|b=c\\d", "eve|evil");
    let output = sidewatch(
        directory.path(),
        &["replay", "--format", "cef", "-"],
        log.as_bytes(),
    );
    assert_eq!(output.code, 0, "{}", output.err);
    let records: Vec<_> = output
        .out
        .lines()
        .map(|line| sidewatch_codecs::cef::decode(line).unwrap())
        .collect();
    assert_eq!(records.len(), 2);
    assert!(
        records[1]
            .extensions
            .iter()
            .any(|(_, value)| value == "eve|evil"),
        "{records:#?}"
    );
    let written = directory.path().join("out.json");
    let output = sidewatch(
        directory.path(),
        &[
            "replay",
            "--quiet",
            "--output",
            written.to_str().unwrap(),
            "-",
        ],
        log.as_bytes(),
    );
    assert_eq!(
        (output.code, output.out.as_str(), output.err.as_str()),
        (0, "", "")
    );
    assert_eq!(
        self::records(&std::fs::read_to_string(written).unwrap()).len(),
        2
    );
}

#[test]
fn a_variable_of_the_sites_own_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let format = "log_format own '$remote_addr [$time_local] \"$request\" $status $tenant';";
    let log = "192.0.2.7 [21/Nov/2026:01:02:03 +0000] \"GET /one HTTP/1.1\" 200 acme\n";
    let output = sidewatch(
        directory.path(),
        &["replay", "--log-format", format, "-"],
        log.as_bytes(),
    );
    assert_eq!(output.code, 0, "{}", output.err);
    assert_eq!(
        records(&output.out)[0]["labels"]["nginx.tenant"],
        "acme",
        "{}",
        output.out
    );
}
