//! Writing MaxMind database files, for tests, demonstrations and an
//! operator's own data.
//!
//! Networks may be given in any order: the longest prefix wins when the file
//! is written. The same entries and build time give the same bytes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use ::mmdb_writer::Value;
use ipnet::IpNet;

/// A network or value that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the database: {0}")]
pub struct WriteError(#[from] ::mmdb_writer::Error);

/// Collects networks and writes them as one database.
#[derive(Debug)]
pub struct Writer {
    kind: String,
    built: SystemTime,
    entries: BTreeMap<(u8, IpNet), Value>,
}

impl Writer {
    /// A database that calls itself `kind`, such as `GeoLite2-City`.
    #[must_use]
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            built: SystemTime::now(),
            entries: BTreeMap::new(),
        }
    }

    /// Sets the build time, in seconds since the Unix epoch; now by default.
    #[must_use]
    pub fn built(mut self, seconds: u64) -> Self {
        self.built = UNIX_EPOCH + Duration::from_secs(seconds);
        self
    }

    /// Adds a network; a second value for the same network replaces the first.
    #[must_use]
    pub fn insert(mut self, network: IpNet, value: Value) -> Self {
        self.add(network, value);
        self
    }

    /// As [`Writer::insert`], for loops.
    pub fn add(&mut self, network: IpNet, value: Value) {
        let network = network.trunc();
        self.entries.insert((network.prefix_len(), network), value);
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// A network that IPv6 databases reserve for IPv4 (mapped, 6to4, Teredo),
    /// or more data than the format can address.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let mut writer = ::mmdb_writer::Writer::builder(self.kind.as_str())
            .description(&[("en", self.kind.as_str())])
            .build_epoch(self.built)
            .build();
        // In an IPv6 tree an IPv4 network lies 96 bits deeper.
        let depth =
            |network: &IpNet| network.prefix_len() + if network.addr().is_ipv4() { 96 } else { 0 };
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .map(|((_, network), value)| (network, value))
            .collect();
        entries.sort_by_key(|(network, _)| depth(network));
        for (network, value) in entries {
            writer.insert_value(*network, value.clone())?;
        }
        Ok(writer.to_bytes()?)
    }
}

/// A city record; texts may be empty, which leaves them out.
#[must_use]
pub fn city_record(
    country: &str,
    region: &str,
    city: &str,
    coordinates: Option<(f64, f64)>,
    radius_km: u16,
) -> Value {
    let named = |text: &str| Value::map([("names", Value::map([("en", Value::from(text))]))]);
    let mut members = Vec::new();
    if !country.is_empty() {
        members.push(("country", Value::map([("iso_code", Value::from(country))])));
    }
    if !region.is_empty() {
        members.push(("subdivisions", Value::array([named(region)])));
    }
    if !city.is_empty() {
        members.push(("city", named(city)));
    }
    if let Some((latitude, longitude)) = coordinates {
        let location = Value::map([
            ("latitude", Value::from(latitude)),
            ("longitude", Value::from(longitude)),
            ("accuracy_radius", Value::from(radius_km)),
        ]);
        members.push(("location", location));
    }
    Value::map(members)
}

/// An autonomous-system record.
#[must_use]
pub fn as_record(number: u32, name: &str) -> Value {
    Value::map([
        ("autonomous_system_number", Value::from(number)),
        ("autonomous_system_organization", Value::from(name)),
    ])
}

/// An anonymous-address record with the given flags set, e.g.
/// `is_anonymous_vpn`.
#[must_use]
pub fn anonymous_record(flags: &[&str]) -> Value {
    Value::map(flags.iter().map(|flag| (*flag, Value::from(true))))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use maxminddb::Reader;
    use proptest::prelude::*;

    fn number_at(reader: &Reader<Vec<u8>>, address: IpAddr) -> Option<u32> {
        reader.lookup(address).unwrap().decode().unwrap()
    }

    #[test]
    fn nested_networks_of_both_families_read_back() {
        let writer = Writer::new("Example")
            .insert("192.0.2.128/25".parse().unwrap(), Value::from(2u32))
            .insert("192.0.2.0/24".parse().unwrap(), Value::from(1u32))
            .insert("192.0.2.200/32".parse().unwrap(), Value::from(3u32))
            .insert("2001:db8::/32".parse().unwrap(), Value::from(4u32))
            .insert("2001:db8:1::/48".parse().unwrap(), Value::from(5u32));
        let reader = Reader::from_source(writer.to_bytes().unwrap()).unwrap();
        reader.verify().unwrap();
        for (address, expected) in [
            ("192.0.2.1", Some(1)),
            ("192.0.2.129", Some(2)),
            ("192.0.2.200", Some(3)),
            ("192.0.3.1", None),
            ("2001:db8:2::1", Some(4)),
            ("2001:db8:1::1", Some(5)),
            ("2001:db9::1", None),
            ("::ffff:192.0.2.1", Some(1)),
        ] {
            assert_eq!(
                number_at(&reader, address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
    }

    #[test]
    fn the_same_entries_give_the_same_bytes() {
        let networks =
            ["192.0.2.0/24", "192.0.0.0/16", "2001:db8::/32"].map(|text| text.parse().unwrap());
        let bytes = |order: &[usize]| {
            let mut writer = Writer::new("Example").built(1_700_000_000);
            for at in order {
                writer.add(networks[*at], Value::from(u32::try_from(*at).unwrap()));
            }
            writer.to_bytes().unwrap()
        };
        assert_eq!(bytes(&[0, 1, 2]), bytes(&[2, 1, 0]));
    }

    fn network() -> impl Strategy<Value = IpNet> {
        let v4 =
            (any::<[u8; 4]>(), 1..=32u8).prop_map(|(bits, length)| (IpAddr::from(bits), length));
        // Confined to global unicast outside the ranges that alias IPv4.
        let v6 = (any::<[u8; 15]>(), 8..=128u8).prop_map(|(rest, length)| {
            let mut bits = [0x26; 16];
            bits[1..].copy_from_slice(&rest);
            (IpAddr::from(bits), length)
        });
        prop_oneof![v4, v6]
            .prop_map(|(address, length)| IpNet::new(address, length).unwrap().trunc())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn every_address_finds_its_longest_network(networks in prop::collection::vec(network(), 1..40)) {
            let mut writer = Writer::new("Example");
            let mut expected: Vec<(IpNet, u32)> = Vec::new();
            for (value, network) in (0u32..).zip(&networks) {
                writer.add(*network, Value::from(value));
                expected.retain(|(existing, _)| existing != network);
                expected.push((*network, value));
            }
            let reader = Reader::from_source(writer.to_bytes().unwrap()).unwrap();
            reader.verify().unwrap();
            for network in &networks {
                for address in [network.network(), network.broadcast()] {
                    let best = expected
                        .iter()
                        .filter(|(candidate, _)| candidate.contains(&address))
                        .max_by_key(|(candidate, _)| candidate.prefix_len());
                    prop_assert_eq!(number_at(&reader, address), best.map(|(_, value)| *value));
                }
            }
        }
    }
}
