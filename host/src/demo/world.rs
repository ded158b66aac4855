//! The demonstration's world: cities, and the documentation networks
//! (RFC 5737, RFC 3849) and autonomous systems (RFC 5398) laid out over them.
//!
//! Invariant: no address outside those ranges, so nothing here can be taken
//! for, or reach, anybody's real network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};
use sidewatch_enrich::mmdb_writer::{WriteError, Writer, as_record, city_record};

/// A city with fixed lines: 256 households, each with a /48 of
/// 2001:db8:`number`00::/40.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct City {
    /// Its name.
    pub name: &'static str,
    country: &'static str,
    region: &'static str,
    latitude: f64,
    longitude: f64,
    /// Hours ahead of UTC.
    pub offset: i64,
    number: u8,
    as_number: u32,
    provider: &'static str,
}

macro_rules! cities {
    ($($constant:ident $name:literal $country:literal $region:literal
       ($latitude:literal, $longitude:literal) $offset:literal $number:literal $system:literal;)*) => {
        $(#[doc = concat!("The city of ", $name, ".")]
        pub const $constant: City = City {
            name: $name, country: $country, region: $region,
            latitude: $latitude, longitude: $longitude, offset: $offset,
            number: $number, as_number: $system,
            provider: concat!("Example Fibre ", $name),
        };)*
        const CITIES: &[City] = &[$($constant),*];
    };
}

cities! {
    PRAGUE "Prague" "CZ" "Prague" (50.088, 14.420) 1 1 64_496;
    BRNO "Brno" "CZ" "South Moravia" (49.195, 16.607) 1 2 64_497;
    BERLIN "Berlin" "DE" "Berlin" (52.520, 13.405) 1 3 64_498;
    LISBON "Lisbon" "PT" "Lisbon" (38.722, -9.139) 0 4 64_499;
    NEW_YORK "New York" "US" "New York" (40.713, -74.006) -5 5 64_500;
    SINGAPORE "Singapore" "SG" "" (1.352, 103.820) 8 6 64_501;
    SYDNEY "Sydney" "AU" "New South Wales" (-33.869, 151.209) 10 7 64_502;
}

/// Offices, carriers and data centres, which have IPv4 addresses: network,
/// city, autonomous system and its name.
const IPV4: &[(&str, City, u32, &str)] = &[
    ("192.0.2.0/24", PRAGUE, 64_503, "Example Works"),
    ("198.51.100.0/25", PRAGUE, 64_504, "Example Mobile"),
    ("198.51.100.128/25", BERLIN, 64_505, "Example Mobil"),
    ("203.0.113.0/26", LISBON, 64_506, "Example Hosting"),
    ("203.0.113.64/26", NEW_YORK, 64_507, "Example Privacy"),
    ("203.0.113.128/25", SINGAPORE, 64_508, "Example Broadband"),
];

/// What an operator would know of these networks, as configuration text.
pub const OPERATOR_NETWORKS: &str = r#"[[enrichment.networks]]
cidr = "192.0.2.0/24"
kind = "corporate"
name = "office"

[[enrichment.networks]]
cidr = "198.51.100.0/24"
kind = "mobile"
name = "mobile carriers"

[[enrichment.networks]]
cidr = "203.0.113.0/26"
kind = "hosting"

[[enrichment.networks]]
cidr = "203.0.113.64/26"
kind = "vpn"
name = "a VPN some employees use"
"#;

/// A household's address.
#[must_use]
pub fn home(city: City, household: u8, device: u16) -> IpAddr {
    let site = u16::from(city.number) << 8 | u16::from(household);
    Ipv6Addr::new(0x2001, 0xdb8, site, 1, 0, 0, 0, device.max(1)).into()
}

/// An office's address: everybody there shares a few.
#[must_use]
pub fn office(desk: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, 1 + desk % 4).into()
}

/// A carrier's address in the Czech Republic.
#[must_use]
pub fn mobile(number: u8) -> IpAddr {
    Ipv4Addr::new(198, 51, 100, 1 + number % 120).into()
}

/// An address of a data centre.
#[must_use]
pub fn hosting(number: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, 1 + number % 60).into()
}

/// An exit of a VPN.
#[must_use]
pub fn vpn(number: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, 65 + number % 60).into()
}

/// A fixed line in Singapore.
#[must_use]
pub fn far_away(number: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, 129 + number % 120).into()
}

/// The city and autonomous-system databases, as the bytes of two files. The
/// build time is fixed: the same bytes every time.
///
/// # Errors
/// The networks cannot be written, which would be a mistake in this file.
pub fn databases() -> Result<(Vec<u8>, Vec<u8>), WriteError> {
    const BUILT: u64 = 1_767_225_600;
    let mut places = Writer::new("Sidewatch-Demo-City").built(BUILT);
    let mut systems = Writer::new("Sidewatch-Demo-ASN").built(BUILT);
    let mut add = |network: IpNet, city: &City, number: u32, name: &str| {
        let point = Some((city.latitude, city.longitude));
        places.add(
            network,
            city_record(city.country, city.region, city.name, point, 20),
        );
        systems.add(network, as_record(number, name));
    };
    for city in CITIES {
        let first = Ipv6Addr::new(0x2001, 0xdb8, u16::from(city.number) << 8, 0, 0, 0, 0, 0);
        if let Ok(network) = Ipv6Net::new(first, 40) {
            add(network.into(), city, city.as_number, city.provider);
        }
    }
    for (network, city, number, name) in IPV4 {
        if let Ok(network) = network.parse() {
            add(network, city, *number, name);
        }
    }
    Ok((places.to_bytes()?, systems.to_bytes()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_is_in_both_databases() {
        let settings: sidewatch_enrich::EnrichSettings =
            toml::from_str(&OPERATOR_NETWORKS.replace("enrichment.", "")).unwrap();
        assert_eq!(settings.networks.len(), 4);
        let (places, systems) = databases().unwrap();
        assert!(places.len() > 500 && systems.len() > 500);
        assert_eq!(databases().unwrap(), (places, systems));
        for (network, ..) in IPV4 {
            assert!(network.parse::<IpNet>().is_ok(), "{network}");
        }
    }
}
