//! Against real sockets on loopback.

mod receiver;

use std::sync::Arc;

use sidewatch_event::{Event, Evidence, EvidenceValue, Field, Finding};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram, UnixListener};

use super::*;
use crate::identity::{Identity, written};
use crate::sample;
use receiver::{accept_and_read, accept_tls_and_read, split_octet_counted};

fn settings(text: &str) -> SyslogSettings {
    toml::from_str(text).unwrap()
}

fn sink(text: &str) -> SyslogSink {
    settings(text).build().unwrap()
}

fn batch(ids: std::ops::RangeInclusive<u128>) -> Vec<Delivery> {
    ids.map(sample::event).collect()
}

async fn deliver_all(sink: &mut SyslogSink, batch: &[Delivery]) {
    let outcome = sink.deliver(batch).await;
    assert_eq!((outcome.finished, &outcome.retry), (batch.len(), &None));
    assert!(outcome.rejected.is_empty());
}

/// A record whose message is longer than `bytes`.
fn long_record(bytes: usize) -> Delivery {
    let mut event = sample::page_view(7);
    event.set(Field::UserAgentOriginal, &"x".repeat(bytes));
    Delivery::Event(Arc::new(event))
}

#[tokio::test]
async fn tcp_messages_are_octet_counted_and_name_facility_and_program() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut sink = sink(&format!(
        "transport = 'tcp'\naddress = '{address}'\nfacility = 'local3'\nhostname = 'web1'"
    ));
    let reading = tokio::spawn(accept_and_read(listener));
    deliver_all(&mut sink, &batch(1..=3)).await;
    deliver_all(&mut sink, &[sample::finding(4)]).await;
    sink.close().await;
    let messages = split_octet_counted(&reading.await.unwrap());
    assert_eq!(messages.len(), 4);
    // local3 is 19; an event without severity is informational, 8 is an error.
    assert!(
        messages[0].starts_with("<158>1 2025-11-20T12:00:01"),
        "{}",
        messages[0]
    );
    assert!(
        messages[0].contains(" web1 sidewatch ") && messages[0].contains("CEF:0|"),
        "{}",
        messages[0]
    );
    assert!(
        messages[3].starts_with("<155>1 ") && messages[3].contains("impossible-travel"),
        "{}",
        messages[3]
    );
}

#[tokio::test]
async fn lf_framing_and_the_older_protocol_are_available() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut sink = sink(&format!(
        "transport = 'tcp'\naddress = '{address}'\nframing = 'lf'\nprotocol = 'rfc3164'\npayload = 'json'\nhostname = 'web1'"
    ));
    let reading = tokio::spawn(accept_and_read(listener));
    let mut event = sample::page_view(1);
    event.set(Field::UserName, "zoe\n<0>forged");
    deliver_all(
        &mut sink,
        &[Delivery::Event(Arc::new(event)), sample::event(2)],
    )
    .await;
    sink.close().await;
    let text = String::from_utf8(reading.await.unwrap()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "one line per record: {text}");
    assert!(
        lines[1].starts_with("<86>Nov 20 12:00:02 web1 sidewatch["),
        "{}",
        lines[1]
    );
    let json = lines[1].split_once("]: ").unwrap().1;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(json).unwrap()["user"]["name"],
        "zoe"
    );
}

#[tokio::test]
async fn udp_sends_one_message_per_datagram_and_shortens_what_does_not_fit() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut sink = sink(&format!(
        "transport = 'udp'\naddress = '{}'\npayload = 'json'",
        receiver.local_addr().unwrap()
    ));
    let records = [sample::event(1), long_record(9000), sample::finding(2)];
    let outcome = sink.deliver(&records).await;
    assert_eq!((outcome.finished, outcome.retry), (3, None));
    assert!(outcome.rejected.is_empty());
    let mut datagram = vec![0; 65536];
    for _ in 0..3 {
        let length = receiver.recv(&mut datagram).await.unwrap();
        assert!(datagram[..length].starts_with(b"<8") && length <= 8192);
    }
}

/// As long as a client can make it, with bytes that grow when escaped.
fn hostile(delivery: &Delivery) -> Delivery {
    let mut event = Event::clone(delivery.event());
    for (field, _) in Field::ALL {
        event.set(field, &"=\\\"\u{1b}".repeat(4000));
    }
    for label in 0..64 {
        event.set_label(&format!("label{label}"), &"|\n".repeat(8000));
    }
    match delivery {
        Delivery::Event(_) => Delivery::Event(Arc::new(event)),
        Delivery::Finding(finding) => {
            let mut finding = Finding::clone(finding);
            finding.event = Arc::new(event);
            finding.title = "=".repeat(16_000);
            finding.evidence.push(Evidence {
                name: "agents".into(),
                value: EvidenceValue::Text("\u{1b}".repeat(16_000)),
            });
            Delivery::Finding(Arc::new(finding))
        }
    }
}

#[test]
fn no_record_is_longer_than_the_receiver_takes_and_none_is_refused() {
    for payload in ["cef", "json"] {
        for bound in ["", "\nmax_bytes = 2048"] {
            let mut messages = sink(&format!(
                "transport = 'tcp'\naddress = 'h:1'\npayload = '{payload}'{bound}"
            ))
            .messages;
            for record in [sample::event(1), sample::finding(2)] {
                let mut out = Vec::new();
                messages.encode(&hostile(&record), &mut out).unwrap();
                assert!(out.len() <= messages.max_bytes, "{payload} {}", out.len());
            }
        }
    }
}

#[test]
fn a_long_url_leaves_the_rest_of_a_record_alone() {
    let mut messages = sink("transport = 'tcp'\naddress = 'h:1'\npayload = 'json'").messages;
    let mut out = Vec::new();
    messages.encode(&long_record(9000), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\"zoe\"") && text.contains(&"x".repeat(1024)));
    assert!(!text.contains(&"x".repeat(1025)));
}

#[tokio::test]
async fn a_datagram_larger_than_the_network_allows_is_refused_not_retried() {
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = receiver.local_addr().unwrap();
    let mut sink = sink(&format!(
        "transport = 'udp'\naddress = '{address}'\nmax_bytes = 200000\npayload = 'json'"
    ));
    let mut event = sample::page_view(1);
    for field in [
        Field::UserAgentOriginal,
        Field::UrlOriginal,
        Field::UrlQuery,
        Field::Message,
        Field::EventReason,
    ] {
        event.set(field, &"x".repeat(16_000));
    }
    let outcome = sink
        .deliver(&[Delivery::Event(Arc::new(event)), sample::event(2)])
        .await;
    assert_eq!((outcome.finished, outcome.retry), (2, None));
    assert!(
        outcome.rejected[0].reason.contains("one datagram"),
        "{}",
        outcome.rejected[0].reason
    );
}

#[tokio::test]
async fn unix_sockets_of_both_kinds_are_understood() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let receiver = UnixDatagram::bind(&path).unwrap();
    let mut datagrams = sink(&format!("transport = 'unix'\npath = '{}'", path.display()));
    deliver_all(&mut datagrams, &batch(1..=1)).await;
    let mut message = vec![0; 65536];
    let length = receiver.recv(&mut message).await.unwrap();
    assert!(message[..length].starts_with(b"<86>1 "));

    let path = directory.path().join("stream");
    let listener = UnixListener::bind(&path).unwrap();
    let mut stream = sink(&format!(
        "transport = 'unix'\npath = '{}'\nframing = 'lf'",
        path.display()
    ));
    let reading = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        receiver::read_to_end(stream).await
    });
    deliver_all(&mut stream, &batch(1..=2)).await;
    stream.close().await;
    assert_eq!(
        reading
            .await
            .unwrap()
            .iter()
            .filter(|byte| **byte == b'\n')
            .count(),
        2
    );
}

#[tokio::test]
async fn a_receiver_that_is_down_is_waited_for_and_one_that_restarts_gets_everything() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut sink = sink(&format!("transport = 'tcp'\naddress = '{address}'"));
    let outcome = sink.deliver(&batch(1..=2)).await;
    assert_eq!(outcome.finished, 0);
    assert!(outcome.retry.unwrap().reason.contains(&address.to_string()));

    let listener = TcpListener::bind(address).await.unwrap();
    deliver_all(&mut sink, &batch(1..=2)).await;
    let (first, _) = listener.accept().await.unwrap();
    drop(first);
    // The closed connection is noticed before the next batch is written.
    let reading = tokio::spawn(accept_and_read(listener));
    tokio::time::timeout(Duration::from_secs(5), async {
        while sink.socket.as_mut().is_some_and(Socket::is_open) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    deliver_all(&mut sink, &batch(3..=4)).await;
    sink.close().await;
    assert_eq!(split_octet_counted(&reading.await.unwrap()).len(), 2);
}

#[tokio::test]
async fn a_connection_that_breaks_under_a_batch_repeats_the_whole_batch() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut sink = sink(&format!(
        "transport = 'tcp'\naddress = '{address}'\npayload = 'json'\ntimeout_seconds = 1\nmax_bytes = 65536"
    ));
    let stalled = tokio::spawn(async move {
        let held = listener.accept().await.unwrap();
        (listener, held)
    });
    // Nobody reads: the batch fills the socket's buffers and times out.
    let records: Vec<_> = std::iter::repeat_with(|| long_record(15_000))
        .take(2000)
        .collect();
    let mut delivered = 0;
    let failed = loop {
        assert!(delivered < records.len(), "the socket swallowed everything");
        let outcome = sink.deliver(&records[delivered..]).await;
        delivered += outcome.finished;
        if outcome.retry.is_some() {
            break outcome;
        }
    };
    assert_eq!((failed.finished, failed.rejected.len()), (0, 0));
    let (listener, held) = stalled.await.unwrap();
    drop(held);
    let reading = tokio::spawn(accept_and_read(listener));
    let outcome = sink.deliver(&records[delivered..]).await;
    assert!(outcome.finished > 0 && outcome.retry.is_none());
    sink.close().await;
    assert_eq!(
        split_octet_counted(&reading.await.unwrap()).len(),
        outcome.finished
    );
}

#[tokio::test]
async fn tls_checks_the_receiver_and_introduces_itself() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::new(directory.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut sink = sink(&format!(
        "transport = 'tls'\naddress = 'localhost:{port}'\n[tls]\nca = '{}'\ncertificate = '{}'\nkey = '{}'",
        identity.ca.display(),
        identity.certificate.display(),
        identity.key.display(),
    ));
    let reading = tokio::spawn(accept_tls_and_read(listener, identity.acceptor()));
    deliver_all(&mut sink, &batch(1..=500)).await;
    sink.close().await;
    assert_eq!(
        split_octet_counted(&reading.await.unwrap().unwrap()).len(),
        500
    );
}

#[tokio::test]
async fn tls_refuses_a_receiver_of_another_name_or_authority() {
    let directory = tempfile::tempdir().unwrap();
    let identity = Identity::new(directory.path());
    let stranger = Identity::new(tempfile::tempdir().unwrap().path());
    for (name, ca) in [("other.example", &identity), ("localhost", &stranger)] {
        let ca = written(directory.path().join(format!("{name}.pem")), &ca.ca_pem);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut sink = sink(&format!(
            "transport = 'tls'\naddress = '127.0.0.1:{port}'\n[tls]\nserver_name = '{name}'\nca = '{}'",
            ca.display()
        ));
        let serving = tokio::spawn(accept_tls_and_read(listener, identity.acceptor()));
        let outcome = sink.deliver(&batch(1..=1)).await;
        assert_eq!(outcome.finished, 0);
        assert!(
            outcome.retry.unwrap().reason.contains("certificate"),
            "{name}"
        );
        assert!(serving.await.unwrap().is_err());
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_hint() {
    let refused = |text: &str| settings(text).build().err().unwrap().to_string();
    assert!(refused("transport = 'tcp'").contains("needs `address`"));
    assert!(refused("transport = 'unix'\naddress = 'a:1'").contains("no effect"));
    assert!(refused("transport = 'udp'\naddress = 'a:1'\n[tls]").contains("`tls` has no effect"));
    assert!(refused("transport = 'udp'\naddress = 'a'").contains("host:port"));
    assert!(refused("transport = 'udp'\naddress = 'a:1'\napp_name = 'a b'").contains("app_name"));
    assert!(refused("transport = 'udp'\naddress = 'a:1'\nmax_bytes = 10").contains("max_bytes"));
    let unknown =
        toml::from_str::<SyslogSettings>("transport = 'udp'\naddress = 'a:1'\nfacility = 'local9'");
    assert!(unknown.unwrap_err().to_string().contains("local0, local1"));
}
