//! Distance on the Earth, the same bits on every machine.
//!
//! The standard library's sine differs in its last bit between a native build
//! and WebAssembly; `libm` does not, so a finding's evidence is identical in
//! the sidecar, at the edge and in a unit test.

/// A place on the Earth, in degrees. Single precision is about a metre.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Degrees north.
    pub latitude: f32,
    /// Degrees east.
    pub longitude: f32,
}

const EARTH_RADIUS_KM: f64 = 6371.0088;

/// Length of a degree along a meridian, rounded up.
const DEGREE_KM: f64 = 111.2;

impl Point {
    fn difference(self, other: Self) -> (f64, f64) {
        let latitude = f64::from(other.latitude) - f64::from(self.latitude);
        let longitude = (f64::from(other.longitude) - f64::from(self.longitude)).abs();
        (latitude.abs(), longitude.min(360.0 - longitude))
    }

    /// A bound the distance never exceeds, without trigonometry: enough to
    /// dismiss places that are trivially near.
    #[must_use]
    pub fn at_most_km(self, other: Self) -> f64 {
        let (latitude, longitude) = self.difference(other);
        DEGREE_KM * (latitude + longitude)
    }

    /// Great-circle distance in kilometres (haversine); right across the date
    /// line and at the poles.
    #[must_use]
    pub fn distance_km(self, other: Self) -> f64 {
        let (latitude, longitude) = self.difference(other);
        let half_latitude = libm::sin(latitude.to_radians() / 2.0);
        let half_longitude = libm::sin(longitude.to_radians() / 2.0);
        let parallels = libm::cos(f64::from(self.latitude).to_radians())
            * libm::cos(f64::from(other.latitude).to_radians());
        let chord = half_latitude * half_latitude + parallels * half_longitude * half_longitude;
        2.0 * EARTH_RADIUS_KM * libm::asin(libm::sqrt(chord.clamp(0.0, 1.0)))
    }
}

/// Rounds to `digits` decimal places: evidence is read by people.
#[must_use]
pub fn rounded(value: f64, digits: u32) -> f64 {
    let scale = (0..digits).fold(1.0, |scale, _| scale * 10.0);
    libm::round(value * scale) / scale
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRAGUE: Point = Point {
        latitude: 50.0875,
        longitude: 14.4214,
    };

    fn point(latitude: f32, longitude: f32) -> Point {
        Point {
            latitude,
            longitude,
        }
    }

    #[test]
    fn known_distances_are_right() {
        let near = |a: Point, b: Point, km: f64| {
            assert!(
                (a.distance_km(b) - km).abs() < km * 0.003,
                "{} {km}",
                a.distance_km(b)
            );
        };
        near(PRAGUE, point(40.7128, -74.006), 6570.0);
        near(PRAGUE, point(49.1951, 16.6068), 186.0);
        near(point(-33.87, 151.21), point(51.5, -0.12), 16_994.0);
    }

    #[test]
    fn the_date_line_and_the_poles_are_no_obstacle() {
        let fiji = point(-17.0, 179.9).distance_km(point(-17.0, -179.9));
        assert!((21.0..22.0).contains(&fiji), "{fiji}");
        assert!(point(90.0, 0.0).distance_km(point(90.0, 170.0)) < 1e-6);
        let antipodes = point(0.0, 0.0).distance_km(point(0.0, 180.0));
        assert!((antipodes - 20_015.0).abs() < 1.0, "{antipodes}");
    }

    #[test]
    fn rounding_keeps_the_digits_asked_for() {
        assert!((rounded(812.3456, 1) - 812.3).abs() < 1e-9);
        assert!((rounded(-0.26, 1) + 0.3).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_cheap_bound_never_undercuts_the_distance(
            a in (-90.0..90.0f32, -180.0..180.0f32), b in (-90.0..90.0f32, -180.0..180.0f32)
        ) {
            let (a, b) = (point(a.0, a.1), point(b.0, b.1));
            prop_assert!(a.distance_km(b) <= a.at_most_km(b) + 1e-6);
            prop_assert!((a.distance_km(b) - b.distance_km(a)).abs() < 1e-9);
        }
    }
}
