//! Everything known about one address, resolved once and cached.

use std::net::IpAddr;

use sidewatch_event::{Field, Location, NetworkKind};

use crate::geoip::Databases;
use crate::network::{NetworkTable, Reason, kind_from_databases};
use crate::sites::Sites;
use crate::texts::Texts;

/// What enrichment adds to an event of this address.
#[derive(Debug, Clone)]
pub(crate) struct AddressFacts {
    pub(crate) kind: NetworkKind,
    pub(crate) reason: Reason,
    pub(crate) as_number: u32,
    pub(crate) location: Option<Location>,
    /// The operator's name for the network.
    pub(crate) network_name: Option<Box<str>>,
    /// Country, region, city, AS name, site.
    pub(crate) texts: Texts,
}

/// An address in words, for evidence and explanations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AddressDescription {
    /// ISO code of the country.
    pub country: Option<String>,
    /// Largest subdivision.
    pub region: Option<String>,
    /// City.
    pub city: Option<String>,
    /// Coordinates and radius.
    pub location: Option<Location>,
    /// Number of the autonomous system; 0 when unknown.
    pub as_number: u32,
    /// Name of the autonomous system.
    pub as_name: Option<String>,
    /// Kind of network.
    pub network_kind: NetworkKind,
    /// The operator's name for the network, or the site's.
    pub network_name: Option<String>,
}

impl AddressDescription {
    /// Such as `Oslo, NO, AS64500 Example Net, vpn`; nothing when nothing is
    /// known.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        let network = match (self.as_number, self.as_name.as_deref()) {
            (0, _) => None,
            (number, Some(name)) => Some(format!("AS{number} {name}")),
            (number, None) => Some(format!("AS{number}")),
        };
        let kind = self.network_kind.as_str();
        let parts = [
            self.city.clone(),
            self.country.clone(),
            network,
            self.network_name.clone(),
            (kind != "unknown").then(|| kind.to_owned()),
        ];
        let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
        (!text.is_empty()).then_some(text)
    }
}

impl AddressFacts {
    /// Asks the operator's table, the sites and the databases. The address
    /// must be canonical.
    pub(crate) fn resolve(
        address: IpAddr,
        networks: &NetworkTable,
        sites: &Sites,
        databases: &Databases,
    ) -> Self {
        let known = networks.known(address);
        let reserved = networks.reserved(address);
        if known.is_none()
            && let Some(meaning) = reserved
        {
            return Self::bare(NetworkKind::Private, Reason::Reserved(meaning));
        }
        let mut facts = Self::from_databases(address, databases);
        let Some(known) = known else {
            facts.texts.shrink();
            return facts;
        };
        facts.kind = known.kind;
        facts.reason = Reason::Operator(known.network);
        facts.network_name = known.name.clone();
        let site = known.site.and_then(|index| sites.get(index));
        let location = site.map_or(known.location, |site| site.location);
        if location.is_some() {
            // The operator knows better: a city from elsewhere would mislead.
            facts.location = location;
            facts.texts.remove(&[
                Field::SourceGeoCityName,
                Field::SourceGeoRegionIsoCode,
                Field::SourceGeoRegionName,
            ]);
        }
        if let Some(site) = site {
            facts.reason = Reason::Site(known.network);
            facts.texts.push(Field::SidewatchSite, &site.name);
        }
        facts.texts.shrink();
        facts
    }

    fn bare(kind: NetworkKind, reason: Reason) -> Self {
        Self {
            kind,
            reason,
            as_number: 0,
            location: None,
            network_name: None,
            texts: Texts::default(),
        }
    }

    fn from_databases(address: IpAddr, databases: &Databases) -> Self {
        let place = databases
            .city
            .as_ref()
            .and_then(|database| database.place(address));
        let system = databases
            .asn
            .as_ref()
            .and_then(|database| database.autonomous_system(address));
        let anonymity = databases
            .anonymous
            .as_ref()
            .and_then(|database| database.anonymity(address));
        let (kind, reason) = kind_from_databases(anonymity, system, place.as_ref());
        let mut facts = Self::bare(kind, reason);
        let system = system.unwrap_or_default();
        let place = place.unwrap_or_default();
        facts.as_number = system.number;
        facts.location = place.location;
        let region_code = place
            .country
            .zip(place.region_code)
            .map(|(country, region)| format!("{country}-{region}"));
        for (field, text) in [
            (Field::SourceAsOrganizationName, system.name),
            (Field::SourceGeoContinentName, place.continent),
            (Field::SourceGeoCountryIsoCode, place.country),
            (Field::SourceGeoCountryName, place.country_name),
            (Field::SourceGeoRegionIsoCode, region_code.as_deref()),
            (Field::SourceGeoRegionName, place.region),
            (Field::SourceGeoCityName, place.city),
        ] {
            facts.texts.push(field, text.unwrap_or_default());
        }
        facts
    }

    pub(crate) fn describe(&self) -> AddressDescription {
        let text = |field| self.texts.get(field).map(str::to_owned);
        AddressDescription {
            country: text(Field::SourceGeoCountryIsoCode),
            region: text(Field::SourceGeoRegionName),
            city: text(Field::SourceGeoCityName),
            location: self.location,
            as_number: self.as_number,
            as_name: text(Field::SourceAsOrganizationName),
            network_kind: self.kind,
            network_name: self
                .network_name
                .as_deref()
                .map(str::to_owned)
                .or_else(|| text(Field::SidewatchSite)),
        }
    }
}
