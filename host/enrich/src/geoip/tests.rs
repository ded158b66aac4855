//! Databases: read, replaced, broken, of the wrong kind.

use proptest::prelude::*;

use super::*;
use crate::mmdb_writer::{Value, Writer, city_record};

fn sound() -> Vec<u8> {
    Writer::new("Example-City")
        .built(1_700_000_000)
        .insert(
            "198.51.100.0/24".parse().unwrap(),
            city_record("CZ", "Praha", "Praha", Some((50.0, 14.4)), 20),
        )
        .insert(
            "2001:db8::/32".parse().unwrap(),
            city_record("CZ", "", "Brno", Some((49.2, 16.6)), 30),
        )
        .to_bytes()
        .unwrap()
}

fn load(bytes: &[u8], kind: DatabaseKind) -> Result<Database, DatabaseError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("database.mmdb");
    std::fs::write(&path, bytes).unwrap();
    Database::load(&path, kind)
}

fn ask(database: &Database) {
    for address in [
        "198.51.100.7",
        "2001:db8::7",
        "203.0.113.1",
        "::1",
        "0.0.0.0",
    ] {
        let address = address.parse().unwrap();
        if let Some(location) = database.place(address).and_then(|place| place.location) {
            assert!(location.latitude.abs() <= 90.0 && location.longitude.abs() <= 180.0);
        }
        database.autonomous_system(address);
        database.anonymity(address);
    }
}

#[test]
fn a_record_of_the_wrong_shape_is_nothing_known() {
    let odd = Writer::new("Example-City").insert(
        "198.51.100.0/24".parse().unwrap(),
        Value::map([
            ("city", Value::from("Praha")),
            ("location", Value::array([Value::from(1u32)])),
        ]),
    );
    let database = load(&odd.to_bytes().unwrap(), DatabaseKind::City).unwrap();
    assert_eq!(database.place("198.51.100.7".parse().unwrap()), None);
}

#[test]
fn a_country_record_without_radius_is_as_vague_as_a_country() {
    let record = Value::map([
        ("country", Value::map([("iso_code", Value::from("CZ"))])),
        (
            "location",
            Value::map([
                ("latitude", Value::from(49.8)),
                ("longitude", Value::from(15.5)),
            ]),
        ),
    ]);
    let writer = Writer::new("Example-Country").insert("198.51.100.0/24".parse().unwrap(), record);
    let database = load(&writer.to_bytes().unwrap(), DatabaseKind::City).unwrap();
    let location = database
        .place("198.51.100.7".parse().unwrap())
        .unwrap()
        .location
        .unwrap();
    assert_eq!(location.accuracy_km, 1000.0);
}

#[test]
fn a_database_of_another_kind_is_refused_but_a_vendors_own_name_is_not() {
    assert!(matches!(
        load(&sound(), DatabaseKind::Asn),
        Err(DatabaseError::WrongKind { .. })
    ));
    for name in ["GeoLite2-City", "DBIP-Country-Lite", "Vendor Location Data"] {
        let bytes = Writer::new(name).to_bytes().unwrap();
        assert!(load(&bytes, DatabaseKind::City).is_ok(), "{name}");
    }
}

/// More than [`FULL_CHECK_BYTES`] of records, the last of them damaged.
#[test]
fn damage_the_start_did_not_sample_is_found_by_the_first_check() {
    let mut writer = Writer::new("Example-City").built(1_700_000_000);
    for number in 0..60_000u32 {
        let network =
            ipnet::Ipv4Net::new_assert(Ipv4Addr::from_bits((32 << 24) + (number << 8)), 24);
        let city = format!("{number} {}", "x".repeat(60));
        writer.add(network.into(), city_record("CZ", "", &city, None, 0));
    }
    writer.add(
        "1.2.3.4/32".parse().unwrap(),
        city_record("CZ", "", "DAMAGED", None, 0),
    );
    let mut bytes = writer.to_bytes().unwrap();
    assert!(bytes.len() as u64 > FULL_CHECK_BYTES);
    let at = bytes
        .windows(7)
        .position(|window| window == b"DAMAGED")
        .unwrap();
    bytes[at] = 0xFF;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("city.mmdb");
    std::fs::write(&path, bytes).unwrap();
    let settings = crate::GeoipSettings {
        city: Some(path),
        ..Default::default()
    };
    let store = DatabaseStore::open(&settings).unwrap();
    assert!(store.check()[0].result.is_err());
    assert!(store.check().is_empty());
    assert!(store.status()[0].error.is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_file_is_refused_or_answers_without_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        keep in any::<prop::sample::Index>(),
        cut: bool,
    ) {
        let mut bytes = sound();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        if let Ok(database) = load(&bytes, DatabaseKind::City) {
            ask(&database);
        }
        // What verification would refuse must not panic either.
        if let Ok(reader) = Reader::from_source(bytes) {
            let signature = FileSignature { modified: (0, 0), length: 0, device: 0, inode: 0 };
            ask(&Database { path: PathBuf::new(), kind: DatabaseKind::City, signature, verified: false, reader });
        }
    }
}
