//! Events like a day of a Mattermost-like site, and the real table.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;
use sidewatch_event::{Event, Field, Location, NetworkKind};

/// The table of the Mattermost pack.
pub(crate) fn table() -> Value {
    toml::from_str(include_str!(
        "../../../../rules/packs/mattermost/mapping.toml"
    ))
    .unwrap()
}

/// splitmix64: the same events on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

const REQUESTS: [(&str, &str, u16); 8] = [
    (
        "GET",
        "/api/v4/channels/4xp9fdt77pncbef59f4k1qe83o/posts",
        200,
    ),
    ("POST", "/api/v4/posts", 201),
    ("GET", "/api/v4/users/me", 200),
    ("POST", "/api/v4/users/login", 200),
    ("POST", "/api/v4/users/login", 401),
    ("GET", "/api/v4/files/9xp9fdt77pncbef59f4k1qe83o", 200),
    ("GET", "/api/v4/websocket", 101),
    (
        "PUT",
        "/api/v4/channels/4xp9fdt77pncbef59f4k1qe83o/members",
        403,
    ),
];

/// Places of 16 cities on three continents.
const PLACES: [(f64, f64); 16] = [
    (50.08, 14.42),
    (49.19, 16.61),
    (52.52, 13.40),
    (38.72, -9.14),
    (48.86, 2.35),
    (41.90, 12.50),
    (59.91, 10.75),
    (60.17, 24.94),
    (40.71, -74.0),
    (37.77, -122.4),
    (1.35, 103.8),
    (-33.87, 151.2),
    (35.68, 139.7),
    (-23.55, -46.6),
    (19.43, -99.1),
    (51.51, -0.13),
];

/// One day's events in order of time: users mostly stay where they live, some
/// have a phone too, a few travel.
pub(crate) fn events(count: usize) -> Vec<Box<Event>> {
    let mut random = Random(7);
    (0..count)
        .map(|at| {
            let user = 1 + random.below(1000);
            let place = if random.below(400) == 0 {
                random.below(16)
            } else {
                user % 16
            };
            let phone = random.below(4) == 0;
            let (method, path, status) = REQUESTS[random.below(8) as usize];
            let mut event = Box::new(Event::new());
            event.time = 1_772_438_400_000 + at as i64 * 20_000;
            event.status = status;
            event.keys.user = user.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            event.keys.session = event.keys.user ^ u64::from(phone);
            event.keys.user_agent = 11 + u64::from(phone);
            let (latitude, longitude) = PLACES[place as usize];
            event.location = Some(Location {
                latitude,
                longitude,
                accuracy_km: 20.0,
            });
            event.as_number = 64_496 + place as u32;
            event.network_kind = if phone {
                NetworkKind::Mobile
            } else {
                NetworkKind::Residential
            };
            event.source_ip = Some(IpAddr::V4(Ipv4Addr::new(
                198,
                51,
                place as u8 + u8::from(phone) * 100,
                (user % 250) as u8,
            )));
            event.set(Field::EventDataset, "mattermost.access");
            event.set(Field::HttpRequestMethod, method);
            event.set(Field::UrlOriginal, path);
            event.set(Field::UrlPath, path);
            event.set(
                Field::HttpRequestReferrer,
                "https://chat.example.org/team/channels/town-square",
            );
            event.set(
                Field::UserAgentOriginal,
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            );
            event.set(
                Field::UserAgentName,
                if phone {
                    "Mattermost Mobile"
                } else {
                    "Firefox"
                },
            );
            event.set(
                Field::UserAgentOsName,
                if phone { "Android" } else { "Linux" },
            );
            event.set(Field::SourceGeoCountryIsoCode, "CZ");
            event.set(Field::SourceGeoCityName, "Prague");
            event.set(Field::SourceAsOrganizationName, "Example Net");
            event.set(Field::UserName, "user");
            event
        })
        .collect()
}
