//! Scores, and how they are shown.

use std::collections::BTreeSet;
use std::fmt;

use crate::benign::FAMILIES;
use crate::evaluate::Size;
use crate::incidents::KINDS;
use crate::scenario::small;

/// What one detector did.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Alerts in each family of false alarms.
    pub families: [usize; FAMILIES.len()],
    /// Incidents of each kind that were found, by their numbers.
    pub found: [BTreeSet<u64>; KINDS.len()],
    /// Benign scenarios with alerts: family and number.
    pub wrong: Vec<(usize, u64)>,
    /// Alerts during incidents.
    pub true_alerts: usize,
    /// Alerts before incidents, on their victims' ordinary days.
    pub early_alerts: usize,
    /// Alerts in the ordinary month.
    pub month_alerts: usize,
    /// Users times days of that month.
    pub user_days: f64,
    /// Events of that month.
    pub events: usize,
}

impl Row {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            families: [0; FAMILIES.len()],
            found: std::array::from_fn(|_| BTreeSet::new()),
            wrong: Vec::new(),
            true_alerts: 0,
            early_alerts: 0,
            month_alerts: 0,
            user_days: 0.0,
            events: 0,
        }
    }

    pub(crate) fn benign(&mut self, family: usize, number: u64, alerts: usize) {
        if alerts > 0 {
            self.wrong.push((family, number));
        }
        if let Some(count) = self.families.get_mut(family) {
            *count += alerts;
        }
    }

    pub(crate) fn incident(&mut self, kind: usize, number: u64, right: usize, early: usize) {
        self.true_alerts += right;
        self.early_alerts += early;
        if let Some(found) = self.found.get_mut(kind).filter(|_| right > 0) {
            found.insert(number);
        }
    }

    pub(crate) fn month(&mut self, alerts: usize) {
        self.month_alerts += alerts;
    }

    /// Alerts in the sixteen families of false alarms.
    #[must_use]
    pub fn family_alerts(&self) -> usize {
        self.families.iter().sum()
    }

    /// Every alert outside an incident.
    #[must_use]
    pub fn false_alerts(&self) -> usize {
        self.family_alerts() + self.early_alerts + self.month_alerts
    }

    /// Share of alerts that were right; `None` without any.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        let all = self.true_alerts + self.false_alerts();
        (all > 0).then(|| small(self.true_alerts) / small(all))
    }

    /// False alerts of an ordinary month per thousand users and day.
    #[must_use]
    pub fn alerts_per_thousand_user_days(&self) -> f64 {
        small(self.month_alerts) / self.user_days.max(1.0) * 1000.0
    }

    /// Share of the incidents of the chosen kinds that were found.
    #[must_use]
    pub fn recall(&self, incidents_each: usize, chosen: impl Fn(usize) -> bool) -> f64 {
        let kinds: Vec<usize> = (0..KINDS.len()).filter(|kind| chosen(*kind)).collect();
        let found: usize = kinds
            .iter()
            .filter_map(|kind| self.found.get(*kind))
            .map(BTreeSet::len)
            .sum();
        small(found) / small(kinds.len() * incidents_each).max(1.0)
    }

    fn join(&mut self, other: &Self) {
        for (mine, theirs) in self.families.iter_mut().zip(&other.families) {
            *mine += theirs;
        }
        for (mine, theirs) in self.found.iter_mut().zip(&other.found) {
            mine.extend(theirs);
        }
        self.wrong.extend(&other.wrong);
        self.true_alerts += other.true_alerts;
        self.early_alerts += other.early_alerts;
        self.month_alerts += other.month_alerts;
        (self.user_days, self.events) = (other.user_days, other.events);
    }
}

/// The scores of every rule and baseline.
#[derive(Debug, Clone)]
pub struct Report {
    /// Seed of the corpora.
    pub seed: u64,
    /// Their size.
    pub size: Size,
    /// One row per rule.
    pub rules: Vec<Row>,
    /// One row per baseline.
    pub baselines: Vec<Row>,
    /// The rules about places together: what the baselines are up against.
    pub places: Row,
    /// All rules together.
    pub all: Row,
}

/// Rules that look at places, as the baselines do.
const OF_PLACES: [&str; 3] = ["impossible-travel", "session-moved", "account-sharing"];

fn of_places(kind: usize) -> bool {
    KINDS.get(kind).is_some_and(|kind| kind.of_places)
}

fn has_duty(name: &str, kind: usize) -> bool {
    KINDS
        .get(kind)
        .is_some_and(|kind| kind.duty.contains(&name))
}

impl Report {
    pub(crate) fn new(seed: u64, size: Size, mut rows: Vec<Row>, rules: usize) -> Self {
        let baselines = rows.split_off(rules.min(rows.len()));
        let together = |name: &str, fits: &dyn Fn(&Row) -> bool| {
            let mut sum = Row::new(name);
            for row in rows.iter().filter(|row| fits(row)) {
                sum.join(row);
            }
            sum
        };
        let places = together("the three about places", &|row| {
            OF_PLACES.contains(&row.name.as_str())
        });
        let all = together("all rules", &|_| true);
        Self {
            seed,
            size,
            rules: rows,
            baselines,
            places,
            all,
        }
    }

    /// Share of the incidents found that can be seen from places.
    #[must_use]
    pub fn recall_of_places(&self, row: &Row) -> f64 {
        row.recall(self.size.incidents_each, of_places)
    }

    /// Share of all incidents found.
    #[must_use]
    pub fn recall(&self, row: &Row) -> f64 {
        row.recall(self.size.incidents_each, |_| true)
    }

    /// Share found of the incidents the rule exists for.
    #[must_use]
    pub fn recall_of_duty(&self, row: &Row) -> f64 {
        row.recall(self.size.incidents_each, |kind| has_duty(&row.name, kind))
    }

    /// Whether the goals are reached: no alert on the benign families, a recall
    /// of 0.95, and, of what places show, more found than by each baseline
    /// with fewer false alerts.
    #[must_use]
    pub fn reaches_goals(&self) -> bool {
        self.goals().iter().all(|(_, reached)| *reached)
    }

    /// The goals in words, and whether each is reached.
    #[must_use]
    pub fn goals(&self) -> Vec<(String, bool)> {
        let recall = self.recall(&self.all);
        let mut goals = vec![
            (
                format!("no alert on FP-16 ({})", self.all.family_alerts()),
                self.all.family_alerts() == 0,
            ),
            (
                format!("recall at least 0.95 ({recall:.3})"),
                recall >= 0.95,
            ),
        ];
        for baseline in &self.baselines {
            let recalls = (
                self.recall_of_places(&self.places),
                self.recall_of_places(baseline),
            );
            goals.push((
                format!("found more than `{}`", baseline.name),
                recalls.0 > recalls.1,
            ));
            goals.push((
                format!("fewer false alerts than `{}`", baseline.name),
                self.places.false_alerts() < baseline.false_alerts(),
            ));
        }
        goals
    }

    fn line(&self, formatter: &mut fmt::Formatter<'_>, row: &Row, recall: f64) -> fmt::Result {
        let precision = row
            .precision()
            .map_or_else(|| "-".to_owned(), |precision| format!("{precision:.3}"));
        writeln!(
            formatter,
            "{:<32} {:>8} {:>9} {:>9.3} {:>8} {:>10} {:>14.3}",
            row.name,
            row.true_alerts,
            precision,
            recall,
            row.family_alerts(),
            row.early_alerts + row.month_alerts,
            row.alerts_per_thousand_user_days()
        )
    }

    fn head(formatter: &mut fmt::Formatter<'_>, recall: &str) -> fmt::Result {
        writeln!(
            formatter,
            "{:<32} {:>8} {:>9} {:>9} {:>8} {:>10} {:>14}",
            "", "right", "precision", recall, "FP-16", "otherwise", "per 1000 users"
        )?;
        writeln!(
            formatter,
            "{:<32} {:>8} {:>9} {:>9} {:>8} {:>10} {:>14}",
            "", "alerts", "", "", "alerts", "false", "and day"
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size {
            users,
            days,
            benign_each,
            incidents_each,
        } = self.size;
        writeln!(
            formatter,
            "seed {}: {users} users over {days} days ({} events), {benign_each} scenarios of each of {} benign families, \
             {incidents_each} of each of {} kinds of incident\n",
            self.seed,
            self.all.events,
            FAMILIES.len(),
            KINDS.len()
        )?;
        Self::head(formatter, "recall*")?;
        for row in &self.rules {
            self.line(formatter, row, self.recall_of_duty(row))?;
        }
        self.line(formatter, &self.all, self.recall(&self.all))?;
        writeln!(formatter, "* of the incidents the rule exists for\n")?;
        Self::head(formatter, "recall*")?;
        for row in std::iter::once(&self.places).chain(&self.baselines) {
            self.line(formatter, row, self.recall_of_places(row))?;
        }
        writeln!(
            formatter,
            "* of the incidents that can be seen from places\n"
        )?;
        self.tables(formatter)?;
        writeln!(formatter)?;
        for (goal, reached) in self.goals() {
            let word = if reached { "reached" } else { "MISSED " };
            writeln!(formatter, "{word}  {goal}")?;
        }
        Ok(())
    }
}

impl Report {
    /// Which detector found what, and where it was wrong.
    fn tables(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = || {
            std::iter::once(&self.places)
                .chain(std::iter::once(&self.all))
                .chain(&self.baselines)
        };
        writeln!(
            formatter,
            "{:<52} places    all  1000/3h  900/h  100/day",
            "found, of 100"
        )?;
        for (kind, name) in KINDS.iter().map(|kind| kind.name).enumerate() {
            write!(formatter, "{name:<52}")?;
            for row in columns() {
                let found = row.recall(self.size.incidents_each, |other| other == kind) * 100.0;
                write!(formatter, " {found:>6.1}")?;
            }
            writeln!(formatter)?;
        }
        writeln!(
            formatter,
            "\n{:<52} places    all  1000/3h  900/h  100/day",
            "false alerts by family"
        )?;
        for (family, name) in FAMILIES.iter().enumerate() {
            write!(formatter, "{name:<52}")?;
            for row in columns() {
                write!(
                    formatter,
                    " {:>6}",
                    row.families.get(family).copied().unwrap_or(0)
                )?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}
