//! Points on the Earth: plausibility, distance and the centre of several.

use sidewatch_event::Location;

/// Radius assumed for a place an operator gives without one, in kilometres.
pub(crate) const DEFAULT_ACCURACY_KM: f32 = 5.0;

const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A location, unless the coordinates cannot be one: out of range, not a
/// number, or exactly 0,0, which databases use for "nothing known".
pub(crate) fn checked_location(
    latitude: f64,
    longitude: f64,
    accuracy_km: f32,
) -> Option<Location> {
    let in_range = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    let unset = latitude == 0.0 && longitude == 0.0;
    let plausible_radius = accuracy_km.is_finite() && accuracy_km >= 0.0;
    (in_range && !unset && plausible_radius).then_some(Location {
        latitude,
        longitude,
        accuracy_km,
    })
}

/// Great-circle distance in kilometres.
pub(crate) fn distance_km(from: &Location, to: &Location) -> f64 {
    let (from_latitude, to_latitude) = (from.latitude.to_radians(), to.latitude.to_radians());
    let latitude = (to_latitude - from_latitude) / 2.0;
    let longitude = (to.longitude - from.longitude).to_radians() / 2.0;
    let chord =
        latitude.sin().powi(2) + from_latitude.cos() * to_latitude.cos() * longitude.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * chord.clamp(0.0, 1.0).sqrt().asin()
}

/// The smallest honest single statement about several places: their centroid
/// on the sphere, with a radius that covers every one of them and its own
/// radius. A site with campuses in two towns is thus known as well as it can
/// be, and never better.
pub(crate) fn enclosing(places: &[Location]) -> Option<Location> {
    let [first, rest @ ..] = places else {
        return None;
    };
    if rest.is_empty() {
        return Some(*first);
    }
    let (mut x, mut y, mut z) = (0.0, 0.0, 0.0);
    for place in places {
        let (latitude, longitude) = (place.latitude.to_radians(), place.longitude.to_radians());
        x += latitude.cos() * longitude.cos();
        y += latitude.cos() * longitude.sin();
        z += latitude.sin();
    }
    let latitude = z.atan2(x.hypot(y)).to_degrees();
    let longitude = y.atan2(x).to_degrees();
    let centre = Location {
        latitude,
        longitude,
        accuracy_km: 0.0,
    };
    let radius = places
        .iter()
        .map(|place| distance_km(&centre, place) + f64::from(place.accuracy_km))
        .fold(0.0, f64::max);
    Some(Location {
        accuracy_km: radius.ceil() as f32,
        ..centre
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn impossible_and_unset_coordinates_are_absent() {
        for (latitude, longitude) in [
            (0.0, 0.0),
            (f64::NAN, 14.0),
            (50.0, f64::NAN),
            (91.0, 0.0),
            (0.0, -181.0),
            (f64::INFINITY, 1.0),
        ] {
            assert_eq!(checked_location(latitude, longitude, 10.0), None);
        }
        assert_eq!(checked_location(50.0, 14.0, f32::NAN), None);
        assert!(checked_location(0.0, 14.0, 10.0).is_some());
    }

    #[test]
    fn places_on_both_sides_of_the_date_line_meet_there() {
        let places = [(10.0, 179.0), (10.0, -179.0)].map(|(latitude, longitude)| Location {
            latitude,
            longitude,
            accuracy_km: 5.0,
        });
        let centre = enclosing(&places).unwrap();
        assert!(centre.longitude.abs() > 179.9, "{centre:?}");
        assert!((110.0..120.0).contains(&centre.accuracy_km), "{centre:?}");
    }

    proptest! {
        #[test]
        fn the_enclosing_circle_covers_every_place(
            places in prop::collection::vec((-90.0..90.0f64, -180.0..180.0f64, 0.0..100.0f32), 1..6)
        ) {
            let places: Vec<_> = places
                .into_iter()
                .map(|(latitude, longitude, accuracy_km)| Location { latitude, longitude, accuracy_km })
                .collect();
            let centre = enclosing(&places).unwrap();
            for place in &places {
                let needed = distance_km(&centre, place) + f64::from(place.accuracy_km);
                prop_assert!(needed <= f64::from(centre.accuracy_km) + 1e-3);
            }
        }
    }
}
