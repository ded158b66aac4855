//! The world events happen in: cities, providers, networks and what a
//! geographic database believes of them.
//!
//! Addresses are of 240.0.0.0/4 and 2001:db8::/32, which are nobody's. Places
//! of cities are real, to about ten kilometres; providers are invented.

use rule_sdk::detection::NetworkKind;

use crate::random::Random;

/// A city.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct City {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Two ISO letters.
    pub country: [u8; 2],
}

const fn city(latitude: f64, longitude: f64, country: [u8; 2]) -> City {
    City {
        latitude,
        longitude,
        country,
    }
}

/// Cities people live in, grouped by country so that domestic journeys exist.
pub const CITIES: [City; 56] = [
    city(50.09, 14.42, *b"CZ"),
    city(49.20, 16.61, *b"CZ"),
    city(49.83, 18.28, *b"CZ"),
    city(49.75, 13.38, *b"CZ"),
    city(49.59, 17.25, *b"CZ"),
    city(52.52, 13.40, *b"DE"),
    city(48.14, 11.58, *b"DE"),
    city(53.55, 10.00, *b"DE"),
    city(50.94, 6.96, *b"DE"),
    city(50.11, 8.68, *b"DE"),
    city(48.86, 2.35, *b"FR"),
    city(45.76, 4.84, *b"FR"),
    city(43.30, 5.37, *b"FR"),
    city(44.84, -0.58, *b"FR"),
    city(51.51, -0.13, *b"GB"),
    city(55.95, -3.19, *b"GB"),
    city(53.48, -2.24, *b"GB"),
    city(52.49, -1.89, *b"GB"),
    city(52.23, 21.01, *b"PL"),
    city(50.06, 19.94, *b"PL"),
    city(54.35, 18.65, *b"PL"),
    city(48.21, 16.37, *b"AT"),
    city(47.07, 15.44, *b"AT"),
    city(47.80, 13.04, *b"AT"),
    city(48.15, 17.11, *b"SK"),
    city(48.72, 21.26, *b"SK"),
    city(41.90, 12.50, *b"IT"),
    city(45.46, 9.19, *b"IT"),
    city(40.85, 14.27, *b"IT"),
    city(40.42, -3.70, *b"ES"),
    city(41.39, 2.17, *b"ES"),
    city(37.39, -5.98, *b"ES"),
    city(40.71, -74.01, *b"US"),
    city(34.05, -118.24, *b"US"),
    city(41.88, -87.63, *b"US"),
    city(29.76, -95.37, *b"US"),
    city(47.61, -122.33, *b"US"),
    city(25.76, -80.19, *b"US"),
    city(43.65, -79.38, *b"CA"),
    city(49.28, -123.12, *b"CA"),
    city(-23.55, -46.63, *b"BR"),
    city(-22.91, -43.17, *b"BR"),
    city(19.08, 72.88, *b"IN"),
    city(28.61, 77.21, *b"IN"),
    city(12.97, 77.59, *b"IN"),
    city(35.68, 139.69, *b"JP"),
    city(34.69, 135.50, *b"JP"),
    city(-33.87, 151.21, *b"AU"),
    city(-37.81, 144.96, *b"AU"),
    city(-36.85, 174.76, *b"NZ"),
    city(-18.14, 178.44, *b"FJ"),
    city(6.52, 3.38, *b"NG"),
    city(9.06, 7.50, *b"NG"),
    city(55.76, 37.62, *b"RU"),
    city(39.90, 116.41, *b"CN"),
    city(31.23, 121.47, *b"CN"),
];

const EARTH_RADIUS_KM: f64 = 6371.0;

impl City {
    /// Great-circle distance in kilometres.
    #[must_use]
    pub fn distance_km(&self, other: &Self) -> f64 {
        let (a, b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let longitude = (other.longitude - self.longitude).to_radians();
        let cosine = a.sin() * b.sin() + a.cos() * b.cos() * longitude.cos();
        EARTH_RADIUS_KM * cosine.clamp(-1.0, 1.0).acos()
    }

    /// A place `km` away in a random direction.
    #[must_use]
    pub fn away(&self, km: f64, random: &mut Random) -> Self {
        let direction = random.between(0.0, std::f64::consts::TAU);
        let north = km * direction.cos() / 111.2;
        let east = km * direction.sin() / (111.2 * self.latitude.to_radians().cos().max(0.1));
        let longitude = (self.longitude + east + 540.0).rem_euclid(360.0) - 180.0;
        Self {
            latitude: (self.latitude + north).clamp(-89.0, 89.0),
            longitude,
            country: self.country,
        }
    }

    /// Cities whose distance lies within bounds, of this country or of others.
    #[must_use]
    pub fn others(&self, abroad: bool, least_km: f64, most_km: f64) -> Vec<Self> {
        let fits = |city: &&Self| {
            let distance = self.distance_km(city);
            (city.country != self.country) == abroad && distance >= least_km && distance <= most_km
        };
        CITIES.iter().filter(fits).copied().collect()
    }
}

/// A network as the enrichment of a sidecar describes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Network {
    /// Where it truly is.
    pub city: City,
    /// Its first address, as two halves.
    pub base: (u64, u64),
    /// What the database says: degrees north, degrees east, kilometres.
    pub record: Option<(f64, f64, f32)>,
    /// Country of the record.
    pub country: [u8; 2],
    /// Autonomous system.
    pub as_number: u32,
    /// Kind of network.
    pub kind: NetworkKind,
}

impl Network {
    /// An address within the network.
    #[must_use]
    pub fn address(&self, host: u64) -> (u64, u64) {
        match self.base {
            (0, low) => (0, low | (host % 254 + 1)),
            (high, _) => (high, host | 1),
        }
    }
}

/// Makes networks, each with addresses of its own.
#[derive(Debug, Clone)]
pub struct World {
    random: Random,
    next: u64,
    grossly_wrong: f64,
}

impl World {
    /// A world for a seed.
    #[must_use]
    pub fn new(random: Random) -> Self {
        Self {
            random,
            next: 0,
            grossly_wrong: 0.0,
        }
    }

    /// The same world with databases that place this share of its fixed lines
    /// in another town of the country, as real ones do.
    #[must_use]
    pub fn with_grossly_wrong(self, share: f64) -> Self {
        Self {
            grossly_wrong: share,
            ..self
        }
    }

    fn fresh_v4(&mut self) -> (u64, u64) {
        self.next += 1;
        (0, 0xffff_f000_0000 | ((self.next & 0xf_ffff) << 8))
    }

    fn fresh_v6(&mut self) -> (u64, u64) {
        self.next += 1;
        (0x2001_0db8_0000_0000 | ((self.next & 0xffff) << 16), 0)
    }

    fn provider(&mut self, country: [u8; 2], kind: NetworkKind, of: usize) -> u32 {
        let [a, b] = country.map(u32::from);
        let number = u32::try_from(self.random.below(of)).unwrap_or(0);
        4_200_000_000 + (a * 256 + b) * 64 + (kind as u32) * 4 + number
    }

    /// What a database makes of a place: mostly within its radius, sometimes
    /// beyond it, now and then another town of the country, or nothing.
    fn record(&mut self, city: City) -> Option<(f64, f64, f32)> {
        const RADII: [f32; 6] = [5.0, 10.0, 20.0, 50.0, 100.0, 200.0];
        const WEIGHTS: [f64; 6] = [0.2, 0.2, 0.25, 0.2, 0.1, 0.05];
        let random = &mut self.random;
        let radius = RADII
            .get(random.weighted(&WEIGHTS))
            .copied()
            .unwrap_or(50.0);
        let reach = f64::from(radius);
        let place = match random.weighted(&[0.76, 0.19, self.grossly_wrong, 0.03, 0.02]) {
            0 => {
                let off = random.between(0.0, 0.8 * reach);
                city.away(off, random)
            }
            1 => {
                let off = random.between(0.8 * reach, 1.5 * reach);
                city.away(off, random)
            }
            2 => random.pick(&city.others(false, 1.0, 1e9), city),
            3 => return None,
            _ => return Some((city.latitude + 1.0, city.longitude + 1.0, 800.0)),
        };
        Some((place.latitude, place.longitude, radius))
    }

    /// A fixed line or a small business in a city.
    pub fn fixed(&mut self, city: City) -> Network {
        let kind = if self.random.chance(0.3) {
            NetworkKind::Residential
        } else {
            NetworkKind::Unknown
        };
        let as_number = self.provider(city.country, NetworkKind::Unknown, 3);
        let (base, record) = (self.fresh_v4(), self.record(city));
        Network {
            city,
            base,
            record,
            country: city.country,
            as_number,
            kind,
        }
    }

    /// A fixed line whose place the databases know: what nobody knows nobody
    /// can be blamed for missing.
    pub fn placed(&mut self, city: City) -> Network {
        let mut network = self.fixed(city);
        while network.record.is_none_or(|(_, _, radius)| radius > 200.0) {
            network.record = self.record(city);
        }
        network
    }

    /// The IPv6 side of a fixed line, with a record of its own.
    pub fn sixth(&mut self, network: &Network) -> Network {
        let (base, record) = (self.fresh_v6(), self.record(network.city));
        Network {
            base,
            record,
            ..*network
        }
    }

    /// A network of a stated kind whose database record is the place itself:
    /// a data centre, a tunnel's exit, a carrier's gateway, an office's egress.
    pub fn exit(&mut self, city: City, kind: NetworkKind) -> Network {
        let as_number = self.provider(city.country, kind, 2);
        let radius = self.random.pick(&[5.0, 20.0, 50.0], 20.0);
        let base = self.fresh_v4();
        Network {
            city,
            base,
            record: Some((city.latitude, city.longitude, radius)),
            country: city.country,
            as_number,
            kind,
        }
    }

    /// A fixed site: its coordinates are exact and it shows no address.
    pub fn site(&mut self, city: City) -> Network {
        let place = city.away(self.random.between(0.0, 6.0), &mut self.random);
        Network {
            city: place,
            base: (0, 0),
            record: Some((place.latitude, place.longitude, 1.0)),
            country: place.country,
            as_number: 0,
            kind: NetworkKind::Site,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_network_has_addresses_of_its_own() {
        let mut world = World::new(Random::new(1));
        let home = CITIES[0];
        let (a, b) = (world.fixed(home), world.fixed(home));
        assert_ne!(a.base, b.base);
        assert_eq!(a.address(7).1 >> 8, a.base.1 >> 8);
        assert_ne!(a.address(7), a.address(8));
        assert_eq!(world.sixth(&a).as_number, a.as_number);
        assert!(world.sixth(&a).base.0 != 0);
    }

    #[test]
    fn distances_and_directions_agree() {
        let mut random = Random::new(2);
        for city in CITIES {
            let there = city.away(80.0, &mut random);
            assert!((city.distance_km(&there) - 80.0).abs() < 3.0, "{city:?}");
        }
        assert!(
            CITIES[0]
                .others(false, 1.0, 1e9)
                .iter()
                .all(|city| city.country == *b"CZ")
        );
        assert!(
            CITIES[0]
                .others(true, 1.0, 300.0)
                .iter()
                .all(|city| city.country != *b"CZ")
        );
    }
}
