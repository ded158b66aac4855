//! What an operator may set, with defaults and units in the names.

use rule_sdk::ParameterError;
use rule_sdk::parameters::check_ranges;
use serde::Deserialize;

use crate::state::{ATTEMPTS, PROMPTS};

/// Parameters of the rule. `rules/failed-logins/README.md` explains each.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Failed logins of one user, from networks the user never logged in from,
    /// that make a burst.
    pub failures: u32,
    /// The same from the user's own networks, where people mistype and old
    /// phones repeat a changed password.
    pub own_failures: u32,
    /// Within how many minutes.
    pub window_minutes: f64,
    /// Failures before a success that make it a guessed password.
    pub guesses: u32,
    /// Second-factor prompts and failures without a success that make fatigue.
    pub prompts: u32,
    /// The same when they come from the user's own network and browser.
    pub own_prompts: u32,
    /// Within how many minutes.
    pub prompt_window_minutes: f64,
    /// For how long networks and browsers stay the user's own.
    pub familiar_days: f64,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            failures: 10,
            own_failures: 30,
            window_minutes: 30.0,
            guesses: 5,
            prompts: 5,
            own_prompts: 12,
            prompt_window_minutes: 15.0,
            familiar_days: 30.0,
        }
    }
}

impl Parameters {
    /// Refuses values that make no sense.
    pub(crate) fn check(self) -> Result<Self, ParameterError> {
        check_ranges(&[
            ("failures", f64::from(self.failures), 2.0, ATTEMPTS as f64),
            (
                "own_failures",
                f64::from(self.own_failures),
                2.0,
                ATTEMPTS as f64,
            ),
            ("window_minutes", self.window_minutes, 1.0, 10_080.0),
            ("guesses", f64::from(self.guesses), 1.0, ATTEMPTS as f64),
            ("prompts", f64::from(self.prompts), 2.0, PROMPTS as f64),
            (
                "own_prompts",
                f64::from(self.own_prompts),
                2.0,
                PROMPTS as f64,
            ),
            (
                "prompt_window_minutes",
                self.prompt_window_minutes,
                1.0,
                1440.0,
            ),
            ("familiar_days", self.familiar_days, 0.0, 365.0),
        ])?;
        Ok(self)
    }
}
