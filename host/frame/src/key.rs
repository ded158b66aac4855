//! The key under which a rule's state is kept.
//!
//! A rule names the parts; the host makes one 64-bit number of them. Parts are
//! keyed hashes already, or are hashed here under the host's key, so nobody
//! outside can choose colliding keys.

use std::hash::Hasher;
use std::net::IpAddr;

use sidewatch_event::Event;
use siphasher::sip::SipHasher13;

/// A part of a state key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPart {
    /// The user's keyed hash.
    User,
    /// The session's.
    Session,
    /// The device's.
    Device,
    /// That of user-agent family and operating system.
    UserAgent,
    /// The client's address, hashed.
    SourceIp,
    /// Its /24 or /48, hashed.
    SourceNetwork,
}

/// Names of the parts as rules write them.
pub const NAMES: [(&str, KeyPart); 6] = [
    ("user", KeyPart::User),
    ("session", KeyPart::Session),
    ("device", KeyPart::Device),
    ("user-agent", KeyPart::UserAgent),
    ("source-ip", KeyPart::SourceIp),
    ("source-network", KeyPart::SourceNetwork),
];

/// The parts one rule's key is made of.
#[derive(Debug, Clone)]
pub struct StateKey {
    parts: Vec<KeyPart>,
    hash_key: [u8; 16],
}

impl StateKey {
    /// Parses the names; `hash_key` is the host's.
    ///
    /// # Errors
    /// The name that is none.
    pub fn parse(names: &[String], hash_key: [u8; 16]) -> Result<Self, String> {
        let parts = names
            .iter()
            .map(|name| {
                NAMES
                    .iter()
                    .find(|(known, _)| known == name)
                    .map(|(_, part)| *part)
                    .ok_or_else(|| name.clone())
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { parts, hash_key })
    }

    /// The key of an event; `None` when it lacks a part.
    #[must_use]
    pub fn of(&self, event: &Event) -> Option<u64> {
        if let [part] = self.parts.as_slice() {
            return self.part(*part, event);
        }
        let mut hasher = SipHasher13::new_with_key(&self.hash_key);
        for part in &self.parts {
            hasher.write_u64(self.part(*part, event)?);
        }
        Some(hasher.finish())
    }

    fn part(&self, part: KeyPart, event: &Event) -> Option<u64> {
        let number = match part {
            KeyPart::User => event.keys.user,
            KeyPart::Session => event.keys.session,
            KeyPart::Device => event.keys.device,
            KeyPart::UserAgent => event.keys.user_agent,
            KeyPart::SourceIp => self.hash(address_bits(event.source_ip?)),
            KeyPart::SourceNetwork => self.hash(network_bits(event.source_ip?)),
        };
        (number != 0).then_some(number)
    }

    fn hash(&self, bits: u128) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&self.hash_key);
        hasher.write_u128(bits);
        hasher.finish().max(1)
    }
}

/// An address as the 128 bits of its IPv6 form.
#[must_use]
pub fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// The /24 (IPv4) or /48 (IPv6) an address lies in.
fn network_bits(address: IpAddr) -> u128 {
    let mask = match address {
        IpAddr::V4(_) => u128::MAX << 8,
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => u128::MAX << 8,
        IpAddr::V6(_) => u128::MAX << 80,
    };
    address_bits(address) & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_network_and_strangers_do_not() {
        let key = StateKey::parse(&["source-network".to_owned()], [1; 16]).unwrap();
        let of = |address: &str| {
            let mut event = Event::new();
            event.source_ip = Some(address.parse().unwrap());
            key.of(&event)
        };
        assert_eq!(of("192.0.2.1"), of("192.0.2.254"));
        assert_ne!(of("192.0.2.1"), of("192.0.3.1"));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:ffff::9"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
    }

    #[test]
    fn an_event_without_a_part_has_no_key() {
        let key = StateKey::parse(&["user".to_owned(), "session".to_owned()], [1; 16]).unwrap();
        let mut event = Event::new();
        event.keys.user = 5;
        assert_eq!(key.of(&event), None);
        event.keys.session = 6;
        assert!(key.of(&event).is_some());
        assert_eq!(
            StateKey::parse(&["usr".to_owned()], [0; 16]).unwrap_err(),
            "usr"
        );
    }
}
