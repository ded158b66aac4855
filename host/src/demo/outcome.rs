//! What came of a played story: counted, and compared with what was planted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sidewatch_event::Finding;

use super::incidents::Incident;
use super::player::Played;
use crate::pipeline::Status;

/// What became of one planted incident.
#[derive(Debug)]
pub enum Fate<'a> {
    /// The finding that recognised it first.
    Found(&'a Finding),
    /// Rules that should have recognised it did not.
    Missed,
    /// No rule in force looks for it.
    NotLookedFor,
}

/// Everything known at the end.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// Findings in order of arrival.
    pub findings: &'a [Arc<Finding>],
    /// Planted incidents with their fates.
    pub incidents: Vec<(&'a Incident, Fate<'a>)>,
    /// Findings about nobody anything was planted on.
    pub unexpected: Vec<&'a Finding>,
    /// Events and records lost on the way, by where.
    pub lost: Vec<(String, u64)>,
    /// Every counter adds up.
    pub conserved: bool,
}

impl<'a> Outcome<'a> {
    /// Compares findings with what was planted.
    #[must_use]
    pub fn new(planted: &'a [Incident], findings: &'a [Arc<Finding>], status: &Status) -> Self {
        let fate = |incident: &'a Incident| {
            let found = findings
                .iter()
                .find(|finding| incident.recognised_by(finding));
            let watched = status
                .rules
                .iter()
                .any(|rule| incident.watched_by(&rule.id));
            match found {
                Some(finding) => Fate::Found(finding),
                None if watched => Fate::Missed,
                None => Fate::NotLookedFor,
            }
        };
        let unexpected =
            |finding: &&Finding| !planted.iter().any(|incident| incident.concerns(finding));
        Self {
            findings,
            incidents: planted
                .iter()
                .map(|incident| (incident, fate(incident)))
                .collect(),
            unexpected: findings
                .iter()
                .map(|finding| &**finding)
                .filter(unexpected)
                .collect(),
            lost: losses(status),
            conserved: is_conserved(status),
        }
    }

    /// Whether nothing was lost and everything looked for was found.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.conserved
            && self.lost.is_empty()
            && !self
                .incidents
                .iter()
                .any(|(_, fate)| matches!(fate, Fate::Missed))
    }

    /// Incidents and users by kind of finding.
    #[must_use]
    pub fn by_kind(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut kinds: BTreeMap<&str, (BTreeSet<u64>, BTreeSet<u64>)> = BTreeMap::new();
        for finding in self.findings {
            let (incidents, users) = kinds.entry(&finding.kind).or_default();
            incidents.insert(finding.incident);
            users.insert(finding.event.keys.user);
        }
        kinds
            .into_iter()
            .map(|(kind, (incidents, users))| (kind, (incidents.len(), users.len())))
            .collect()
    }

    /// One finding for each incident that was found, with the incident's title.
    pub fn most_telling(&self) -> impl Iterator<Item = (&'a str, &'a Finding)> {
        self.incidents
            .iter()
            .filter_map(|(incident, fate)| match fate {
                Fate::Found(finding) => Some((incident.title.as_str(), *finding)),
                Fate::Missed | Fate::NotLookedFor => None,
            })
    }

    /// Planted against found, a line each.
    #[must_use]
    pub fn comparison(&self) -> String {
        let count = |wanted: fn(&Fate<'_>) -> bool| {
            self.incidents
                .iter()
                .filter(|(_, fate)| wanted(fate))
                .count()
        };
        let found = count(|fate| matches!(fate, Fate::Found(_)));
        let mut text = String::new();
        // Writing into a string cannot fail.
        writeln!(text, "planted: {}, found: {found}", self.incidents.len()).ok();
        for (incident, fate) in &self.incidents {
            let fate = match fate {
                Fate::Found(finding) => format!("found ({})", finding.kind),
                Fate::Missed => "MISSED".to_owned(),
                Fate::NotLookedFor => "not looked for: no such rule is built".to_owned(),
            };
            writeln!(text, "  {}: {fate}", incident.title).ok();
        }
        writeln!(
            text,
            "  findings about anybody else: {}",
            self.unexpected.len()
        )
        .ok();
        text
    }
}

/// How fast it went and whether everything arrived, for a reader.
#[must_use]
pub fn traffic(played: &Played, status: &Status, outcome: &Outcome<'_>) -> String {
    let counters = &status.pipeline;
    let seconds = played.elapsed.as_secs_f64().max(1e-9);
    let events = read(&counters.forwarded) + read(&counters.suppressed);
    let mut text = format!(
        "{} requests with their log lines in {seconds:.1} s: {:.0} events/s through the pipeline\n",
        played.requests,
        events as f64 / seconds
    );
    writeln!(
        text,
        "  {} records received, {} joined by request id, {} suppressed as noise, {} forwarded, {} findings",
        read(&counters.received),
        read(&counters.joined),
        read(&counters.suppressed),
        read(&counters.forwarded),
        read(&counters.findings),
    ).ok();
    let lost: u64 = outcome.lost.iter().map(|(_, count)| count).sum();
    let adds_up = if outcome.conserved {
        "every counter adds up"
    } else {
        "COUNTERS DO NOT ADD UP"
    };
    writeln!(text, "  shed or lost: {lost} ({adds_up})").ok();
    for (place, count) in &outcome.lost {
        writeln!(text, "    {place}: {count}").ok();
    }
    text
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Acquire)
}

fn losses(status: &Status) -> Vec<(String, u64)> {
    let mut losses = Vec::new();
    for (name, counters) in &status.sources {
        let counts = counters.snapshot();
        for (what, count) in [
            ("rejected", counts.rejected),
            ("unauthenticated", counts.unauthenticated),
            ("shed, queue full", counts.shed_queue_full),
            ("shed, closing", counts.shed_closing),
            ("dropped by the kernel", counts.kernel_dropped),
        ] {
            losses.push((format!("{name}: {what}"), count));
        }
    }
    losses.push((
        "join: came too late".to_owned(),
        read(&status.pipeline.joined_late),
    ));
    for (name, counters) in &status.sinks {
        let counts = counters.counts();
        losses.push((format!("{name}: rejected"), counts.rejected));
        losses.push((
            format!("{name}: dropped, queue full"),
            counts.dropped_queue_full,
        ));
        losses.push((
            format!("{name}: dropped, disk full"),
            counts.dropped_disk_full,
        ));
        losses.push((format!("{name}: dropped, damaged"), counts.dropped_damaged));
    }
    losses.retain(|(_, count)| *count > 0);
    losses
}

fn is_conserved(status: &Status) -> bool {
    status.pipeline.is_conserved()
        && status
            .sources
            .iter()
            .all(|(_, counters)| counters.snapshot().is_conserved())
        && status
            .sinks
            .iter()
            .all(|(_, counters)| counters.counts().balanced())
}
