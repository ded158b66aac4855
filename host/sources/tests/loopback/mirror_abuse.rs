//! The mirror source with peers that mean harm.

use std::time::Duration;

use proptest::prelude::*;

use crate::support::{Client, start};

const MIRROR: &str = "type = \"mirror\"\nlisten = \"127.0.0.1:0\"\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn malformed_requests_end_their_connection_and_nothing_else() {
    let mut source = start(MIRROR);
    let garbage: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for bytes in garbage {
        let mut client = Client::connect(&source.addresses[0]);
        let status = client.send(bytes).status();
        assert!(status == 0 || status >= 400, "{status}");
    }
    assert_eq!(
        Client::connect(&source.addresses[0]).send(GET).status(),
        204
    );
    source.events(1);
    let counts = source.until(|counts| counts.rejected >= 7);
    assert_eq!((counts.rejected, counts.decoded), (7, 1));
    assert!(counts.is_conserved());
}

#[test]
fn a_broken_chunk_is_rejected() {
    let source = start(MIRROR);
    let mut client = Client::connect(&source.addresses[0]);
    client.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
    let status = client.status();
    assert!(status == 0 || status == 400, "{status}");
    let counts = source.until(|counts| counts.rejected == 1);
    assert!(counts.is_conserved());
}

#[test]
fn headers_are_taken_up_to_the_limits_and_refused_beyond() {
    let mut source = start(&format!(
        "{MIRROR}max_headers = 512\nmax_header_bytes = 16384\n"
    ));
    let many: String = (0..400)
        .map(|number| format!("X-{number}: a\r\n"))
        .collect();
    let mut client = Client::connect(&source.addresses[0]);
    assert_eq!(
        client
            .send(format!("GET / HTTP/1.1\r\n{many}\r\n"))
            .status(),
        204
    );
    source.events(1);
    let long = format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(60_000));
    let status = client.send(long).status();
    assert!(status == 431 || status == 0, "{status}");
    source.until(|counts| counts.rejected == 1);
}

#[test]
fn slow_peers_are_cut_off_before_in_and_between_requests() {
    let source = start(&format!(
        "{MIRROR}request_timeout_ms = 60\nidle_timeout_ms = 120\n"
    ));
    let mut silent = Client::connect(&source.addresses[0]);
    let mut head = Client::connect(&source.addresses[0]);
    head.send("GET / HTTP/1.1\r\nHost:");
    let mut body = Client::connect(&source.addresses[0]);
    body.send("POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nx");
    let mut idle = Client::connect(&source.addresses[0]);
    assert_eq!(idle.send(GET).status(), 204);
    for client in [&mut silent, &mut head, &mut body, &mut idle] {
        assert!(client.is_closed());
    }
    source.until(|counts| counts.connections_timed_out == 4);
}

#[test]
fn a_peer_that_drips_its_body_does_not_last_longer() {
    let source = start(&format!("{MIRROR}request_timeout_ms = 60\n"));
    let mut client = Client::connect(&source.addresses[0]);
    client.send("POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
    for _ in 0..100 {
        client.send("x");
        std::thread::sleep(Duration::from_millis(5));
    }
    source.until(|counts| counts.connections_timed_out == 1);
}

#[test]
fn connections_beyond_the_limit_are_closed_and_counted() {
    let source = start(&format!("{MIRROR}max_connections = 2\n"));
    let mut first = Client::connect(&source.addresses[0]);
    let mut second = Client::connect(&source.addresses[0]);
    assert_eq!(first.send(GET).status(), 204);
    assert_eq!(second.send(GET).status(), 204);
    assert_eq!(Client::connect(&source.addresses[0]).send(GET).status(), 0);
    assert_eq!(first.send(GET).status(), 204);
    assert_eq!(source.counters.snapshot().connections_refused, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_bytes_whatever_stop_the_source(
        attempts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6)
    ) {
        let source = start(MIRROR);
        for attempt in attempts {
            let mut client = Client::connect(&source.addresses[0]);
            client.send(attempt);
        }
        prop_assert_eq!(Client::connect(&source.addresses[0]).send(GET).status(), 204);
        let (_, counts) = source.stop();
        prop_assert!(counts.is_conserved());
    }
}
