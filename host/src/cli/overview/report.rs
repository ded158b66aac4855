//! What was counted, sorted and cut to what a person or program wants to see.

use std::path::PathBuf;

use serde::Serialize;

use super::collect::{Activity, Collector, Period};
use crate::cli::show;
use crate::cli::tally::Tally;

/// Users and addresses listed.
const LISTED: usize = 500;

/// An overview.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) files: Vec<String>,
    /// Of the first and last event, UTC.
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) lines: Lines,
    /// Whether any event names a user.
    pub(super) names_users: bool,
    pub(super) events: Vec<EventRow>,
    pub(super) users: Vec<UserRow>,
    pub(super) addresses: Vec<AddressRow>,
    /// By hour of the day, UTC.
    pub(super) hours: Vec<HourRow>,
    pub(super) days: Vec<DayRow>,
}

/// What became of the lines.
#[derive(Debug, Serialize)]
pub(super) struct Lines {
    pub(super) read: u64,
    pub(super) events: u64,
    pub(super) unspecified: u64,
    pub(super) failures: u64,
    pub(super) discarded: u64,
    pub(super) suppressed: u64,
    pub(super) unreadable: u64,
}

/// One kind of event, and who caused it how often.
#[derive(Debug, Serialize)]
pub(super) struct EventRow {
    pub(super) code: String,
    pub(super) name: String,
    pub(super) product: String,
    pub(super) severity: u8,
    pub(super) count: u64,
    pub(super) failures: u64,
    pub(super) users: Vec<Share>,
}

/// A user's part; no name means nobody.
#[derive(Debug, Serialize)]
pub(super) struct Share {
    pub(super) user: Option<String>,
    pub(super) count: u64,
}

/// One user; no name means requests that name nobody.
#[derive(Debug, Serialize)]
pub(super) struct UserRow {
    pub(super) user: Option<String>,
    pub(super) events: u64,
    pub(super) failures: u64,
    pub(super) addresses: usize,
    pub(super) first: String,
    pub(super) last: String,
}

/// One address.
#[derive(Debug, Serialize)]
pub(super) struct AddressRow {
    pub(super) address: String,
    pub(super) events: u64,
    pub(super) failures: u64,
    pub(super) users: usize,
    pub(super) first: String,
    pub(super) last: String,
}

/// One hour of the day.
#[derive(Debug, Serialize)]
pub(super) struct HourRow {
    pub(super) hour: usize,
    pub(super) events: u64,
    pub(super) failures: u64,
}

/// One day.
#[derive(Debug, Serialize)]
pub(super) struct DayRow {
    pub(super) day: String,
    pub(super) events: u64,
    pub(super) failures: u64,
}

fn times(period: Period) -> (String, String) {
    period.map_or_else(Default::default, |(from, to)| {
        (show::time(from), show::time(to))
    })
}

fn named(user: &str) -> Option<String> {
    (!user.is_empty()).then(|| user.to_owned())
}

impl Report {
    /// Sorts what was counted.
    pub(super) fn new(collector: &Collector, tally: &Tally, files: &[PathBuf]) -> Self {
        let users = collector.users.ranked();
        let period = collector.period.map(|period| times(Some(period)));
        let (from, to) = period.unzip();
        Self {
            files: files
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            from,
            to,
            lines: Lines {
                read: tally.lines,
                events: tally.events,
                unspecified: tally.unspecified,
                failures: collector.kinds.iter().map(|kind| kind.failures).sum(),
                discarded: tally.discarded,
                suppressed: tally.suppressed,
                unreadable: tally.unreadable,
            },
            names_users: tally.with_user > 0,
            events: events(collector, &users),
            users: users
                .iter()
                .take(LISTED)
                .map(|(user, activity)| user_row(user, activity))
                .collect(),
            addresses: collector
                .addresses
                .ranked()
                .into_iter()
                .take(LISTED)
                .map(|(address, activity)| address_row(address, activity))
                .collect(),
            hours: (0..)
                .zip(collector.hours)
                .map(|(hour, (events, failures))| HourRow {
                    hour,
                    events,
                    failures,
                })
                .collect(),
            days: days(collector),
        }
    }
}

fn events(collector: &Collector, users: &[(&String, &Activity)]) -> Vec<EventRow> {
    let mut rows: Vec<EventRow> = (0..)
        .zip(&collector.kinds)
        .map(|(at, kind)| {
            let mut shares: Vec<Share> = users
                .iter()
                .filter_map(|(user, activity)| {
                    let count = *activity.kinds.get(&at)?;
                    Some(Share {
                        user: named(user),
                        count,
                    })
                })
                .collect();
            shares.sort_by_key(|share| std::cmp::Reverse(share.count));
            shares.truncate(LISTED);
            EventRow {
                code: kind.code.clone(),
                name: kind.name.clone(),
                product: kind.product.clone(),
                severity: kind.severity,
                count: kind.count,
                failures: kind.failures,
                users: shares,
            }
        })
        .collect();
    rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    rows
}

fn user_row(user: &str, activity: &Activity) -> UserRow {
    let (first, last) = times(activity.period);
    UserRow {
        user: named(user),
        events: activity.count,
        failures: activity.failures,
        addresses: activity.companions(),
        first,
        last,
    }
}

fn address_row(address: &str, activity: &Activity) -> AddressRow {
    let (first, last) = times(activity.period);
    AddressRow {
        address: address.to_owned(),
        events: activity.count,
        failures: activity.failures,
        users: activity.companions(),
        first,
        last,
    }
}

/// Every day of the period, also those on which nothing happened, unless they
/// are too many for that.
fn days(collector: &Collector) -> Vec<DayRow> {
    const GAPLESS: i64 = 800;
    let held = &collector.days;
    let (Some(first), Some(last)) = (
        held.first_key_value().map(|(day, _)| *day),
        held.last_key_value().map(|(day, _)| *day),
    ) else {
        return Vec::new();
    };
    let row = |day: i64, (events, failures): (u64, u64)| DayRow {
        day: show::time(day.saturating_mul(86_400_000))
            .chars()
            .take(10)
            .collect(),
        events,
        failures,
    };
    if last - first > GAPLESS {
        return held
            .iter()
            .map(|(day, counts)| row(*day, *counts))
            .collect();
    }
    (first..=last)
        .map(|day| row(day, held.get(&day).copied().unwrap_or_default()))
        .collect()
}
