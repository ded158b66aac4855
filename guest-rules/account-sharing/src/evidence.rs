//! The finding: a score and everything that speaks for it, not a verdict.

use rule_sdk::detection::{Finding, Side, comparison};
use rule_sdk::geo::rounded;

use crate::state::Seat;

/// What is known when sharing is reported.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sharing<'a> {
    /// The seat just used, and the one used in between.
    pub(crate) seats: [&'a Seat; 2],
    /// Days of overlap and of taking turns.
    pub(crate) days: (u32, u32),
    /// Over how many days.
    pub(crate) window_days: u32,
    /// Unconnected households in use within the window.
    pub(crate) households: u32,
    /// Clients in use within the window.
    pub(crate) clients: u32,
    /// Between the places, beyond both radii; unknown without places.
    pub(crate) distance_km: Option<f64>,
    /// Seconds since the epoch.
    pub(crate) now: u32,
}

impl Sharing<'_> {
    /// Builds the finding.
    pub(crate) fn finding(&self) -> Finding {
        let Self {
            seats: [seat, other],
            days: (overlaps, turns),
            households,
            ..
        } = *self;
        let title = format!(
            "used by {households} unconnected households on {} of {} days",
            overlaps + turns,
            self.window_days
        );
        Finding::new(0, title)
            .score(self.score())
            .with("overlap_days", overlaps)
            .with("alternation_days", turns)
            .with("window_days", self.window_days)
            .with("households", households)
            .with("devices", self.clients)
            .with_seconds("other_time", other.last)
            .with_side("other_", &side(other))
            .with_seconds("time", self.now)
            .with_side("", &side(seat))
            .with_some("distance_beyond_radii_km", self.distance_km.map(|distance| rounded(distance, 1)))
            .with("session", comparison(seat.session, other.session))
            .with("device", comparison(seat.device, other.device))
            .with("user_agent", comparison(seat.agent, other.agent))
            .with(
                "not_suppressed",
                "no device, session or network connects the places; neither network hides or moves its users",
            )
    }

    /// Grows with the days and the households; never certain.
    fn score(&self) -> f32 {
        let (overlaps, turns) = self.days;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let days = overlaps as f32 + turns as f32 / 2.0;
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let more = self.households.saturating_sub(2) as f32;
        (0.3 + 0.1 * days + 0.1 * more).min(0.95)
    }
}

fn side(seat: &Seat) -> Side {
    Side {
        address: (seat.address_high, seat.address_low),
        place: seat.place(),
        as_number: seat.as_number,
        country: seat.country,
        kind: seat.kind(),
        session: seat.session,
        device: seat.device,
        agent: seat.agent,
    }
}
