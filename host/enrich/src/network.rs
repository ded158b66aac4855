//! What kind of network an address belongs to, and why.
//!
//! The order: the operator's table and sites (longest prefix), reserved
//! address space, an anonymous-address database, well-known autonomous
//! systems by number, then by name, then weaker hints. Documentation ranges
//! are ordinary addresses here: demonstrations use them.

use std::net::IpAddr;

use ipnet::IpNet;
use sidewatch_event::{Location, NetworkKind};

use crate::EnrichError;
use crate::autonomous_systems;
use crate::geoip::{Anonymity, AutonomousSystem, Place};
use crate::geometry::{DEFAULT_ACCURACY_KM, checked_location};
use crate::prefix_table::PrefixTable;
use crate::settings::{NetworkSettings, SiteSettings};

/// Address space that is nobody's on the Internet.
const RESERVED: &[(&str, &str)] = &[
    ("10.0.0.0/8", "private address (RFC 1918)"),
    ("172.16.0.0/12", "private address (RFC 1918)"),
    ("192.168.0.0/16", "private address (RFC 1918)"),
    ("100.64.0.0/10", "shared address of a carrier (RFC 6598)"),
    ("127.0.0.0/8", "loopback address"),
    ("169.254.0.0/16", "link-local address"),
    ("0.0.0.0/8", "unspecified address"),
    ("::/128", "unspecified address"),
    ("::1/128", "loopback address"),
    ("fe80::/10", "link-local address"),
    ("fc00::/7", "unique local address (RFC 4193)"),
];

/// Who says what kind a network is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The operator's table, by this network.
    Operator(IpNet),
    /// A configured site's addresses, by this network.
    Site(IpNet),
    /// The site the record names.
    NamedSite,
    /// Reserved address space of this meaning.
    Reserved(&'static str),
    /// This flag of a database.
    Database(&'static str),
    /// The number of the autonomous system, owned by this company.
    AsNumber(&'static str),
    /// This word in the name of the autonomous system.
    AsName(&'static str),
    /// Nobody.
    Nothing,
}

/// What the operator says of a network.
#[derive(Debug, Clone)]
pub(crate) struct KnownNetwork {
    pub(crate) network: IpNet,
    pub(crate) kind: NetworkKind,
    pub(crate) name: Option<Box<str>>,
    pub(crate) location: Option<Location>,
    /// Index of the site whose address it is.
    pub(crate) site: Option<usize>,
}

/// The operator's table, the sites' addresses and the reserved ranges.
#[derive(Debug)]
pub(crate) struct NetworkTable {
    known: PrefixTable<KnownNetwork>,
    reserved: PrefixTable<&'static str>,
}

impl NetworkTable {
    pub(crate) fn new(
        networks: &[NetworkSettings],
        sites: &[SiteSettings],
    ) -> Result<Self, EnrichError> {
        let mut known = PrefixTable::default();
        let mut insert = |entry: KnownNetwork| {
            let network = entry.network;
            if known.insert(network, entry) {
                Ok(())
            } else {
                Err(EnrichError::NetworkTwice(network))
            }
        };
        for settings in networks {
            let location = operator_location(settings)?;
            for cidr in &settings.cidrs {
                insert(KnownNetwork {
                    network: cidr.0,
                    kind: settings.kind,
                    name: settings.name.as_deref().map(Into::into),
                    location,
                    site: None,
                })?;
            }
        }
        for (index, site) in sites.iter().enumerate() {
            for cidr in &site.addresses {
                insert(KnownNetwork {
                    network: cidr.0,
                    kind: NetworkKind::Site,
                    name: None,
                    location: None,
                    site: Some(index),
                })?;
            }
        }
        let mut reserved = PrefixTable::default();
        for (network, meaning) in RESERVED {
            if let Ok(network) = network.parse() {
                reserved.insert(network, *meaning);
            }
        }
        Ok(Self { known, reserved })
    }

    /// What the operator says of an address.
    pub(crate) fn known(&self, address: IpAddr) -> Option<&KnownNetwork> {
        self.known.get(address)
    }

    /// What the address is reserved for.
    pub(crate) fn reserved(&self, address: IpAddr) -> Option<&'static str> {
        self.reserved.get(address).copied()
    }
}

/// The kind of an address nothing local is known about.
pub(crate) fn kind_from_databases(
    anonymity: Option<Anonymity>,
    system: Option<AutonomousSystem<'_>>,
    place: Option<&Place<'_>>,
) -> (NetworkKind, Reason) {
    let flags = anonymity.unwrap_or_default();
    let by_flag = [
        (flags.tor, NetworkKind::Tor, "is_tor_exit_node"),
        (flags.vpn, NetworkKind::Vpn, "is_anonymous_vpn"),
        (flags.public_proxy, NetworkKind::Vpn, "is_public_proxy"),
        (
            flags.residential_proxy,
            NetworkKind::Vpn,
            "is_residential_proxy",
        ),
    ];
    if let Some((_, kind, flag)) = by_flag.into_iter().find(|(set, ..)| *set) {
        return (kind, Reason::Database(flag));
    }
    if let Some((kind, owner)) =
        system.and_then(|system| autonomous_systems::by_number(system.number))
    {
        return (kind, Reason::AsNumber(owner));
    }
    if let Some((kind, word)) = system
        .and_then(|system| system.name)
        .and_then(autonomous_systems::by_name)
    {
        return (kind, Reason::AsName(word));
    }
    let hints = [
        (flags.hosting, NetworkKind::Hosting, "is_hosting_provider"),
        (flags.anonymous, NetworkKind::Vpn, "is_anonymous"),
        (
            place.is_some_and(|place| place.satellite),
            NetworkKind::Satellite,
            "is_satellite_provider",
        ),
        (
            place.is_some_and(|place| place.proxy),
            NetworkKind::Vpn,
            "is_anonymous_proxy",
        ),
    ];
    match hints.into_iter().find(|(set, ..)| *set) {
        Some((_, kind, flag)) => (kind, Reason::Database(flag)),
        None => (NetworkKind::Unknown, Reason::Nothing),
    }
}

fn operator_location(settings: &NetworkSettings) -> Result<Option<Location>, EnrichError> {
    let name = || {
        let network = settings.cidrs.first().map(|cidr| cidr.0.to_string());
        settings.name.clone().or(network).unwrap_or_default()
    };
    match (settings.latitude, settings.longitude) {
        (None, None) if settings.accuracy_km.is_none() => Ok(None),
        (Some(latitude), Some(longitude)) => checked_location(
            latitude,
            longitude,
            settings.accuracy_km.unwrap_or(DEFAULT_ACCURACY_KM),
        )
        .map(Some)
        .ok_or_else(|| EnrichError::Coordinates { name: name() }),
        _ => Err(EnrichError::HalfCoordinates { name: name() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> NetworkTable {
        NetworkTable::new(&[], &[]).unwrap()
    }

    #[test]
    fn reserved_space_of_both_families_is_known() {
        for address in [
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "127.0.0.1",
            "169.254.1.1",
            "100.64.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
        ] {
            assert!(
                table().reserved(address.parse().unwrap()).is_some(),
                "{address}"
            );
        }
    }

    #[test]
    fn documentation_ranges_are_ordinary_addresses() {
        for address in [
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "2001:db8::1",
            "172.32.0.1",
            "100.128.0.1",
        ] {
            assert_eq!(
                table().reserved(address.parse().unwrap()),
                None,
                "{address}"
            );
        }
    }

    #[test]
    fn strong_flags_beat_the_system_and_weak_ones_do_not() {
        let starlink = Some(AutonomousSystem {
            number: 14593,
            name: None,
        });
        let vpn = Anonymity {
            vpn: true,
            hosting: true,
            ..Anonymity::default()
        };
        let hosting = Anonymity {
            hosting: true,
            ..Anonymity::default()
        };
        assert_eq!(
            kind_from_databases(Some(vpn), starlink, None).0,
            NetworkKind::Vpn
        );
        assert_eq!(
            kind_from_databases(Some(hosting), starlink, None).0,
            NetworkKind::Satellite
        );
        assert_eq!(
            kind_from_databases(Some(hosting), None, None).0,
            NetworkKind::Hosting
        );
        assert_eq!(
            kind_from_databases(None, None, None),
            (NetworkKind::Unknown, Reason::Nothing)
        );
    }

    #[test]
    fn half_and_impossible_coordinates_are_refused() {
        let settings = |text: &str| toml::from_str::<NetworkSettings>(text).unwrap();
        let base = "cidr = '192.0.2.0/24'\nkind = 'corporate'\n";
        let complaint = |more: &str| {
            NetworkTable::new(&[settings(&format!("{base}{more}"))], &[])
                .unwrap_err()
                .to_string()
        };
        assert!(complaint("latitude = 50.0").contains("192.0.2.0/24"));
        assert!(complaint("latitude = 500.0\nlongitude = 14.0").contains("192.0.2.0/24"));
        let twice = [settings(base), settings(base)];
        assert!(
            NetworkTable::new(&twice, &[])
                .unwrap_err()
                .to_string()
                .contains("192.0.2.0/24")
        );
    }
}
