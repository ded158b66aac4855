//! Runs rules and baselines over the corpora.

use std::error::Error;

use crate::baselines::BASELINES;
use crate::benign;
use crate::detector::{Alert, Detectors, Panel};
use crate::incidents;
use crate::month::Month;
use crate::random::Random;
use crate::report::{Report, Row};
use crate::scenario::{Scenario, small};

/// How large the corpora are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Users of the ordinary month.
    pub users: usize,
    /// Its days.
    pub days: usize,
    /// Scenarios of each family of false alarms.
    pub benign_each: usize,
    /// Scenarios of each kind of incident.
    pub incidents_each: usize,
}

impl Size {
    /// The full corpora.
    pub const FULL: Self = Self {
        users: 5000,
        days: 30,
        benign_each: 200,
        incidents_each: 200,
    };

    /// The full corpora in proportion; never so few that nothing is measured.
    #[must_use]
    pub fn of_scale(scale: f64) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates"
        )]
        let count = |full: usize, least: f64| (small(full) * scale).round().max(least) as usize;
        Self {
            users: count(Self::FULL.users, 20.0),
            days: Self::FULL.days,
            benign_each: count(Self::FULL.benign_each, 2.0),
            incidents_each: count(Self::FULL.incidents_each, 2.0),
        }
    }

    /// Steps of an evaluation, as [`evaluate`] counts them.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let scenarios = benign::FAMILIES.len() * self.benign_each
            + incidents::KINDS.len() * self.incidents_each;
        let month = self.users * self.days / USER_DAYS_PER_STEP;
        u64::try_from(scenarios + month).unwrap_or(u64::MAX)
    }
}

/// A scenario costs about as much as the days of so many users.
const USER_DAYS_PER_STEP: usize = 10;

/// Makes the corpora of a seed and judges the rules and the baselines by them.
/// `progress` is called with steps done since the last call, of
/// [`Size::steps`] in all.
///
/// # Errors
/// A rule cannot be made anew.
pub fn evaluate(
    rules: &mut dyn Panel,
    seed: u64,
    size: Size,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, Box<dyn Error + Send + Sync>> {
    let mut evaluation = Evaluation::new(rules, seed, size, progress);
    evaluation.benign()?;
    evaluation.incidents()?;
    evaluation.month()?;
    let count = evaluation.rules.names().len();
    Ok(Report::new(seed, size, evaluation.rows, count))
}

struct Evaluation<'a> {
    rules: &'a mut dyn Panel,
    baselines: Detectors,
    rows: Vec<Row>,
    alerts: Vec<Vec<Alert>>,
    random: Random,
    size: Size,
    progress: &'a mut dyn FnMut(u64),
}

fn numbers(count: usize) -> std::ops::Range<u64> {
    0..u64::try_from(count).unwrap_or(u64::MAX)
}

impl<'a> Evaluation<'a> {
    fn new(
        rules: &'a mut dyn Panel,
        seed: u64,
        size: Size,
        progress: &'a mut dyn FnMut(u64),
    ) -> Self {
        let baselines = Detectors::new(&BASELINES);
        let names = rules.names().into_iter().chain(baselines.names());
        let rows: Vec<Row> = names.map(|name| Row::new(&name)).collect();
        Self {
            rules,
            baselines,
            alerts: vec![Vec::new(); rows.len()],
            rows,
            random: Random::new(seed),
            size,
            progress,
        }
    }

    fn reset(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.rules.reset()?;
        self.baselines.reset()
    }

    fn fold(&mut self, events: &[crate::traffic::CorpusEvent]) {
        self.alerts.iter_mut().for_each(Vec::clear);
        let rules = self.rows.len() - BASELINES.len();
        let (own, theirs) = self.alerts.split_at_mut(rules);
        self.rules.fold(events, own);
        self.baselines.fold(events, theirs);
    }

    fn scenario(&mut self, scenario: &Scenario) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.reset()?;
        self.fold(&scenario.events);
        (self.progress)(1);
        Ok(())
    }

    fn benign(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        for family in 0..benign::FAMILIES.len() {
            for number in numbers(self.size.benign_each) {
                let scenario = benign::scenario(family, number, &self.random);
                self.scenario(&scenario)?;
                for (row, alerts) in self.rows.iter_mut().zip(&self.alerts) {
                    row.benign(family, number, alerts.len());
                }
            }
        }
        Ok(())
    }

    fn incidents(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        for kind in 0..incidents::KINDS.len() {
            for number in numbers(self.size.incidents_each) {
                let scenario = incidents::scenario(kind, number, &self.random);
                let begins = scenario.incident.unwrap_or(i64::MAX);
                self.scenario(&scenario)?;
                for (row, alerts) in self.rows.iter_mut().zip(&self.alerts) {
                    let right = alerts.iter().filter(|alert| alert.time >= begins).count();
                    row.incident(kind, number, right, alerts.len() - right);
                }
            }
        }
        Ok(())
    }

    fn month(&mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        self.reset()?;
        let Size { users, days, .. } = self.size;
        let mut done = 0;
        for (day, events) in Month::new(users, days, &self.random).enumerate() {
            self.fold(&events);
            for (row, alerts) in self.rows.iter_mut().zip(&self.alerts) {
                row.month(alerts.len());
                row.events += events.len();
            }
            let reached = users * (day + 1) / USER_DAYS_PER_STEP;
            (self.progress)(u64::try_from(reached - done).unwrap_or(0));
            done = reached;
        }
        for row in &mut self.rows {
            row.user_days = small(users) * small(days);
        }
        Ok(())
    }
}
