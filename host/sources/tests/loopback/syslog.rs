//! The syslog source.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use proptest::prelude::*;
use sidewatch_codecs::{DecodeError, Decoder};
use sidewatch_event::{Event, Field};

use crate::support::{Keep, codecs, start, start_with};

const UDP: &str = "type = \"syslog\"\nudp = \"127.0.0.1:0\"\n";

fn sender(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket
}

#[test]
fn the_record_inside_a_message_is_decoded() {
    let mut source = start(UDP);
    let client = sender(&source.addresses[0]);
    client
        .send(b"<190>Nov 20 20:34:04 web1 nginx: 192.0.2.1 - GET /")
        .unwrap();
    client.send(b"no priority").unwrap();
    let event = source.events(1).remove(0);
    assert_eq!(event.get(Field::Message), Some("192.0.2.1 - GET /"));
    assert_eq!(event.get(Field::ObserverHostname), Some("web1"));
    let counts = source.until(|counts| counts.received == 2);
    assert_eq!(counts.rejected, 1);
    assert!(counts.is_conserved());
}

#[test]
fn an_overlong_datagram_is_cut_and_flagged() {
    let mut source = start(&format!("{UDP}max_record_bytes = 500\n"));
    let text = format!("<190>Nov 20 20:34:04 web1 nginx: {}", "x".repeat(2000));
    sender(&source.addresses[0]).send(text.as_bytes()).unwrap();
    let event = source.events(1).remove(0);
    assert!(event.truncated);
    assert!(event.get(Field::Message).unwrap().len() < 500);
}

#[test]
fn a_unix_datagram_socket_works_and_its_name_goes_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("syslog.sock");
    let mut source = start(&format!("type = \"syslog\"\nsocket = {path:?}\n"));
    let client = UnixDatagram::unbound().unwrap();
    client
        .send_to(b"<190>Nov 20 20:34:04 web1 nginx: hello", &path)
        .unwrap();
    assert_eq!(source.messages(1), ["hello"]);
    source.stop();
    assert!(!path.exists());
}

#[test]
fn both_stream_framings_are_understood() {
    let mut source = start("type = \"syslog\"\ntcp = \"127.0.0.1:0\"\nmax_record_bytes = 500\n");
    let mut client = TcpStream::connect(&source.addresses[0]).unwrap();
    let one = "<190>Nov 20 20:34:04 web1 nginx: one";
    write!(client, "{} {one}", one.len()).unwrap();
    write!(
        client,
        "<190>Nov 20 20:34:04 web1 nginx: two\n<190>Nov 20 20:34:04 "
    )
    .unwrap();
    client.flush().unwrap();
    writeln!(client, "web1 nginx: three").unwrap();
    assert_eq!(source.messages(3), ["one", "two", "three"]);
    let (_, counts) = source.stop();
    assert!(counts.is_conserved());
}

struct Slow;

impl Decoder for Slow {
    fn decode(&self, record: &[u8], event: &mut Event) -> Result<(), DecodeError> {
        std::thread::sleep(Duration::from_millis(1));
        Keep.decode(record, event)
    }
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let text = format!("{UDP}receive_buffer_bytes = 4096\n");
    let source = start_with(&text, &codecs(Slow), 10_000);
    let client = sender(&source.addresses[0]);
    let mut sent = 0;
    for _ in 0..500 {
        client
            .send(b"<190>Nov 20 20:34:04 web1 nginx: burst")
            .unwrap();
        sent += 1;
    }
    // The count travels with the next datagram that is let in.
    let counts = source.until(|counts| {
        client
            .send(b"<190>Nov 20 20:34:04 web1 nginx: after")
            .unwrap();
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
        counts.kernel_dropped > 0
    });
    assert!(counts.received + counts.kernel_dropped <= sent);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn no_datagram_stops_the_source(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..30)
    ) {
        let mut source = start(UDP);
        let client = sender(&source.addresses[0]);
        let full = datagrams.iter().filter(|datagram| !datagram.is_empty()).count() as u64;
        for datagram in &datagrams {
            client.send(datagram).unwrap();
        }
        client.send(b"<190>Nov 20 20:34:04 web1 nginx: last").unwrap();
        let counts = source.until(|counts| counts.received == full + 1);
        prop_assert!(counts.decoded >= 1);
        let decoded = usize::try_from(counts.decoded).unwrap();
        let last = source.messages(decoded).pop();
        prop_assert_eq!(last.as_deref(), Some("last"));
    }
}

#[test]
fn datagrams_the_kernel_holds_at_shutdown_are_still_read() {
    let source = start_with(UDP, &codecs(Slow), 10_000);
    let client = sender(&source.addresses[0]);
    for _ in 0..300 {
        client
            .send(b"<190>Nov 20 20:34:04 web1 nginx: late")
            .unwrap();
    }
    let (events, counts) = source.stop();
    assert_eq!(events.len() as u64 + counts.kernel_dropped, 300);
    assert!(counts.is_conserved(), "{counts:?}");
}
