//! What an operator configures for enrichment.
//!
//! These types mirror the configuration file. They check single values (an
//! address, a latitude); what concerns several of them is checked when the
//! [`Enricher`](crate::Enricher) is built. Unknown keys are errors.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sidewatch_event::NetworkKind;

/// The `[enrichment]` section.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct EnrichSettings {
    /// Peers whose forwarded headers are believed. Empty by default: then a
    /// forwarded header never decides anything. Every proxy listed here must
    /// set or overwrite the headers it forwards.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// MaxMind database files.
    pub geoip: GeoipSettings,
    /// The operator's own knowledge of networks; the longest prefix wins.
    pub networks: Vec<NetworkSettings>,
    /// Named places with known coordinates.
    pub sites: Vec<SiteSettings>,
}

/// The `[enrichment.geoip]` section. Every database is optional.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "snake_case")]
pub struct GeoipSettings {
    /// City or country database.
    pub city: Option<PathBuf>,
    /// Autonomous-system (or ISP) database.
    pub asn: Option<PathBuf>,
    /// Anonymous-address database.
    pub anonymous: Option<PathBuf>,
    /// Whether replaced files are loaded without a restart.
    pub reload: bool,
}

impl Default for GeoipSettings {
    fn default() -> Self {
        Self {
            city: None,
            asn: None,
            anonymous: None,
            reload: true,
        }
    }
}

/// One `[[enrichment.networks]]` entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct NetworkSettings {
    /// Networks or single addresses; one text or a list.
    #[serde(alias = "cidr", deserialize_with = "one_or_many")]
    pub cidrs: Vec<Cidr>,
    /// What kind of network it is.
    pub kind: NetworkKind,
    /// Name for reports: `labels.network.name`.
    #[serde(default)]
    pub name: Option<String>,
    /// Degrees north, when the operator knows better than a database.
    #[serde(default)]
    pub latitude: Option<f64>,
    /// Degrees east; only together with the latitude.
    #[serde(default)]
    pub longitude: Option<f64>,
    /// Radius of the place in kilometres; 5 when absent.
    #[serde(default)]
    pub accuracy_km: Option<f32>,
}

/// One `[[enrichment.sites]]` entry.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub struct SiteSettings {
    /// Name of the site, e.g. an institution.
    pub name: String,
    /// Realm the site reports itself with (`VISINST` in F-Ticks).
    #[serde(default)]
    pub realm: Option<String>,
    /// Addresses or networks of the site; one text or a list.
    #[serde(default, alias = "cidrs", deserialize_with = "one_or_many")]
    pub addresses: Vec<Cidr>,
    /// Pairs of latitude and longitude in degrees.
    #[serde(default)]
    pub locations: Vec<[f64; 2]>,
    /// Radius of each location in kilometres; 5 when absent.
    #[serde(default)]
    pub accuracy_km: Option<f32>,
}

/// A network in CIDR notation, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr(pub IpNet);

impl std::str::FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if let Ok(network) = text.parse::<IpNet>() {
            return Ok(Self(network.trunc()));
        }
        text.parse::<IpAddr>()
            .map(|address| Self(address.into()))
            .map_err(|_| InvalidCidr(text.into()))
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(CidrVisitor)
    }
}

struct CidrVisitor;

impl Visitor<'_> for CidrVisitor {
    type Value = Cidr;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an address or a network such as 192.0.2.0/24")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cidr, E> {
        text.parse().map_err(E::custom)
    }
}

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a network; write it like 192.0.2.0/24 or 2001:db8::/32")]
pub struct InvalidCidr(pub Box<str>);

/// An entry of `trusted_proxies`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedProxy {
    /// Peers in this network.
    Network(IpNet),
    /// Peers on a unix socket, which have no address: written `unix:`.
    Unix,
}

impl<'de> Deserialize<'de> for TrustedProxy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim() == "unix:" {
            return Ok(Self::Unix);
        }
        text.parse::<Cidr>()
            .map(|cidr| Self::Network(cidr.0))
            .map_err(D::Error::custom)
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Cidr>, D::Error> {
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<Cidr>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a network such as 192.0.2.0/24 or a list of them")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            CidrVisitor.visit_str(text).map(|cidr| vec![cidr])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
            let mut cidrs = Vec::new();
            while let Some(cidr) = sequence.next_element()? {
                cidrs.push(cidr);
            }
            Ok(cidrs)
        }
    }

    deserializer.deserialize_any(OneOrMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_section_is_understood() {
        let settings: EnrichSettings = toml::from_str(
            r#"
            trusted_proxies = ["10.0.0.0/8", "2001:db8::1", "unix:"]
            geoip.city = "/var/lib/geoip/city.mmdb"
            [[networks]]
            cidr = "203.0.113.7/24"
            kind = "vpn"
            name = "company vpn"
            [[networks]]
            cidrs = ["198.51.100.0/24", "2001:db8:1::/48"]
            kind = "corporate"
            latitude = 50.1
            longitude = 14.4
            [[sites]]
            name = "Example University"
            realm = "example.edu"
            addresses = "192.0.2.0/24"
            locations = [[50.0, 14.0], [49.0, 16.0]]
            "#,
        )
        .unwrap();
        assert_eq!(settings.trusted_proxies.len(), 3);
        assert_eq!(settings.trusted_proxies[2], TrustedProxy::Unix);
        assert_eq!(
            settings.networks[0].cidrs,
            ["203.0.113.0/24".parse().unwrap()]
        );
        assert_eq!(settings.networks[1].cidrs.len(), 2);
        assert_eq!(settings.sites[0].locations.len(), 2);
        assert!(settings.geoip.reload);
    }

    #[test]
    fn mistakes_are_named() {
        let complaint = |text: &str| {
            toml::from_str::<EnrichSettings>(text)
                .unwrap_err()
                .to_string()
        };
        assert!(complaint("trusted_proxy = []").contains("trusted_proxy"));
        assert!(complaint("trusted_proxies = ['10.0.0.0/40']").contains("10.0.0.0/40"));
        assert!(complaint("[[networks]]\ncidr = '10.0.0.0/8'\nkind = 'wifi'").contains("wifi"));
        assert!(complaint("[[networks]]\nkind = 'vpn'").contains("cidrs"));
    }
}
