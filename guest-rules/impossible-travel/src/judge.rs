//! Whether two stays contradict each other, and what would explain it.

use std::cmp::Reverse;

use rule_sdk::detection::NetworkKind;
use rule_sdk::detection::presence::Gap;

use crate::parameters::Parameters;
use crate::state::{CARRIED, SUSPECT, Stay, TIED, TOOL};

/// Two stays nobody can have made one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conflict {
    /// The other stay.
    pub(crate) other: Stay,
    /// Between their places.
    pub(crate) gap: Gap,
    /// Between the event and the other stay; 0 when it went on meanwhile.
    pub(crate) elapsed: u32,
    /// Seconds the fastest way takes.
    pub(crate) needed: f64,
}

/// Why a contradiction is no finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excuse {
    /// One device or one session of one user agent on both sides: a VPN the
    /// databases do not know, a proxy, a wrong record.
    SameClient,
    /// One side's client was seen at the other side's place, both devices
    /// shared a network, or some client was seen behind both doors: the user's
    /// own things, one of them routed elsewhere.
    OwnClients,
    /// Where neither sessions nor devices are known, one kind of browser in one
    /// country: a phone between a carrier, a shop and home looks like that.
    SameBrowser,
    /// One provider's IPv4 and IPv6 records differ.
    DualStack,
    /// One provider handed the same kind of browser, whose session is not
    /// known, another address.
    Readdressed,
    /// Tools and bots run in several places at once.
    ServiceAccount,
}

fn both_sites(a: &Stay, b: &Stay) -> bool {
    a.kind() == NetworkKind::Site && b.kind() == NetworkKind::Site
}

/// The trusted stay `subject` contradicts most, at `now`.
pub(crate) fn worst(
    parameters: &Parameters,
    stays: &[Stay],
    subject: &Stay,
    now: u32,
) -> Option<Conflict> {
    let place = subject.place()?;
    let tolerance = parameters.tolerance_minutes * 60.0;
    let mut worst: Option<Conflict> = None;
    for other in stays
        .iter()
        .filter(|other| other.is_trusted() && other.door != subject.door)
    {
        let between_sites = both_sites(subject, other);
        let Some(there) = other.place() else { continue };
        let Some(gap) = place.gap(there, parameters.nearness_km(between_sites)) else {
            continue;
        };
        let needed = parameters.needed_seconds(gap.beyond_km, between_sites);
        let elapsed = other.seconds_from(now);
        let missing = |conflict: &Conflict| conflict.needed - f64::from(conflict.elapsed);
        let conflict = Conflict {
            other: *other,
            gap,
            elapsed,
            needed,
        };
        if missing(&conflict) > tolerance
            && worst.is_none_or(|worst| missing(&conflict) > missing(&worst))
        {
            worst = Some(conflict);
        }
    }
    worst
}

fn one_browser(a: &Stay, b: &Stay) -> bool {
    a.agent != 0 && a.agent == b.agent
}

/// Whether one kind of browser is used here and there by turns: one that moved
/// would no longer be where it was.
pub(crate) fn in_two_places(subject: &Stay, other: &Stay, last_seen: u32) -> bool {
    one_browser(subject, other) && other.first < last_seen && last_seen < other.last
}

/// What explains that `subject`, last seen at `last_seen` before this event,
/// contradicts `other`, if anything.
pub(crate) fn excuse(
    parameters: &Parameters,
    stays: &[Stay],
    subject: &Stay,
    other: &Stay,
    last_seen: u32,
) -> Option<Excuse> {
    if subject.same_client(other) {
        return Some(Excuse::SameClient);
    }
    if own_clients(parameters, stays, subject, other) {
        return Some(Excuse::OwnClients);
    }
    if subject.has(TOOL) && other.has(TOOL) {
        return Some(Excuse::ServiceAccount);
    }
    let one_provider = subject.as_number != 0
        && subject.as_number == other.as_number
        && !both_sites(subject, other);
    if one_provider && (subject.address_high == 0) != (other.address_high == 0) {
        return Some(Excuse::DualStack);
    }
    let one_country = subject.country != 0 && subject.country == other.country;
    if !one_country || !one_browser(subject, other) || in_two_places(subject, other, last_seen) {
        return None;
    }
    let nameless = |stay: &Stay| stay.device == 0 && stay.session == 0;
    let without_session = subject.session == 0 || other.session == 0;
    if one_provider && without_session {
        Some(Excuse::Readdressed)
    } else {
        (nameless(subject) && nameless(other)).then_some(Excuse::SameBrowser)
    }
}

/// Whether both are one client, directly or by a third stay that is the same
/// client as either: a browser that logs in anew every day is known by the
/// session before.
fn is_client(stays: &[Stay], client: &Stay, stay: &Stay) -> bool {
    stay.same_client(client)
        || stays
            .iter()
            .any(|link| !link.has(SUSPECT) && link.same_client(client) && link.same_client(stay))
}

fn own_clients(parameters: &Parameters, stays: &[Stay], subject: &Stay, other: &Stay) -> bool {
    if subject.has(TIED) && other.has(TIED) {
        return true;
    }
    // Was the client of one side ever where the other side is? A vague place
    // is no evidence that it was, so only the centres count here.
    let visited = |client: &Stay, at: &Stay| {
        stays
            .iter()
            .filter(|stay| !stay.has(SUSPECT) && is_client(stays, client, stay))
            .any(|stay| {
                stay.door == at.door || stay.is_trusted() && centres_are_near(parameters, stay, at)
            })
    };
    visited(subject, other) || visited(other, subject) || carried(stays, subject, other)
}

/// Whether the less established of both doors is one the user carried a client
/// to: some client behind it was seen behind another trusted door.
fn carried(stays: &[Stay], subject: &Stay, other: &Stay) -> bool {
    let newer = if standing(stays, subject) <= standing(stays, other) {
        subject
    } else {
        other
    };
    newer.kind() != NetworkKind::Site
        && stays
            .iter()
            .chain([subject])
            .filter(|stay| stay.door == newer.door && !stay.has(SUSPECT))
            .any(|stay| is_carried(stays, stay))
}

/// Whether the stay's client was seen behind another trusted door, or in the
/// operator's own network.
pub(crate) fn is_carried(stays: &[Stay], stay: &Stay) -> bool {
    let own = |known: &Stay| known.is_trusted() || known.kind() == NetworkKind::Corporate;
    stay.has(CARRIED)
        || stays.iter().any(|known| {
            known.door != stay.door && !known.has(SUSPECT) && own(known) && known.same_client(stay)
        })
}

/// How well established the stay's door is: distinct days anything trusted was
/// seen behind it, then how early it was learnt.
pub(crate) fn standing(stays: &[Stay], stay: &Stay) -> (u8, Reverse<usize>) {
    let same_door = |known: &&Stay| known.door == stay.door && known.is_trusted();
    let days = stays
        .iter()
        .filter(same_door)
        .map(|known| known.days)
        .max()
        .unwrap_or(0);
    let learnt = stays
        .iter()
        .position(|known| same_door(&known))
        .unwrap_or(usize::MAX);
    (days.max(stay.days), Reverse(learnt))
}

fn centres_are_near(parameters: &Parameters, a: &Stay, b: &Stay) -> bool {
    let sharp = |stay: &Stay| Stay {
        accuracy_km: 0,
        ..*stay
    };
    may_be_near(parameters, &sharp(a), &sharp(b))
}

/// Whether two stays may be at one place, as far as anybody can tell.
pub(crate) fn may_be_near(parameters: &Parameters, a: &Stay, b: &Stay) -> bool {
    let nearness = parameters.nearness_km(both_sites(a, b));
    a.place()
        .zip(b.place())
        .is_some_and(|(a, b)| a.gap(b, nearness).is_none())
}
