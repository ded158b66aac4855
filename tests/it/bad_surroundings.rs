//! A sound configuration in surroundings that are not.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;

use integration_tests::places::write_city_database;
use integration_tests::{Output, Sidecar, sidewatch, until};

fn run(directory: &Path, text: &str) -> Output {
    let data = directory.join("data");
    std::fs::write(
        directory.join("sidewatch.toml"),
        format!("data_directory = {data:?}\n{text}"),
    )
    .unwrap();
    sidewatch(directory, &["run", "sidewatch.toml"], b"")
}

fn refused(text: &str, words: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), text);
    assert_eq!(output.code, 1, "{}", output.err);
    for word in words {
        assert!(
            output.err.contains(word),
            "`{word}` is missing in: {}",
            output.err
        );
    }
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let holder = TcpListener::bind(taken).unwrap();
    let source = |address| {
        format!("[[sources]]\nid = \"mirror\"\ntype = \"mirror\"\nlisten = \"{address}\"\n")
    };
    refused(
        &format!("admin.listen = \"\"\n{}", source(taken)),
        &["source `mirror`", &taken.to_string(), "in use"],
    );
    refused(
        &format!(
            "admin.listen = \"{taken}\"\n{}",
            source("127.0.0.1:0".parse().unwrap())
        ),
        &["admin", &taken.to_string(), "in use"],
    );
    drop(holder);
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    let text = format!(
        "admin.listen = \"\"\n[[sources]]\nid = \"access\"\ntype = \"syslog\"\nudp = \"{taken}\"\n"
    );
    refused(&text, &["source `access`", &taken.to_string(), "in use"]);
}

#[test]
fn a_database_that_is_none_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let city = directory.path().join("city.mmdb");
    write_city_database(&city);
    let whole = std::fs::read(&city).unwrap();
    let source = "[[sources]]\nid = \"mirror\"\ntype = \"mirror\"\nlisten = \"127.0.0.1:0\"\n";
    let text = format!("admin.listen = \"\"\n[enrichment]\ngeoip.city = {city:?}\n{source}");
    for broken in [&b""[..], b"no database at all", &whole[..whole.len() / 2]] {
        std::fs::write(&city, broken).unwrap();
        let output = run(directory.path(), &text);
        assert_eq!(output.code, 78, "{}", output.err);
        assert!(output.err.contains("city.mmdb"), "{}", output.err);
    }
    std::fs::remove_file(&city).unwrap();
    assert!(run(directory.path(), &text).err.contains("city.mmdb"));
}

#[test]
fn a_database_that_breaks_later_leaves_the_old_one_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let city = directory.path().join("city.mmdb");
    write_city_database(&city);
    let sidecar = Sidecar::in_directory(directory.path())
        .section(&format!("[enrichment]\ngeoip.city = {city:?}"))
        .source("mirror", "type = \"mirror\"\nlisten = \"127.0.0.1:0\"")
        .json_file("events")
        .start();
    let broken = directory.path().join("new");
    std::fs::write(&broken, "no database at all").unwrap();
    std::fs::rename(&broken, &city).unwrap();
    until("the complaint", || {
        sidecar
            .log()
            .contains("the old one stays in use")
            .then_some(())
    });
    let mut client = integration_tests::http::Client::connect(sidecar.address("mirror"));
    let address = format!("X-Real-IP: {}", integration_tests::places::PRAGUE);
    client.send(
        "GET /mirror",
        &["X-Original-URI: /page", "X-Original-Method: GET", &address],
        "",
    );
    let line = until("the event", || sidecar.lines("events").pop());
    assert!(line.contains("Prague"), "{line}");
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("data"), "a file in the way").unwrap();
    let output = run(
        directory.path(),
        "admin.listen = \"\"\n[[sources]]\nid = \"mirror\"\ntype = \"mirror\"\nlisten = \"127.0.0.1:0\"\n",
    );
    assert_eq!(output.code, 1, "{}", output.err);
    assert!(output.err.contains("data_directory"), "{}", output.err);
}
