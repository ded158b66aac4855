//! What the sender of a mirrored request knows beyond the request itself: how
//! it was answered, and where a CDN says its client is.
//!
//! Invariant: only headers the operator names are read, because only the
//! sender, which has shown its token, is to be believed about these; it has to
//! set or drop each of them.

use serde::{Deserialize, Serialize};
use sidewatch_event::{Event, Field, Location};

/// Names of headers; an empty one is not read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderSettings {
    /// Status of the answer. Only with it a rule knows that somebody was let in.
    pub status: String,
    /// Two ISO letters.
    pub country: String,
    /// City.
    pub city: String,
    /// Degrees north.
    pub latitude: String,
    /// Degrees east.
    pub longitude: String,
    /// Number of the autonomous system.
    pub as_number: String,
    /// Radius in kilometres within which a place is to be believed; 25 unless
    /// given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_km: Option<u32>,
}

/// Radius when nobody says how good a CDN's places are: a city.
const ACCURACY_KM: u32 = 25;

/// Values of the headers as they are met.
#[derive(Debug, Default)]
pub struct Known<'a> {
    status: Option<u16>,
    country: Option<&'a str>,
    city: Option<&'a str>,
    latitude: Option<f64>,
    longitude: Option<f64>,
    as_number: Option<u32>,
}

impl<'a> Known<'a> {
    /// Looks at a header; the first of a name counts.
    pub fn look(&mut self, settings: &HeaderSettings, name: &str, value: &'a [u8]) {
        let is = |wanted: &str| !wanted.is_empty() && name.eq_ignore_ascii_case(wanted);
        let Ok(text) = std::str::from_utf8(value) else {
            return;
        };
        let text = text.trim();
        if is(&settings.status) {
            let status = text
                .parse()
                .ok()
                .filter(|status| (100..=599).contains(status));
            self.status = self.status.or(status);
        } else if is(&settings.country) {
            let country = (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()))
                .then_some(text);
            self.country = self.country.or(country);
        } else if is(&settings.city) {
            self.city = self.city.or((!text.is_empty()).then_some(text));
        } else if is(&settings.latitude) {
            self.latitude = self.latitude.or(degrees(text, 90.0));
        } else if is(&settings.longitude) {
            self.longitude = self.longitude.or(degrees(text, 180.0));
        } else if is(&settings.as_number) {
            let digits = text.strip_prefix("AS").unwrap_or(text);
            self.as_number = self.as_number.or(digits.parse().ok());
        }
    }

    /// Sets what was found; what the event has already stays.
    pub fn apply(&self, settings: &HeaderSettings, event: &mut Event) {
        if let Some(status) = self.status {
            event.status = status;
            event.mirrored = false;
        }
        if let Some(number) = self.as_number.filter(|_| event.as_number == 0) {
            event.as_number = number;
        }
        for (field, text) in [
            (Field::SourceGeoCountryIsoCode, self.country),
            (Field::SourceGeoCityName, self.city),
        ] {
            if let Some(text) = text.filter(|_| event.own(field).is_none()) {
                event.set(field, text);
            }
        }
        if let (Some(latitude), Some(longitude), None) =
            (self.latitude, self.longitude, event.location)
        {
            let radius = settings.accuracy_km.unwrap_or(ACCURACY_KM).min(20_000);
            event.location = Some(Location {
                latitude,
                longitude,
                accuracy_km: f32::from(u16::try_from(radius).unwrap_or(u16::MAX)),
            });
        }
    }
}

fn degrees(text: &str, most: f64) -> Option<f64> {
    text.parse::<f64>()
        .ok()
        .filter(|degrees| degrees.abs() <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> HeaderSettings {
        HeaderSettings {
            status: "x-original-status".into(),
            country: "x-geo-country".into(),
            latitude: "x-geo-latitude".into(),
            longitude: "x-geo-longitude".into(),
            as_number: "x-geo-asn".into(),
            ..HeaderSettings::default()
        }
    }

    fn event(headers: &[(&str, &str)]) -> Event {
        let settings = settings();
        let mut known = Known::default();
        for (name, value) in headers {
            known.look(&settings, name, value.as_bytes());
        }
        let mut event = Event::new();
        event.mirrored = true;
        known.apply(&settings, &mut event);
        event
    }

    #[test]
    fn a_status_makes_the_outcome_known() {
        let known = event(&[("X-Original-Status", "200"), ("x-original-status", "500")]);
        assert_eq!((known.status, known.mirrored), (200, false));
        let unknown = event(&[("x-original-status", "2000")]);
        assert_eq!((unknown.status, unknown.mirrored), (0, true));
    }

    #[test]
    fn a_place_needs_both_coordinates_in_range() {
        let known = event(&[
            ("x-geo-latitude", "50.08"),
            ("x-geo-longitude", "14.42"),
            ("x-geo-country", "CZ"),
            ("x-geo-asn", "AS64500"),
        ]);
        let place = known.location.unwrap();
        assert_eq!(
            (place.latitude, place.longitude, place.accuracy_km),
            (50.08, 14.42, 25.0)
        );
        assert_eq!(known.as_number, 64_500);
        assert_eq!(known.get(Field::SourceGeoCountryIsoCode), Some("CZ"));
        for headers in [
            [("x-geo-latitude", "91"), ("x-geo-longitude", "14")],
            [("x-geo-latitude", "NaN"), ("x-geo-longitude", "14")],
            [("x-geo-latitude", "5"), ("x-other", "14")],
        ] {
            assert_eq!(event(&headers).location, None, "{headers:?}");
        }
    }
}
