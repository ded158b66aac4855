//! The client behind trusted proxies, and nobody else.

use proptest::prelude::*;

use super::*;

fn proxies(list: &[&str]) -> TrustedProxies {
    let settings: Vec<_> = list
        .iter()
        .map(|text| match *text {
            "unix:" => TrustedProxy::Unix,
            text => TrustedProxy::Network(text.parse().unwrap()),
        })
        .collect();
    TrustedProxies::new(&settings)
}

fn event(peer: &str, forwarded: &str) -> Event {
    let mut event = Event::new();
    event.set(Field::SourceAddress, peer);
    event.peer_ip = peer.parse().ok();
    if !forwarded.is_empty() {
        event.set(Field::HttpRequestForwarded, forwarded);
    }
    event
}

fn client(list: &[&str], peer: &str, forwarded: &str) -> String {
    proxies(list)
        .decide(&event(peer, forwarded))
        .address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

#[test]
fn without_trust_the_header_decides_nothing() {
    assert_eq!(client(&[], "203.0.113.9", "198.51.100.1"), "203.0.113.9");
    assert_eq!(
        client(&["10.0.0.0/8"], "203.0.113.9", "198.51.100.1"),
        "203.0.113.9"
    );
    assert_eq!(client(&["10.0.0.0/8"], "unix:", "198.51.100.1"), "");
}

#[test]
fn the_walk_stops_at_the_first_untrusted_hop_from_the_right() {
    let list = &["10.0.0.0/8", "2001:db8:ffff::/48"];
    assert_eq!(
        client(list, "10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2"),
        "198.51.100.1"
    );
    assert_eq!(client(list, "10.0.0.1", "198.51.100.1"), "198.51.100.1");
    assert_eq!(client(list, "10.0.0.1", "10.0.0.3, 10.0.0.2"), "10.0.0.3");
    assert_eq!(
        client(list, "10.0.0.1", "6.6.6.6, unknown, 10.0.0.2"),
        "10.0.0.2"
    );
    assert_eq!(client(list, "10.0.0.1", "garbage"), "10.0.0.1");
    assert_eq!(
        client(list, "2001:db8:ffff::1", "6.6.6.6, 2001:db8::7"),
        "2001:db8::7"
    );
}

#[test]
fn both_families_ports_brackets_and_mapped_addresses_are_understood() {
    let list = &["10.0.0.0/8"];
    for (entry, expected) in [
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("\"[2001:db8::1]\"", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:80", "fe80::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("  198.51.100.1\t", "198.51.100.1"),
    ] {
        assert_eq!(client(list, "10.0.0.1", entry), expected, "{entry}");
    }
    assert_eq!(
        client(list, "::ffff:10.0.0.1", "198.51.100.1"),
        "198.51.100.1"
    );
}

#[test]
fn a_unix_peer_is_trusted_only_when_listed() {
    assert_eq!(client(&["unix:"], "unix:", "198.51.100.1"), "198.51.100.1");
    assert_eq!(
        client(&["0.0.0.0/0"], "unix:/run/app.sock", "198.51.100.1"),
        ""
    );
}

#[test]
fn real_ip_counts_only_without_forwarded_for() {
    let list = proxies(&["10.0.0.0/8"]);
    let mut event = event("10.0.0.1", "");
    event.set_label(REAL_IP_LABEL, "198.51.100.1");
    assert_eq!(list.decide(&event).source, IpSource::RealIp);
    event.set(Field::HttpRequestForwarded, "198.51.100.2");
    assert_eq!(
        list.decide(&event).address,
        Some("198.51.100.2".parse().unwrap())
    );
}

#[test]
fn real_ip_of_an_access_log_is_found() {
    use sidewatch_codecs::{Decoder as _, LogFormat};
    let format = LogFormat::compile("$remote_addr \"$http_x_real_ip\"").unwrap();
    let mut event = Event::new();
    format
        .decode(b"10.0.0.1 \"198.51.100.1\"", &mut event)
        .unwrap();
    let decision = proxies(&["10.0.0.0/8"]).decide(&event);
    assert_eq!(decision.address, Some("198.51.100.1".parse().unwrap()));
    assert_eq!(decision.source, IpSource::RealIp);
}

#[test]
fn provenance_and_port_go_with_the_address() {
    let list = proxies(&["10.0.0.0/8"]);
    let mut event = event("10.0.0.1", "198.51.100.1:4711");
    event.source_port = 80;
    apply(&list.decide(&event), &mut event);
    assert_eq!(event.label(IP_SOURCE_LABEL), Some("x-forwarded-for"));
    assert_eq!(event.source_port, 4711);
    assert_eq!(event.peer_ip, Some("10.0.0.1".parse().unwrap()));

    let mut direct = self::event("203.0.113.9", "198.51.100.1");
    direct.source_port = 80;
    apply(&list.decide(&direct), &mut direct);
    assert_eq!(direct.label(IP_SOURCE_LABEL), None);
    assert_eq!(direct.source_port, 80);
}

proptest! {
    #[test]
    fn an_untrusted_peer_controls_nothing(
        peer: [u8; 4],
        header in "[0-9a-f:., \\[\\]\"]{0,200}|\\PC{0,100}",
        real_ip in "\\PC{0,40}",
    ) {
        let peer = IpAddr::from(peer);
        prop_assume!(!peer.to_string().starts_with("10."));
        let mut event = event(&peer.to_string(), &header);
        event.set_label(REAL_IP_LABEL, &real_ip);
        for list in [proxies(&[]), proxies(&["10.0.0.0/8", "unix:"])] {
            prop_assert_eq!(list.decide(&event).address, Some(peer));
            prop_assert_eq!(list.decide(&event).source, IpSource::Peer);
        }
    }

    #[test]
    fn what_stands_left_of_the_first_untrusted_hop_is_irrelevant(
        spoofed in "[0-9a-f:., \\[\\]\"]{0,100}|\\PC{0,100}",
        client_address: [u8; 4],
        trusted_hops in prop::collection::vec(any::<[u8; 3]>(), 0..5),
    ) {
        let client_address = IpAddr::from(client_address);
        prop_assume!(!client_address.to_string().starts_with("10."));
        let hops: String = trusted_hops.iter().map(|[a, b, c]| format!(", 10.{a}.{b}.{c}")).collect();
        let event = event("10.0.0.1", &format!("{spoofed},{client_address}{hops}"));
        prop_assert_eq!(proxies(&["10.0.0.0/8"]).decide(&event).address, Some(client_address));
    }
}
