//! Whole events through a whole enricher, with databases written on the spot.

use std::path::Path;
use std::time::{Duration, SystemTime};

use sidewatch_event::Location;

use super::*;
use crate::mmdb_writer::{Value, Writer, anonymous_record, as_record, city_record};

const KEY: [u8; 16] = *b"0123456789abcdef";
const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36";

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn city_database() -> Writer {
    Writer::new("Example-City")
        .built(1_700_000_000)
        .insert(
            net("198.51.100.0/24"),
            city_record("CZ", "Praha", "Praha", Some((50.08, 14.43)), 20),
        )
        .insert(
            net("2001:db8::/32"),
            city_record("CZ", "Jihomoravský kraj", "Brno", Some((49.2, 16.6)), 30),
        )
        .insert(
            net("203.0.113.0/25"),
            city_record("US", "", "", Some((37.751, -97.822)), 1000),
        )
        .insert(
            net("203.0.113.128/26"),
            city_record("US", "", "", Some((0.0, 0.0)), 10),
        )
        .insert(
            net("203.0.113.192/26"),
            city_record("FR", "", "Paris", Some((f64::NAN, 2.0)), 10),
        )
}

struct Fixture {
    directory: tempfile::TempDir,
    settings: EnrichSettings,
}

impl Fixture {
    fn new(more: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let asn = Writer::new("Example-ASN")
            .insert(
                net("198.51.100.0/24"),
                as_record(64500, "Example University"),
            )
            .insert(net("203.0.113.0/24"), as_record(14593, "SPACEX-STARLINK"));
        let anonymous = Writer::new("Example-Anonymous-IP").insert(
            net("198.51.100.66/32"),
            anonymous_record(&["is_anonymous", "is_anonymous_vpn"]),
        );
        replace(
            &directory.path().join("city.mmdb"),
            &city_database().to_bytes().unwrap(),
        );
        replace(&directory.path().join("asn.mmdb"), &asn.to_bytes().unwrap());
        replace(
            &directory.path().join("anonymous.mmdb"),
            &anonymous.to_bytes().unwrap(),
        );
        let mut settings: EnrichSettings = toml::from_str(more).unwrap();
        settings.geoip.city = Some(directory.path().join("city.mmdb"));
        settings.geoip.asn = Some(directory.path().join("asn.mmdb"));
        settings.geoip.anonymous = Some(directory.path().join("anonymous.mmdb"));
        Self {
            directory,
            settings,
        }
    }

    fn enricher(&self) -> Enricher {
        Enricher::new(&self.settings, KEY).unwrap()
    }
}

/// Replaces a file as an operator should: by renaming a complete one over it.
fn replace(path: &Path, bytes: &[u8]) {
    let complete = path.with_extension("new");
    std::fs::write(&complete, bytes).unwrap();
    std::fs::rename(&complete, path).unwrap();
}

fn from(address: &str) -> Event {
    let mut event = Event::new();
    event.peer_ip = Some(address.parse().unwrap());
    event.set(Field::UserAgentOriginal, CHROME);
    event.set(Field::UserName, "zoe");
    event
}

fn enriched(enricher: &mut Enricher, mut event: Event) -> Event {
    enricher.enrich(&mut event);
    event
}

#[test]
fn an_event_gets_everything_the_databases_know() {
    let mut enricher = Fixture::new("").enricher();
    let event = enriched(&mut enricher, from("198.51.100.7"));
    assert_eq!(event.source_ip, event.peer_ip);
    assert_eq!(event.get(Field::SourceGeoCityName), Some("Praha"));
    assert_eq!(event.get(Field::SourceGeoCountryIsoCode), Some("CZ"));
    assert_eq!(
        event.location,
        Some(Location {
            latitude: 50.08,
            longitude: 14.43,
            accuracy_km: 20.0
        })
    );
    assert_eq!(event.as_number, 64500);
    assert_eq!(
        event.get(Field::SourceAsOrganizationName),
        Some("Example University")
    );
    assert_eq!(event.network_kind, NetworkKind::Unknown);
    assert_eq!(event.get(Field::UserAgentName), Some("Chrome"));
    assert_eq!(event.get(Field::DeviceType), Some("desktop"));
    assert_eq!(event.keys.user, KeyHasher::new(KEY).user("zoe"));
    assert_ne!(event.keys.user_agent, 0);
}

#[test]
fn both_families_of_one_device_are_located() {
    let mut enricher = Fixture::new("").enricher();
    assert_eq!(
        enriched(&mut enricher, from("2001:db8::7")).get(Field::SourceGeoCityName),
        Some("Brno")
    );
    assert_eq!(
        enriched(&mut enricher, from("::ffff:198.51.100.7")).get(Field::SourceGeoCityName),
        Some("Praha")
    );
}

#[test]
fn vague_and_broken_places_are_told_apart() {
    let mut enricher = Fixture::new("").enricher();
    let whole_country = enriched(&mut enricher, from("203.0.113.1"));
    assert_eq!(
        whole_country.location.map(|location| location.accuracy_km),
        Some(1000.0)
    );
    assert_eq!(
        enriched(&mut enricher, from("203.0.113.130")).location,
        None
    );
    let not_a_number = enriched(&mut enricher, from("203.0.113.200"));
    assert_eq!(not_a_number.location, None);
    assert_eq!(not_a_number.get(Field::SourceGeoCityName), Some("Paris"));
}

#[test]
fn kinds_come_from_system_flag_and_reserved_space() {
    let mut enricher = Fixture::new("").enricher();
    for (address, kind) in [
        ("203.0.113.1", NetworkKind::Satellite),
        ("198.51.100.66", NetworkKind::Vpn),
        ("192.168.1.1", NetworkKind::Private),
        ("fd00::1", NetworkKind::Private),
        ("192.0.2.1", NetworkKind::Unknown),
    ] {
        assert_eq!(
            enriched(&mut enricher, from(address)).network_kind,
            kind,
            "{address}"
        );
    }
}

const LOCAL_KNOWLEDGE: &str = r#"
    trusted_proxies = ["10.0.0.0/8"]
    [[networks]]
    cidr = "198.51.100.0/24"
    kind = "corporate"
    name = "head office"
    [[networks]]
    cidr = "10.9.0.0/16"
    kind = "corporate"
    name = "branch"
    latitude = 49.2
    longitude = 16.6
    accuracy_km = 2
    [[sites]]
    name = "Example University"
    realm = "example.edu"
    addresses = ["198.51.100.128/25"]
    locations = [[50.1, 14.4], [49.7, 13.4]]
"#;

#[test]
fn the_operator_knows_best_by_longest_prefix() {
    let mut enricher = Fixture::new(LOCAL_KNOWLEDGE).enricher();
    let office = enriched(&mut enricher, from("198.51.100.7"));
    assert_eq!(office.network_kind, NetworkKind::Corporate);
    assert_eq!(office.label(NETWORK_NAME_LABEL), Some("head office"));
    assert_eq!(office.get(Field::SourceGeoCityName), Some("Praha"));
    let branch = enriched(&mut enricher, from("10.9.1.1"));
    assert_eq!(branch.network_kind, NetworkKind::Corporate);
    assert_eq!(
        branch.location.map(|location| location.latitude),
        Some(49.2)
    );
    let campus = enriched(&mut enricher, from("198.51.100.200"));
    assert_eq!(campus.network_kind, NetworkKind::Site);
    assert_eq!(campus.get(Field::SidewatchSite), Some("Example University"));
    assert_eq!(campus.get(Field::SourceGeoCityName), None);
    assert!(campus.location.unwrap().accuracy_km > 35.0);
}

#[test]
fn a_named_site_beats_the_address_and_the_home_realm_says_nothing() {
    let mut enricher = Fixture::new(LOCAL_KNOWLEDGE).enricher();
    let mut roaming = Event::new();
    roaming.set(Field::SidewatchSite, "EXAMPLE.edu");
    roaming.set(Field::UserDomain, "elsewhere.example");
    let roaming = enriched(&mut enricher, roaming);
    assert_eq!(
        roaming.get(Field::SidewatchSite),
        Some("Example University")
    );
    assert_eq!(roaming.network_kind, NetworkKind::Site);
    assert!(roaming.location.is_some());

    let mut abroad = Event::new();
    abroad.set(Field::SidewatchSite, "unlisted.example");
    abroad.set(Field::UserDomain, "example.edu");
    let abroad = enriched(&mut enricher, abroad);
    assert_eq!(
        (abroad.network_kind, abroad.location),
        (NetworkKind::Unknown, None)
    );
    assert_eq!(abroad.get(Field::SidewatchSite), Some("unlisted.example"));
}

#[test]
fn what_the_source_states_is_kept_and_enriching_twice_changes_nothing() {
    let mut enricher = Fixture::new(LOCAL_KNOWLEDGE).enricher();
    let mut event = from("10.0.0.1");
    event.set(Field::HttpRequestForwarded, "6.6.6.6, 198.51.100.7");
    event.set(Field::SourceGeoCityName, "Plzeň");
    event.location = Some(Location {
        latitude: 49.7,
        longitude: 13.4,
        accuracy_km: 1.0,
    });
    let once = enriched(&mut enricher, event);
    assert_eq!(once.source_ip, Some("198.51.100.7".parse().unwrap()));
    assert_eq!(once.peer_ip, Some("10.0.0.1".parse().unwrap()));
    assert_eq!(once.label(IP_SOURCE_LABEL), Some("x-forwarded-for"));
    assert_eq!(once.get(Field::SourceGeoCityName), Some("Plzeň"));
    assert_eq!(
        once.location.map(|location| location.accuracy_km),
        Some(1.0)
    );
    let twice = enriched(&mut enricher, once.clone());
    assert_eq!(
        format!("{:?}", once.fields().collect::<Vec<_>>()),
        format!("{:?}", twice.fields().collect::<Vec<_>>())
    );
    assert_eq!(
        (once.source_ip, once.keys, once.location),
        (twice.source_ip, twice.keys, twice.location)
    );
}

#[test]
fn a_placeholder_user_agent_and_an_empty_event_add_nothing() {
    let mut enricher = Fixture::new("").enricher();
    let mut event = Event::new();
    event.set(Field::UserAgentOriginal, "-");
    let event = enriched(&mut enricher, event);
    assert_eq!(event.keys, sidewatch_event::Keys::default());
    assert_eq!(
        (
            event.source_ip,
            event.location,
            event.get(Field::UserAgentName)
        ),
        (None, None, None)
    );
}

#[test]
fn a_replaced_database_takes_effect_in_every_worker() {
    let fixture = Fixture::new("");
    let mut first = fixture.enricher();
    let mut second = first.clone_for_worker();
    assert_eq!(first.check_reload(), []);
    assert_eq!(
        enriched(&mut second, from("198.51.100.7")).get(Field::SourceGeoCityName),
        Some("Praha")
    );
    let path = fixture.directory.path().join("city.mmdb");
    let moved = Writer::new("Example-City").built(1_800_000_000).insert(
        net("198.51.100.0/24"),
        city_record("AT", "Wien", "Wien", Some((48.2, 16.4)), 20),
    );
    replace(&path, &moved.to_bytes().unwrap());
    let expected = ReloadOutcome {
        path,
        kind: DatabaseKind::City,
        result: Ok(1_800_000_000),
    };
    assert_eq!(first.check_reload(), [expected]);
    assert_eq!(first.check_reload(), []);
    for enricher in [&mut first, &mut second] {
        assert_eq!(
            enriched(enricher, from("198.51.100.7")).get(Field::SourceGeoCityName),
            Some("Wien")
        );
    }
}

#[test]
fn a_broken_or_missing_replacement_keeps_the_old_database_and_says_so_once() {
    let fixture = Fixture::new("");
    let mut enricher = fixture.enricher();
    let path = fixture.directory.path().join("city.mmdb");
    let sound = std::fs::read(&path).unwrap();
    replace(&path, sound.get(..sound.len() / 2).unwrap());
    let outcomes = enricher.check_reload();
    assert!(
        outcomes[0].result.as_ref().unwrap_err().contains("sound"),
        "{outcomes:?}"
    );
    assert_eq!(enricher.check_reload(), []);
    std::fs::remove_file(&path).unwrap();
    assert!(enricher.check_reload()[0].result.is_err());
    assert_eq!(enricher.check_reload(), []);
    assert_eq!(
        enriched(&mut enricher, from("198.51.100.7")).get(Field::SourceGeoCityName),
        Some("Praha")
    );
    assert!(
        enricher
            .databases()
            .iter()
            .any(|status| status.error.is_some())
    );
    replace(&path, &sound);
    assert!(enricher.check_reload()[0].result.is_ok());
    assert!(
        enricher
            .databases()
            .iter()
            .all(|status| status.error.is_none())
    );
}

#[test]
fn reloading_can_be_switched_off() {
    let mut fixture = Fixture::new("");
    fixture.settings.geoip.reload = false;
    let enricher = fixture.enricher();
    std::fs::remove_file(fixture.directory.path().join("city.mmdb")).unwrap();
    assert_eq!(enricher.check_reload(), []);
}

#[test]
fn unusable_databases_are_named_at_the_start() {
    let complaint =
        |settings: &EnrichSettings| Enricher::new(settings, KEY).unwrap_err().to_string();
    let mut fixture = Fixture::new("");
    let city = fixture.directory.path().join("city.mmdb");
    fixture.settings.geoip.city = Some(fixture.directory.path().join("asn.mmdb"));
    assert!(complaint(&fixture.settings).contains("Example-ASN"));
    fixture.settings.geoip.city = Some(city.clone());
    std::fs::write(&city, b"no database").unwrap();
    assert!(complaint(&fixture.settings).contains("city.mmdb"));
    std::fs::remove_file(&city).unwrap();
    assert!(complaint(&fixture.settings).contains("city.mmdb"));
}

#[test]
fn the_summary_tells_kind_build_time_and_age() {
    let status = Fixture::new("").enricher().databases();
    assert_eq!(status.len(), 3);
    let city = status
        .iter()
        .find(|status| status.kind == DatabaseKind::City)
        .unwrap();
    assert_eq!((city.build_epoch, &city.error), (1_700_000_000, &None));
    let age = SystemTime::UNIX_EPOCH.elapsed().unwrap() - Duration::from_secs(1_700_000_000);
    assert!(city.age.abs_diff(age) < Duration::from_secs(600));
}

#[test]
fn an_address_is_described_in_words() {
    let enricher = Fixture::new(LOCAL_KNOWLEDGE).enricher();
    let described = enricher.describe_address("::ffff:198.51.100.200".parse().unwrap());
    assert_eq!(described.country.as_deref(), Some("CZ"));
    assert_eq!(described.as_name.as_deref(), Some("Example University"));
    assert_eq!(described.network_kind, NetworkKind::Site);
    assert_eq!(
        described.network_name.as_deref(),
        Some("Example University")
    );
}

#[test]
fn every_decision_is_explained() {
    let mut enricher = Fixture::new(LOCAL_KNOWLEDGE).enricher();
    let mut event = from("10.0.0.1");
    event.set(Field::HttpRequestForwarded, "203.0.113.1");
    let text = |lines: Vec<(String, String)>, subject: &str| {
        lines
            .into_iter()
            .find(|(name, _)| name == subject)
            .map(|(_, words)| words)
            .unwrap_or_default()
    };
    let words = |enricher: &mut Enricher, event: &Event, subject: &str| {
        text(enricher.explain(event), subject)
    };
    let client = words(&mut enricher, &event, "client address");
    assert!(
        client.contains("203.0.113.1") && client.contains("hop 1"),
        "{client}"
    );
    let kind = words(&mut enricher, &event, "network kind");
    assert!(
        kind.contains("satellite") && kind.contains("Starlink"),
        "{kind}"
    );
    assert!(words(&mut enricher, &event, "databases").contains("city.mmdb"));
    let mut direct = from("203.0.113.9");
    direct.set(Field::HttpRequestForwarded, "198.51.100.1");
    direct.set(Field::UserName, "-");
    assert!(words(&mut enricher, &direct, "client address").contains("ignored"));
    assert!(words(&mut enricher, &direct, "user key").contains("none"));
}

#[test]
fn names_and_codes_of_places_are_those_of_the_database() {
    let names = |text: &str| ("names", Value::map([("en", Value::from(text))]));
    let coded = |code: &str, name| Value::map([("iso_code", Value::from(code)), names(name)]);
    let record = |region: &str| {
        Value::map([
            ("continent", Value::map([names("Europe")])),
            ("country", coded("CZ", "Czechia")),
            (
                "subdivisions",
                Value::array([coded(region, "Jihomoravský kraj")]),
            ),
        ])
    };
    let fixture = Fixture::new("");
    let database = Writer::new("Example-City")
        .insert(net("198.51.100.0/24"), record("64"))
        .insert(net("203.0.113.0/24"), record("6\n4"));
    replace(
        &fixture.directory.path().join("city.mmdb"),
        &database.to_bytes().unwrap(),
    );
    let mut enricher = fixture.enricher();
    let event = enriched(&mut enricher, from("198.51.100.7"));
    for (field, text) in [
        (Field::SourceGeoContinentName, "Europe"),
        (Field::SourceGeoCountryIsoCode, "CZ"),
        (Field::SourceGeoCountryName, "Czechia"),
        (Field::SourceGeoRegionIsoCode, "CZ-64"),
        (Field::SourceGeoRegionName, "Jihomoravský kraj"),
    ] {
        assert_eq!(event.get(field), Some(text));
    }
    let event = enriched(&mut enricher, from("203.0.113.7"));
    assert_eq!(event.get(Field::SourceGeoRegionIsoCode), None);
}
