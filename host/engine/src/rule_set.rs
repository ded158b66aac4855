//! The rules that are in force, in their order: mappings first, detections on
//! what the mappings made of the events.

use sidewatch_event::Event;

use crate::detection::{DetectionRule, RawFinding, numbers};
use crate::mapping::MappingRule;
use crate::rows::{EventNumbers, Row};

/// Which sources a mapping applies to.
#[derive(Debug)]
pub struct RoutedMapping {
    /// The rule.
    pub rule: MappingRule,
    /// Identifiers of the sources whose events it sees; empty means all.
    pub sources: Vec<std::sync::Arc<str>>,
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// Mappings, in order.
    pub mappings: Vec<RoutedMapping>,
    /// Detections, in order.
    pub detections: Vec<DetectionRule>,
    /// Numbers of the events of a batch; kept for its room.
    rows: Vec<Row<EventNumbers>>,
}

impl RuleSet {
    /// Maps a batch in place and folds it; findings are appended, by rule and
    /// within a rule by frame.
    pub fn evaluate(&mut self, events: &mut [Box<Event>], findings: &mut Vec<RawFinding>) {
        for RoutedMapping { rule, sources } in &mut self.mappings {
            rule.map(events, |event| {
                sources.is_empty()
                    || event
                        .source
                        .as_ref()
                        .is_some_and(|source| sources.iter().any(|admitted| admitted == source))
            });
        }
        if self.detections.is_empty() {
            return;
        }
        self.rows.clear();
        self.rows.extend(events.iter().map(|event| numbers(event)));
        for rule in &mut self.detections {
            rule.fold_rows(events, &self.rows, findings);
        }
    }
}
