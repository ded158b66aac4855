//! Longest-prefix match over networks of both address families.
//!
//! One hash table per prefix length in use, tried from the longest: a look-up
//! costs as many probes as there are distinct lengths, however many networks
//! an operator lists.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use ipnet::IpNet;

/// Networks with a value each.
#[derive(Debug)]
pub(crate) struct PrefixTable<T> {
    v4: Levels<T>,
    v6: Levels<T>,
}

/// Levels in descending order of prefix length.
type Levels<T> = Vec<(u8, HashMap<u128, T, RandomState>)>;

impl<T> Default for PrefixTable<T> {
    fn default() -> Self {
        Self {
            v4: Vec::new(),
            v6: Vec::new(),
        }
    }
}

impl<T> PrefixTable<T> {
    /// Adds a network; `false` when it was there already (the older value stays).
    pub(crate) fn insert(&mut self, network: IpNet, value: T) -> bool {
        let length = network.prefix_len();
        let levels = if network.addr().is_ipv4() {
            &mut self.v4
        } else {
            &mut self.v6
        };
        let at = levels.partition_point(|(existing, _)| *existing > length);
        if levels
            .get(at)
            .is_none_or(|(existing, _)| *existing != length)
        {
            levels.insert(at, (length, HashMap::default()));
        }
        let Some((_, level)) = levels.get_mut(at) else {
            return false;
        };
        match level.entry(masked(network.addr(), length)) {
            Entry::Occupied(_) => false,
            Entry::Vacant(vacant) => {
                vacant.insert(value);
                true
            }
        }
    }

    /// The value of the longest network that holds the address. The address
    /// must be canonical (an IPv4-mapped one unmapped).
    pub(crate) fn get(&self, address: IpAddr) -> Option<&T> {
        let levels = if address.is_ipv4() {
            &self.v4
        } else {
            &self.v6
        };
        levels
            .iter()
            .find_map(|(length, level)| level.get(&masked(address, *length)))
    }
}

fn masked(address: IpAddr, length: u8) -> u128 {
    let (bits, width) = match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), 32u8),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let host_bits = u32::from(width.saturating_sub(length));
    bits.checked_shr(host_bits)
        .and_then(|kept| kept.checked_shl(host_bits))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(networks: &[&'static str]) -> PrefixTable<&'static str> {
        let mut table = PrefixTable::default();
        for network in networks {
            assert!(table.insert(network.parse().unwrap(), *network));
        }
        table
    }

    #[test]
    fn the_longest_network_wins_whatever_the_order() {
        let table = table(&["10.0.0.0/8", "10.1.2.0/24", "10.1.0.0/16", "10.1.2.3/32"]);
        for (address, expected) in [
            ("10.1.2.3", Some("10.1.2.3/32")),
            ("10.1.2.4", Some("10.1.2.0/24")),
            ("10.1.3.4", Some("10.1.0.0/16")),
            ("10.2.0.0", Some("10.0.0.0/8")),
            ("11.0.0.0", None),
        ] {
            assert_eq!(
                table.get(address.parse().unwrap()).copied(),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn families_do_not_mix_even_at_length_zero() {
        let only_v6 = table(&["::/0"]);
        assert!(only_v6.get("192.0.2.1".parse().unwrap()).is_none());
        assert_eq!(only_v6.get("2001:db8::1".parse().unwrap()), Some(&"::/0"));
        let only_v4 = table(&["0.0.0.0/0"]);
        assert!(only_v4.get("::1".parse().unwrap()).is_none());
        assert_eq!(
            only_v4.get("255.255.255.255".parse().unwrap()),
            Some(&"0.0.0.0/0")
        );
    }

    #[test]
    fn a_network_listed_twice_is_noticed() {
        let mut table = table(&["192.0.2.0/24"]);
        assert!(!table.insert("192.0.2.0/24".parse().unwrap(), "again"));
        assert_eq!(
            table.get("192.0.2.9".parse().unwrap()),
            Some(&"192.0.2.0/24")
        );
    }
}
