//! What an operator may set, with defaults and units in the names.

use rule_sdk::ParameterError;
use rule_sdk::parameters::check_ranges;
use serde::Deserialize;

/// Parameters of the rule. `rules/session-moved/README.md` explains each.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Places nearer than this, both radii taken off, are one region: there a
    /// new user agent of the same system passes.
    pub minimum_distance_km: f64,
    /// Distance from which use by turns of one session counts as a split.
    pub split_distance_km: f64,
    /// How often the two places must take turns.
    pub split_turns: u32,
    /// Within what time from one turn to the next.
    pub split_minutes: f64,
    /// Radius assumed where a database gives none.
    pub default_accuracy_km: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            minimum_distance_km: 100.0,
            split_distance_km: 1000.0,
            split_turns: 10,
            split_minutes: 10.0,
            default_accuracy_km: 50.0,
        }
    }
}

impl Parameters {
    /// Refuses values that make no sense.
    pub(crate) fn check(self) -> Result<Self, ParameterError> {
        check_ranges(&[
            (
                "minimum_distance_km",
                self.minimum_distance_km,
                0.0,
                20_000.0,
            ),
            ("split_distance_km", self.split_distance_km, 0.0, 20_000.0),
            ("split_turns", f64::from(self.split_turns), 2.0, 1000.0),
            ("split_minutes", self.split_minutes, 1.0, 1440.0),
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
