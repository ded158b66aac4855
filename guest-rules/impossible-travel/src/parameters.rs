//! What an operator may set, with defaults and units in the names.

use rule_sdk::ParameterError;
use rule_sdk::parameters::{check_ranges, seconds};
use serde::Deserialize;

/// Parameters of the rule. `rules/impossible-travel/README.md` explains each.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Places nearer than this, both radii taken off, are one place.
    pub minimum_distance_km: f64,
    /// Fastest way on the ground, door to door.
    pub ground_speed_kmh: f64,
    /// Fastest way through the air.
    pub air_speed_kmh: f64,
    /// What a flight takes on top of flying.
    pub air_overhead_minutes: f64,
    /// `minimum_distance_km` between two fixed sites, whose places are exact.
    pub site_minimum_distance_km: f64,
    /// `ground_speed_kmh` between two fixed sites.
    pub site_ground_speed_kmh: f64,
    /// `air_overhead_minutes` between two fixed sites.
    pub site_air_overhead_minutes: f64,
    /// Time by which a journey must be too short before it counts.
    pub tolerance_minutes: f64,
    /// Radius assumed where a database gives none.
    pub default_accuracy_km: f64,
    /// How long a user must be known before a device counts as unfamiliar.
    pub history_days: f64,
    /// How long the familiar places must be quiet before a doubted place is believed.
    pub settle_hours: f64,
    /// How long an incident stays the same after its last occurrence.
    pub incident_hours: f64,
    /// Whether one device in two far places is reported: wrong coordinates or
    /// a copied identifier, hardly a traveller.
    pub report_same_device: bool,
    /// Whether an unknown device behind a network that hides its place, or in
    /// a country the user was never seen in, is reported.
    pub report_unfamiliar: bool,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            minimum_distance_km: 100.0,
            ground_speed_kmh: 250.0,
            air_speed_kmh: 900.0,
            air_overhead_minutes: 30.0,
            site_minimum_distance_km: 20.0,
            site_ground_speed_kmh: 200.0,
            site_air_overhead_minutes: 90.0,
            tolerance_minutes: 5.0,
            default_accuracy_km: 50.0,
            history_days: 2.0,
            settle_hours: 24.0,
            incident_hours: 24.0,
            report_same_device: false,
            report_unfamiliar: true,
        }
    }
}

impl Parameters {
    /// Refuses values that make no sense.
    pub(crate) fn check(self) -> Result<Self, ParameterError> {
        const MOST: f64 = 1e6;
        check_ranges(&[
            ("minimum_distance_km", self.minimum_distance_km, 0.0, MOST),
            ("ground_speed_kmh", self.ground_speed_kmh, 1.0, MOST),
            ("air_speed_kmh", self.air_speed_kmh, 1.0, MOST),
            ("air_overhead_minutes", self.air_overhead_minutes, 0.0, MOST),
            (
                "site_minimum_distance_km",
                self.site_minimum_distance_km,
                0.0,
                MOST,
            ),
            (
                "site_ground_speed_kmh",
                self.site_ground_speed_kmh,
                1.0,
                MOST,
            ),
            (
                "site_air_overhead_minutes",
                self.site_air_overhead_minutes,
                0.0,
                MOST,
            ),
            ("tolerance_minutes", self.tolerance_minutes, 0.0, MOST),
            ("default_accuracy_km", self.default_accuracy_km, 0.0, MOST),
            ("history_days", self.history_days, 0.0, MOST),
            ("settle_hours", self.settle_hours, 0.0, MOST),
            ("incident_hours", self.incident_hours, 0.0, MOST),
        ])?;
        Ok(self)
    }

    /// Seconds the fastest way of `distance_km` takes.
    pub(crate) fn needed_seconds(&self, distance_km: f64, between_sites: bool) -> f64 {
        let (speed, overhead) = if between_sites {
            (self.site_ground_speed_kmh, self.site_air_overhead_minutes)
        } else {
            (self.ground_speed_kmh, self.air_overhead_minutes)
        };
        let ground = distance_km / speed;
        let air = overhead / 60.0 + distance_km / self.air_speed_kmh;
        ground.min(air) * 3600.0
    }

    /// Kilometres below which two places are one.
    pub(crate) fn nearness_km(&self, between_sites: bool) -> f64 {
        if between_sites {
            self.site_minimum_distance_km
        } else {
            self.minimum_distance_km
        }
    }
}

/// A duration of hours in whole seconds.
pub(crate) fn hours(hours: f64) -> u32 {
    seconds(hours, 3600)
}
