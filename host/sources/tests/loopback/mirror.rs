//! The mirror source with well-behaved peers.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use sidewatch_event::Field;

use crate::support::{Client, Keep, codecs, settings, start, start_with};

const MIRROR: &str = "type = \"mirror\"\nlisten = \"127.0.0.1:0\"\n";
const GET: &str = "GET /mirror HTTP/1.1\r\nHost: app\r\nX-Original-URI: /login?next=1\r\n\
                   X-Original-Method: POST\r\nX-Real-IP: 192.0.2.7\r\n\r\n";

#[test]
fn a_mirrored_request_is_answered_empty_and_becomes_an_event() {
    let mut source = start(MIRROR);
    let mut client = Client::connect(&source.addresses[0]);
    let answer = client.send(GET).answer();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(
        !answer.to_lowercase().contains("content-length"),
        "{answer}"
    );
    assert!(
        !answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    let event = source.events(1).remove(0);
    assert_eq!(event.source.as_deref(), Some("test"));
    assert!(event.received > 1_700_000_000_000);
    assert_eq!((event.id >> 80) as i64, event.received);
    assert_eq!(event.get(Field::UrlPath), Some("/login"));
    assert_eq!(event.get(Field::HttpRequestMethod), Some("POST"));
}

#[test]
fn one_connection_serves_many_requests_also_pipelined() {
    let mut source = start(MIRROR);
    let mut client = Client::connect(&source.addresses[0]);
    client.send(GET.repeat(20));
    for _ in 0..20 {
        assert_eq!(client.status(), 204);
    }
    assert_eq!(client.send(GET).status(), 204);
    source.events(21);
    let (_, counts) = source.stop();
    assert_eq!(counts.connections, 1);
    assert!(counts.is_conserved());
}

#[test]
fn any_method_and_path_is_taken() {
    let mut source = start(MIRROR);
    let mut client = Client::connect(&source.addresses[0]);
    for line in [
        "PROPFIND /a",
        "OPTIONS *",
        "DELETE /x?y=%00",
        "FROBNICATE /",
    ] {
        let request = format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.send(request).status(), 204, "{line}");
    }
    assert_eq!(client.send("GET / HTTP/1.0\r\n\r\n").status(), 204);
    source.events(5);
}

#[test]
fn a_body_is_read_in_any_framing_and_cut_at_the_cap() {
    let mut source = start(&format!(
        "{MIRROR}max_body_bytes = 1000\nmax_drain_bytes = 5000\n"
    ));
    let mut client = Client::connect(&source.addresses[0]);
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n";
    assert_eq!(client.send(chunked).status(), 204);
    let long = format!(
        "POST / HTTP/1.1\r\nContent-Length: 3000\r\n\r\n{}",
        "x".repeat(3000)
    );
    assert_eq!(client.send(&long).status(), 204);
    assert_eq!(
        client.send(GET).status(),
        204,
        "the connection stays usable"
    );
    let events = source.events(3);
    assert!(!events[0].truncated);
    assert!(events[1].truncated);

    let endless = format!(
        "POST / HTTP/1.1\r\nContent-Length: 999999\r\n\r\n{}",
        "x".repeat(9000)
    );
    let answer = client.send(&endless).answer();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert!(source.events(1)[0].truncated);
    assert_eq!(source.counters.snapshot().truncated, 2);
}

#[test]
fn a_peer_that_asks_before_sending_its_body_is_told_to_go_on() {
    let source = start(MIRROR);
    let mut client = Client::connect(&source.addresses[0]);
    client.send("POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.status(), 100);
    assert_eq!(client.send("ok").status(), 204);
}

#[test]
fn a_full_queue_sheds_and_the_peer_does_not_notice() {
    let source = start_with(MIRROR, &codecs(Keep), 3);
    let mut client = Client::connect(&source.addresses[0]);
    for _ in 0..10 {
        assert_eq!(client.send(GET).status(), 204);
    }
    let (events, counts) = source.stop();
    assert_eq!(
        (events.len(), counts.decoded, counts.shed_queue_full),
        (3, 3, 7)
    );
    assert!(counts.is_conserved());
}

#[test]
fn without_the_secret_a_request_is_counted_and_answered_but_no_event() {
    let text = format!("{MIRROR}tokens = [\"0123456789abcdef\", \"fedcba9876543210\"]\n");
    let mut source = start(&text);
    let mut client = Client::connect(&source.addresses[0]);
    let with = |token| format!("GET / HTTP/1.1\r\nX-Sidewatch-Token: {token}\r\n\r\n");
    assert_eq!(client.send(GET).status(), 204);
    assert_eq!(client.send(with("0123456789abcdeF")).status(), 204);
    assert_eq!(client.send(with("0123456789abcdef")).status(), 204);
    assert_eq!(client.send(with("fedcba9876543210")).status(), 204);
    source.events(2);
    let (_, counts) = source.stop();
    assert_eq!((counts.unauthenticated, counts.decoded), (2, 2));

    let source = start(&format!("{text}unauthenticated_status = 403\n"));
    assert_eq!(
        Client::connect(&source.addresses[0]).send(GET).status(),
        403
    );
}

#[test]
fn a_unix_socket_is_private_replaced_when_stale_and_refused_when_in_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mirror.sock");
    let text = format!("type = \"mirror\"\nsocket = {path:?}\n");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut source = start(&text);
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o660
    );
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(GET.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 204");
    source.events(1);

    let error = settings(&text)
        .bind("second", &codecs(Keep))
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("mirror.sock is in use by another process"),
        "{error}"
    );
    drop(stream);
    source.stop();
    assert!(!path.exists());
}

#[test]
fn shutdown_does_not_wait_for_idle_connections() {
    let mut source = start(MIRROR);
    let mut client = Client::connect(&source.addresses[0]);
    client.send(GET).status();
    source.events(1);
    let begun = std::time::Instant::now();
    source.stop();
    assert!(client.is_closed());
    assert!(begun.elapsed() < crate::support::PATIENCE);
}
