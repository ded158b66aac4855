//! Which address is the client's.
//!
//! The peer's address counts unless the peer is a trusted proxy. Only then is
//! X-Forwarded-For walked from the right, over further trusted hops, to the
//! first hop that is not trusted; an entry that is no address ends the walk at
//! the last good hop. X-Real-IP is asked only when there is no
//! X-Forwarded-For. Nothing to the left of the first untrusted hop is ever
//! looked at: a client can write there what it likes.

use std::net::{IpAddr, SocketAddr};

use sidewatch_event::{Event, Field};

use crate::prefix_table::PrefixTable;
use crate::settings::TrustedProxy;

/// Label under which the access-log codec leaves X-Real-IP as received, when
/// the log format has `$http_x_real_ip`.
pub const REAL_IP_LABEL: &str = "nginx.http_x_real_ip";

/// Label that says which header the client address was taken from; absent
/// when it is the peer's own.
pub const IP_SOURCE_LABEL: &str = "client.ip_source";

/// Most hops walked. Longer chains do not occur; the walk ends there.
const MAX_HOPS: usize = 32;

/// Peers whose forwarded headers are believed.
#[derive(Debug, Default)]
pub(crate) struct TrustedProxies {
    networks: PrefixTable<()>,
    any_network: bool,
    unix: bool,
}

/// Who connected to the application's front end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A peer with an address.
    Address(IpAddr),
    /// A unix socket.
    Unix,
    /// The record does not say.
    Unknown,
}

/// Where the client address was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IpSource {
    /// It is the peer's own.
    Peer,
    /// X-Forwarded-For; the hop counted from the right, beginning with 1.
    ForwardedFor(usize),
    /// X-Real-IP.
    RealIp,
}

/// The decision about one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientAddress {
    /// The peer it started from.
    pub(crate) peer: Peer,
    /// Whether that peer is trusted.
    pub(crate) peer_trusted: bool,
    /// The client's address, canonical.
    pub(crate) address: Option<IpAddr>,
    /// Its port, when the header carries one.
    pub(crate) port: u16,
    /// Where it was taken from.
    pub(crate) source: IpSource,
}

impl TrustedProxies {
    pub(crate) fn new(settings: &[TrustedProxy]) -> Self {
        let mut proxies = Self::default();
        for entry in settings {
            match entry {
                TrustedProxy::Unix => proxies.unix = true,
                TrustedProxy::Network(network) => {
                    proxies.networks.insert(*network, ());
                    proxies.any_network = true;
                }
            }
        }
        proxies
    }

    fn trusts(&self, peer: Peer) -> bool {
        match peer {
            Peer::Address(address) => self.any_network && self.networks.get(address).is_some(),
            Peer::Unix => self.unix,
            Peer::Unknown => false,
        }
    }

    /// Decides for an event, without changing it.
    pub(crate) fn decide(&self, event: &Event) -> ClientAddress {
        let peer = peer_of(event);
        let own = match peer {
            Peer::Address(address) => Some(address),
            Peer::Unix | Peer::Unknown => None,
        };
        let by_peer = ClientAddress {
            peer,
            peer_trusted: self.trusts(peer),
            address: own,
            port: event.source_port,
            source: IpSource::Peer,
        };
        if !by_peer.peer_trusted {
            return by_peer;
        }
        let forwarded = event
            .get(Field::HttpRequestForwarded)
            .map(str::trim)
            .filter(|header| !header.is_empty());
        let found = match forwarded {
            Some(header) => self.walk(header),
            None => event
                .label(REAL_IP_LABEL)
                .and_then(parse_endpoint)
                .map(|(address, port)| (address, port, IpSource::RealIp)),
        };
        found.map_or(by_peer, |(address, port, source)| ClientAddress {
            address: Some(address),
            port,
            source,
            ..by_peer
        })
    }

    fn walk(&self, header: &str) -> Option<(IpAddr, u16, IpSource)> {
        let mut last = None;
        for (hop, entry) in header.rsplit(',').take(MAX_HOPS).enumerate() {
            let Some((address, port)) = parse_endpoint(entry) else {
                break;
            };
            last = Some((address, port, IpSource::ForwardedFor(hop + 1)));
            if !self.trusts(Peer::Address(address)) {
                break;
            }
        }
        last
    }
}

/// Takes the decision over into the event.
pub(crate) fn apply(decision: &ClientAddress, event: &mut Event) {
    if let Peer::Address(address) = decision.peer {
        event.peer_ip = Some(
            event
                .peer_ip
                .map_or(address, |stated| stated.to_canonical()),
        );
    }
    event.source_ip = decision.address;
    let label = match decision.source {
        IpSource::Peer => return,
        IpSource::ForwardedFor(_) => "x-forwarded-for",
        IpSource::RealIp => "x-real-ip",
    };
    event.source_port = decision.port;
    event.set_label(IP_SOURCE_LABEL, label);
}

/// A codec that already knows the client says so in `source_ip`; else the
/// connecting peer counts, as an address or in the text as received.
fn peer_of(event: &Event) -> Peer {
    if let Some(address) = event.source_ip.or(event.peer_ip) {
        return Peer::Address(address.to_canonical());
    }
    match event.get(Field::SourceAddress).map(str::trim) {
        Some(text) if text.starts_with("unix:") => Peer::Unix,
        Some(text) => {
            parse_endpoint(text).map_or(Peer::Unknown, |(address, _)| Peer::Address(address))
        }
        None => Peer::Unknown,
    }
}

/// Reads an address as proxies write them: bare, with a port, in brackets,
/// quoted, with an IPv6 zone. The port is 0 when absent.
fn parse_endpoint(text: &str) -> Option<(IpAddr, u16)> {
    const LONGEST: usize = 80;
    let text = text.trim().trim_matches('"');
    if text.len() > LONGEST {
        return None;
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address.to_canonical(), 0));
    }
    if let Ok(endpoint) = text.parse::<SocketAddr>() {
        return Some((endpoint.ip().to_canonical(), endpoint.port()));
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => (text, ""),
    };
    let port = match port {
        "" => 0,
        port => port.strip_prefix(':')?.parse().ok()?,
    };
    let host = host.split_once('%').map_or(host, |(host, _zone)| host);
    host.parse::<IpAddr>()
        .ok()
        .map(|address| (address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
}
