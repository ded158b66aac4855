//! A small city database: documentation networks in real places.

use std::path::Path;

use sidewatch_enrich::mmdb_writer::{Writer, city_record};

/// An address in Prague.
pub const PRAGUE: &str = "192.0.2.10";
/// An address in Sydney.
pub const SYDNEY: &str = "198.51.100.20";

/// Writes the database.
///
/// # Panics
/// The file cannot be written.
pub fn write_city_database(path: &Path) {
    let city = |country, name, place| city_record(country, "", name, Some(place), 10);
    let bytes = Writer::new("GeoLite2-City")
        .insert(
            "192.0.2.0/24".parse().unwrap(),
            city("CZ", "Prague", (50.08, 14.43)),
        )
        .insert(
            "198.51.100.0/24".parse().unwrap(),
            city("AU", "Sydney", (-33.87, 151.21)),
        )
        .to_bytes()
        .unwrap();
    std::fs::write(path, bytes).unwrap();
}
