//! Findings with the whole evidence, so that nobody has to take our word.

use rule_sdk::detection::presence::Gap;
use rule_sdk::detection::{Finding, NetworkKind, Side, comparison, country_text};
use rule_sdk::geo::rounded;

use crate::judge::Conflict;
use crate::state::Stay;

/// Index of each kind in the rule's description.
pub(crate) mod kind {
    pub(crate) const IMPOSSIBLE_TRAVEL: u32 = 0;
    pub(crate) const SIMULTANEOUS_USE: u32 = 1;
    pub(crate) const UNFAMILIAR_ACCESS: u32 = 2;
    pub(crate) const SAME_DEVICE: u32 = 3;
}

/// Why an access by an unknown device is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unfamiliar {
    /// Through a network that hides places, which the user never used.
    HiddenNetwork,
    /// In a country the user was never seen in.
    Country,
    /// A second session of the user's kind of browser through such a network,
    /// while the first goes on.
    SecondSession,
}

/// A finding about two stays that contradict each other.
pub(crate) fn travel(kind: u32, subject: &Stay, conflict: &Conflict, now: u32) -> Finding {
    let Conflict {
        other,
        gap: Gap {
            distance_km,
            beyond_km,
        },
        elapsed,
        needed,
    } = conflict;
    let simultaneous = *elapsed == 0;
    let elapsed_hours = f64::from(*elapsed) / 3600.0;
    let title = if simultaneous {
        format!("used at the same time in two places {beyond_km:.0} km apart")
    } else {
        format!(
            "{beyond_km:.0} km in {}, which takes at least {}",
            duration(f64::from(*elapsed)),
            duration(*needed)
        )
    };
    let finding = Finding::new(kind, title)
        .score(score(subject, conflict))
        .with_seconds("previous_time", now.clamp(other.first, other.last))
        .with_side("previous_", &side(other))
        .with_seconds("time", now)
        .with_side("", &side(subject))
        .with("distance_km", rounded(*distance_km, 1))
        .with("distance_beyond_radii_km", rounded(*beyond_km, 1))
        .with("elapsed_s", *elapsed)
        .with("needed_s", needed.round())
        .with_some(
            "speed_kmh",
            (!simultaneous).then(|| rounded(beyond_km / elapsed_hours, 0)),
        );
    compared(finding, subject, other)
        .with("previous_days_seen", u32::from(other.days))
        .with("days_seen", u32::from(subject.days))
        .with("not_suppressed", not_suppressed(subject, other))
}

const NOT_FAMILIAR: &str = "neither device nor session was seen elsewhere; not a place near a known one; \
     no relay, satellite, mobile or corporate network";

/// A finding about an unknown device where the user was never seen.
pub(crate) fn unfamiliar(
    subject: &Stay,
    reason: Unfamiliar,
    known_days: u32,
    countries: &str,
) -> Finding {
    let network = subject.kind().as_str();
    let title = match reason {
        Unfamiliar::HiddenNetwork => {
            format!("an unknown device through a {network} network, never used before")
        }
        Unfamiliar::Country => format!(
            "an unknown device in {}, never visited before",
            country_text(subject.country)
        ),
        Unfamiliar::SecondSession => {
            format!("a second session in a {network} network while the first goes on elsewhere")
        }
    };
    let agent = if reason == Unfamiliar::SecondSession {
        "same"
    } else {
        "never seen"
    };
    let score = if reason == Unfamiliar::SecondSession {
        0.4
    } else {
        0.5
    };
    Finding::new(kind::UNFAMILIAR_ACCESS, title)
        .score(score)
        .with_seconds("time", subject.first)
        .with_side("", &side(subject))
        .with("known_for_days", known_days)
        .with("known_countries", countries)
        .with("device", "never seen")
        .with("user_agent", agent)
        .with("session", "never seen elsewhere")
        .with("not_suppressed", NOT_FAMILIAR)
}

fn side(stay: &Stay) -> Side {
    Side {
        address: (stay.address_high, stay.address_low),
        place: stay.place(),
        as_number: stay.as_number,
        country: stay.country,
        kind: stay.kind(),
        session: stay.session,
        device: stay.device,
        agent: stay.agent,
    }
}

/// Whether the sides share session, device and user agent.
fn compared(finding: Finding, subject: &Stay, other: &Stay) -> Finding {
    let session = if subject.shares_session(other) {
        "same"
    } else {
        comparison(subject.session, other.session)
    };
    finding
        .with("session", session)
        .with("device", comparison(subject.device, other.device))
        .with("user_agent", comparison(subject.agent, other.agent))
}

/// Which explanations were looked for, and why none holds.
fn not_suppressed(subject: &Stay, other: &Stay) -> String {
    let provider = match (subject.as_number, other.as_number) {
        (0, _) | (_, 0) => "provider unknown",
        (a, b) if a == b => "one provider, but another user agent or country",
        _ => "different providers",
    };
    let networks = match (subject.kind(), other.kind()) {
        (NetworkKind::Site, NetworkKind::Site) => "both are fixed sites",
        _ => "neither network hides or moves its users",
    };
    format!(
        "{networks}; {provider}; not the same device or session; neither client was seen at the other's place; \
         no network in common"
    )
}

/// How sure: the less time there was, and the less both sides share.
fn score(subject: &Stay, conflict: &Conflict) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a ratio between 0 and 1")]
    let shortage = (1.0 - f64::from(conflict.elapsed) / conflict.needed) as f32;
    let same_agent = subject.agent != 0 && subject.agent == conflict.other.agent;
    let same_session = subject.shares_session(&conflict.other);
    let doubt = if same_agent { 0.15 } else { 0.0 } + if same_session { 0.15 } else { 0.0 };
    0.6 + 0.4 * shortage - doubt
}

fn duration(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round();
    if minutes < 100.0 {
        format!("{minutes:.0} min")
    } else {
        format!("{:.1} h", minutes / 60.0)
    }
}
