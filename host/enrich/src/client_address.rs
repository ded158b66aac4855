//! Which address is the client's.
//!
//! The peer's address counts unless the peer is a trusted proxy. Only then is
//! X-Forwarded-For walked from the right, over further trusted hops, to the
//! first hop that is not trusted; an entry that is no address ends the walk at
//! the last good hop. X-Real-IP is asked only when there is no
//! X-Forwarded-For. Nothing to the left of the first untrusted hop is ever
//! looked at: a client can write there what it likes.

use std::net::{IpAddr, SocketAddr};

use sidewatch_event::{Event, Field, REAL_IP_LABEL};

use crate::prefix_table::PrefixTable;
use crate::settings::TrustedProxy;

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
mod tests;
