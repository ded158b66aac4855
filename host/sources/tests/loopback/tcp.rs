//! The TCP source.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::support::{Keep, codecs, start, start_with};

const TCP: &str = "type = \"tcp\"\nlisten = \"127.0.0.1:0\"\nmax_record_bytes = 64\n";

#[test]
fn every_line_of_every_connection_arrives() {
    let mut source = start(TCP);
    let mut first = TcpStream::connect(&source.addresses[0]).unwrap();
    let mut second = TcpStream::connect(&source.addresses[0]).unwrap();
    first.write_all(b"{\"a\":1}\r\n\n{\"a\":").unwrap();
    second.write_all(b"from the second\n").unwrap();
    first.write_all(b"2}\n").unwrap();
    let mut messages = source.messages(3);
    messages.sort();
    assert_eq!(messages, ["from the second", "{\"a\":1}", "{\"a\":2}"]);
    first.write_all(b"cut off by the close").unwrap();
    drop(first);
    assert_eq!(source.messages(1), ["cut off by the close"]);
}

#[test]
fn not_one_byte_is_written_to_the_peer_while_it_sends() {
    let mut source = start(TCP);
    let mut client = TcpStream::connect(&source.addresses[0]).unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    client
        .write_all(format!("good\n!bad\n{}\n", "x".repeat(1000)).as_bytes())
        .unwrap();
    let events = source.events(2);
    assert!(events[1].truncated);
    // Neither an answer nor an end: a timeout.
    assert!(client.read(&mut [0]).is_err());
    let counts = source.until(|counts| counts.received == 3);
    assert_eq!((counts.rejected, counts.truncated), (1, 1));
    assert!(counts.is_conserved());
}

#[test]
fn a_slow_pipeline_holds_the_sender_back_and_loses_nothing() {
    let mut source = start_with(TCP, &codecs(Keep), 2);
    let mut client = TcpStream::connect(&source.addresses[0]).unwrap();
    let writer = std::thread::spawn(move || {
        for number in 0..3000 {
            client
                .write_all(format!("line {number}\n").as_bytes())
                .unwrap();
        }
        client.shutdown(Shutdown::Write).unwrap();
    });
    let messages = source.messages(3000);
    writer.join().unwrap();
    assert!(
        messages
            .iter()
            .enumerate()
            .all(|(at, text)| *text == format!("line {at}"))
    );
    assert_eq!(source.stop().1.shed_queue_full, 0);
}

#[test]
fn gelf_ends_in_nul() {
    let mut source = start(&format!("{TCP}delimiter = \"nul\"\n"));
    let mut client = TcpStream::connect(&source.addresses[0]).unwrap();
    client.write_all(b"{\"a\":\"b\nc\"}\0\n{}\0").unwrap();
    assert_eq!(source.messages(2), ["{\"a\":\"b\nc\"}", "{}"]);
}

#[test]
fn what_was_sent_before_shutdown_is_still_read() {
    let mut source = start(TCP);
    let mut client = TcpStream::connect(&source.addresses[0]).unwrap();
    client.write_all(b"first\n").unwrap();
    assert_eq!(source.messages(1), ["first"]);
    let text: String = (0..2_000).map(|at| format!("line {at}\n")).collect();
    let writer = std::thread::spawn(move || {
        client.write_all(text.as_bytes()).unwrap();
        client
    });
    // All of it is in the kernel's hands or ours, and nobody takes any.
    source.until(|counts| counts.received > 500);
    let (events, counts) = source.stop();
    drop(writer.join());
    assert_eq!(events.len(), 2_000);
    assert!(counts.is_conserved(), "{counts:?}");
}
