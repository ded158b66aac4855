//! What an operator may set, with defaults and units in the names.

use rule_sdk::ParameterError;
use rule_sdk::parameters::check_ranges;
use serde::Deserialize;

/// Parameters of the rule. `rules/account-sharing/README.md` explains each.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Days of overlapping use before it is reported. A day on which two
    /// places merely took turns counts half.
    pub days: f64,
    /// Within how many of the last days, 31 at most.
    pub window_days: u32,
    /// How soon one place must be used again after another for both to be in
    /// use at once.
    pub overlap_minutes: f64,
    /// Places nearer than this, both radii taken off, may be one person's
    /// home and office.
    pub minimum_distance_km: f64,
    /// Distance from which even taking turns within a day is suspicious: too
    /// far for a commuter.
    pub commute_km: f64,
    /// How many unconnected near places in use at once count all the same.
    pub nearby_places: u32,
    /// Radius assumed where a database gives none.
    pub default_accuracy_km: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            days: 3.0,
            window_days: 14,
            overlap_minutes: 15.0,
            minimum_distance_km: 50.0,
            commute_km: 150.0,
            nearby_places: 3,
            default_accuracy_km: 50.0,
        }
    }
}

impl Parameters {
    /// Refuses values that make no sense.
    pub(crate) fn check(self) -> Result<Self, ParameterError> {
        check_ranges(&[
            ("days", self.days, 0.5, 31.0),
            ("window_days", f64::from(self.window_days), 1.0, 31.0),
            ("overlap_minutes", self.overlap_minutes, 1.0, 1440.0),
            (
                "minimum_distance_km",
                self.minimum_distance_km,
                0.0,
                20_000.0,
            ),
            ("commute_km", self.commute_km, 0.0, 20_000.0),
            ("nearby_places", f64::from(self.nearby_places), 2.0, 10.0),
            (
                "default_accuracy_km",
                self.default_accuracy_km,
                0.0,
                20_000.0,
            ),
        ])?;
        Ok(self)
    }
}
