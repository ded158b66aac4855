//! Counts events by what, who, where and when.
//!
//! Invariant: memory is bounded whatever the log holds: kinds of events are
//! those of the table, users and addresses are kept in [`Heavy`] tables, days
//! are limited.

use std::collections::BTreeMap;
use std::hash::Hasher as _;
use std::io;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use sidewatch_event::{Annotation, Event, Field, Finding};

use super::heavy::{Counted, Heavy};
use crate::cli::feed::Consumer;

/// Users and addresses held at least.
const USERS: usize = 5_000;
const ADDRESSES: usize = 20_000;
/// Distinct companions (addresses of a user, users of an address) counted.
const COMPANIONS: usize = 1_000;
/// Days held; a longer log is shown without its later days.
const DAYS: usize = 4_000;

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// First and last time, in milliseconds since the Unix epoch.
pub(super) type Period = Option<(i64, i64)>;

/// One kind of event.
#[derive(Debug, Default, Clone)]
pub(super) struct Kind {
    pub(super) product: String,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) severity: u8,
    pub(super) count: u64,
    pub(super) failures: u64,
}

/// What one user or address did.
#[derive(Debug, Default)]
pub(super) struct Activity {
    pub(super) count: u64,
    pub(super) failures: u64,
    pub(super) period: Period,
    /// By index into the kinds.
    pub(super) kinds: HashMap<usize, u64>,
    companions: HashSet<u64>,
}

impl Activity {
    /// Distinct addresses of a user, or users of an address.
    pub(super) fn companions(&self) -> usize {
        self.companions.len()
    }

    fn add(&mut self, kind: usize, failed: bool, time: i64, companion: u64) {
        self.count += 1;
        self.failures += u64::from(failed);
        extend(&mut self.period, time);
        *self.kinds.entry(kind).or_default() += 1;
        if self.companions.len() < COMPANIONS {
            self.companions.insert(companion);
        }
    }
}

impl Counted for Activity {
    fn count(&self) -> u64 {
        self.count
    }
}

/// Everything counted.
#[derive(Debug)]
pub(super) struct Collector {
    pub(super) kinds: Vec<Kind>,
    /// Kinds by what the mapping says; pointers stay valid as long as the rules.
    known: HashMap<usize, usize>,
    /// By name; the empty name stands for nobody.
    pub(super) users: Heavy<String, Activity>,
    pub(super) addresses: Heavy<String, Activity>,
    /// By hour of the day, UTC: all, and failures among them.
    pub(super) hours: [(u64, u64); 24],
    /// By day since the Unix epoch: all, and failures among them.
    pub(super) days: BTreeMap<i64, (u64, u64)>,
    pub(super) period: Period,
    address: String,
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            kinds: Vec::new(),
            known: HashMap::new(),
            users: Heavy::new(USERS),
            addresses: Heavy::new(ADDRESSES),
            hours: [(0, 0); 24],
            days: BTreeMap::new(),
            period: None,
            address: String::new(),
        }
    }
}

/// Whether the application refused or failed.
fn failed(event: &Event) -> bool {
    event.status >= 400 || event.get(Field::EventOutcome) == Some("failure")
}

fn extend(period: &mut Period, time: i64) {
    *period = Some(period.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
}

/// A number for a text, for counting distinct ones.
fn number(text: &str) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

impl Collector {
    fn kind(&mut self, event: &Event) -> usize {
        let annotation = event.annotation.as_ref();
        let pointer = annotation.map_or(0, |annotation| Arc::as_ptr(annotation).addr());
        if let Some(kind) = self.known.get(&pointer) {
            return *kind;
        }
        let kind = Kind::of(event, annotation.map(|annotation| &**annotation));
        let same = |other: &Kind| {
            (&other.product, &other.code, &other.name) == (&kind.product, &kind.code, &kind.name)
        };
        let at = self.kinds.iter().position(same).unwrap_or_else(|| {
            self.kinds.push(kind);
            self.kinds.len() - 1
        });
        self.known.insert(pointer, at);
        at
    }

    fn count(&mut self, event: &Event) {
        let kind = self.kind(event);
        let failed = failed(event);
        let time = event.time;
        if let Some(kind) = self.kinds.get_mut(kind) {
            kind.count += 1;
            kind.failures += u64::from(failed);
        }
        self.address.clear();
        match event.source_ip.or(event.peer_ip) {
            Some(address) => self.address.push_str(&address.to_string()),
            None => self
                .address
                .push_str(event.get(Field::SourceAddress).unwrap_or("unknown")),
        }
        let user = event
            .get(Field::UserName)
            .or(event.get(Field::UserId))
            .unwrap_or_default();
        let (of_user, of_address) = (number(&self.address), number(user));
        self.users.entry(user).add(kind, failed, time, of_user);
        let address = self.addresses.entry(self.address.as_str());
        address.add(kind, failed, time, of_address);
        extend(&mut self.period, time);
        let hour = usize::try_from(time.rem_euclid(DAY_MS) / HOUR_MS).unwrap_or(0);
        let day = time.div_euclid(DAY_MS);
        if let Some((all, failures)) = self.hours.get_mut(hour) {
            *all += 1;
            *failures += u64::from(failed);
        }
        if self.days.len() < DAYS || self.days.contains_key(&day) {
            let (all, failures) = self.days.entry(day).or_default();
            *all += 1;
            *failures += u64::from(failed);
        }
    }
}

impl Kind {
    fn of(event: &Event, annotation: Option<&Annotation>) -> Self {
        let text = |field| {
            let text = annotation.and_then(|annotation| annotation.get(field));
            text.unwrap_or_default().to_owned()
        };
        let mut name = text(Field::SidewatchName);
        if name.is_empty() {
            name = text(Field::EventAction);
        }
        if name.is_empty() {
            name.push_str("Request");
        }
        Self {
            product: text(Field::ObserverProduct),
            code: text(Field::EventCode),
            name,
            severity: event.severity_or_mapped(),
            ..Self::default()
        }
    }
}

impl Consumer for Collector {
    fn event(&mut self, event: Box<Event>) -> io::Result<Option<Box<Event>>> {
        self.count(&event);
        Ok(Some(event))
    }

    fn finding(&mut self, _: &Arc<Finding>) -> io::Result<()> {
        Ok(())
    }
}
