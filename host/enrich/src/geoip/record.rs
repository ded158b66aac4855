//! The few members of a database record that are used, and their meaning.

use std::fmt;
use std::marker::PhantomData;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sidewatch_event::Location;

use super::Database;
use crate::geometry::checked_location;

/// Radii assumed when a record has coordinates but no radius, by the finest
/// level it names, in kilometres.
const CITY_RADIUS_KM: f32 = 50.0;
const REGION_RADIUS_KM: f32 = 200.0;
const COUNTRY_RADIUS_KM: f32 = 1000.0;

/// Where a database puts an address.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Place<'a> {
    pub(crate) continent: Option<&'a str>,
    pub(crate) country: Option<&'a str>,
    pub(crate) country_name: Option<&'a str>,
    /// The part of ISO 3166-2 behind the country.
    pub(crate) region_code: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) city: Option<&'a str>,
    /// Whole-country records keep their radius, however large.
    pub(crate) location: Option<Location>,
    /// The record itself says satellite provider.
    pub(crate) satellite: bool,
    /// The record itself says anonymous proxy.
    pub(crate) proxy: bool,
}

/// Who announces an address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AutonomousSystem<'a> {
    pub(crate) number: u32,
    pub(crate) name: Option<&'a str>,
}

/// What an anonymous-address database says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Anonymity {
    #[serde(rename = "is_tor_exit_node")]
    pub(crate) tor: bool,
    #[serde(rename = "is_anonymous_vpn")]
    pub(crate) vpn: bool,
    #[serde(rename = "is_public_proxy")]
    pub(crate) public_proxy: bool,
    #[serde(rename = "is_residential_proxy")]
    pub(crate) residential_proxy: bool,
    #[serde(rename = "is_hosting_provider")]
    pub(crate) hosting: bool,
    #[serde(rename = "is_anonymous")]
    pub(crate) anonymous: bool,
}

impl Database {
    /// Asks a city or country database.
    pub(crate) fn place<'a>(&'a self, address: IpAddr) -> Option<Place<'a>> {
        let record: CityRecord<'a> = self.record(address)?;
        let [city, continent, subdivision, country] = [
            record.city,
            record.continent,
            record.subdivisions.0,
            record.country,
        ]
        .map(Option::unwrap_or_default);
        let region = subdivision.name();
        let city = city.name();
        let code_of = |named: &Named<'a>, lengths: RangeInclusive<usize>| {
            named.iso_code.filter(|code| {
                lengths.contains(&code.len())
                    && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
            })
        };
        let assumed = match (city, region) {
            (Some(_), _) => CITY_RADIUS_KM,
            (None, Some(_)) => REGION_RADIUS_KM,
            (None, None) => COUNTRY_RADIUS_KM,
        };
        let location = record.location.and_then(|location| {
            let radius = location.accuracy_radius.map_or(assumed, f32::from);
            checked_location(location.latitude?, location.longitude?, radius)
        });
        let traits = record.traits.unwrap_or_default();
        Some(Place {
            continent: continent.name(),
            country: code_of(&country, 2..=2)
                .filter(|code| code.bytes().all(|byte| byte.is_ascii_alphabetic())),
            country_name: country.name(),
            region_code: code_of(&subdivision, 1..=3),
            region,
            city,
            location,
            satellite: traits.is_satellite_provider,
            proxy: traits.is_anonymous_proxy,
        })
    }

    /// Asks an autonomous-system database.
    pub(crate) fn autonomous_system(&self, address: IpAddr) -> Option<AutonomousSystem<'_>> {
        let record: AsnRecord<'_> = self.record(address)?;
        Some(AutonomousSystem {
            number: record.autonomous_system_number.unwrap_or(0),
            name: record
                .autonomous_system_organization
                .filter(|name| !name.is_empty()),
        })
    }

    /// Asks an anonymous-address database.
    pub(crate) fn anonymity(&self, address: IpAddr) -> Option<Anonymity> {
        self.record(address)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct CityRecord<'a> {
    #[serde(borrow)]
    continent: Option<Named<'a>>,
    #[serde(borrow)]
    country: Option<Named<'a>>,
    #[serde(borrow)]
    city: Option<Named<'a>>,
    #[serde(borrow)]
    subdivisions: First<Named<'a>>,
    location: Option<Coordinates>,
    traits: Option<Traits>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    iso_code: Option<&'a str>,
    #[serde(borrow)]
    names: Names<'a>,
}

impl<'a> Named<'a> {
    fn name(&self) -> Option<&'a str> {
        self.names.en.filter(|name| !name.is_empty())
    }
}

#[derive(Deserialize, Default)]
struct Names<'a> {
    #[serde(borrow)]
    en: Option<&'a str>,
}

#[derive(Deserialize)]
struct Coordinates {
    latitude: Option<f64>,
    longitude: Option<f64>,
    accuracy_radius: Option<u16>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Traits {
    is_satellite_provider: bool,
    is_anonymous_proxy: bool,
}

#[derive(Deserialize)]
struct AsnRecord<'a> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'a str>,
}

/// The first element of a list: the largest subdivision comes first, and a
/// hostile list of thousands is not collected.
struct First<T>(Option<T>);

impl<T> Default for First<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for First<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FirstOf<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for FirstOf<T> {
            type Value = First<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut sequence: A,
            ) -> Result<Self::Value, A::Error> {
                let first = sequence.next_element()?;
                while sequence.next_element::<IgnoredAny>()?.is_some() {}
                Ok(First(first))
            }
        }

        deserializer.deserialize_seq(FirstOf(PhantomData))
    }
}
