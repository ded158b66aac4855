//! Enrichment and rules for one batch: what `run`, `replay` and `explain` have
//! in common. No I/O, no threads, no clock.

use std::sync::Arc;

use sidewatch_engine::{RawFinding, RuleSet};
use sidewatch_enrich::Enricher;
use sidewatch_event::{Event, Finding};

use super::Aliases;
use super::announce;
use super::hidden_clients::HiddenClients;

/// Enricher and rules together.
#[derive(Debug)]
pub struct Processor {
    /// Fills in what is known about the client.
    pub enricher: Enricher,
    /// The rules in force.
    pub rules: RuleSet,
    /// Whether a proxy hides the clients.
    pub clients: HiddenClients,
    /// Findings held back because of that.
    pub withheld: u64,
    /// Names of users by their identifiers.
    pub(super) aliases: Aliases,
    raw: Vec<RawFinding>,
}

impl Processor {
    /// A processor with an empty batch.
    #[must_use]
    pub fn new(enricher: Enricher, rules: RuleSet) -> Self {
        Self {
            enricher,
            rules,
            clients: HiddenClients::default(),
            withheld: 0,
            aliases: Aliases::new(None),
            raw: Vec::new(),
        }
    }

    /// Fills in names of users by their identifiers.
    #[must_use]
    pub fn with_aliases(mut self, aliases: Aliases) -> Self {
        self.aliases = aliases;
        self
    }

    /// Enriches and evaluates a batch in place. The findings are kept for
    /// [`Processor::take_findings`] and refer to the batch by index.
    pub fn evaluate(&mut self, events: &mut [Box<Event>]) {
        self.raw.clear();
        for event in &mut *events {
            if event.time == 0 {
                event.time = event.received;
            }
            self.aliases.apply(event);
            self.enricher.enrich(event);
            self.clients.observe(event);
        }
        self.clients.review();
        self.rules.evaluate(events, &mut self.raw);
        announce::findings(events, &mut self.raw);
        let found = self.raw.len();
        self.raw
            .retain(|finding| !self.clients.withholds(&finding.evidence));
        self.withheld += (found - self.raw.len()) as u64;
    }

    /// Evaluates a batch without enriching it: for outputs that show nothing
    /// but the record itself.
    pub fn map(&mut self, events: &mut [Box<Event>]) {
        self.raw.clear();
        self.rules.evaluate(events, &mut self.raw);
    }

    /// Whether the last batch raised findings.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        !self.raw.is_empty()
    }

    /// The findings of the last batch, complete with their events. `event_of`
    /// gives the event at an index of the batch.
    pub fn take_findings(
        &mut self,
        event_of: impl Fn(usize) -> Option<Arc<Event>>,
    ) -> Vec<Arc<Finding>> {
        let enricher = &self.enricher;
        self.raw
            .drain(..)
            .filter_map(|raw| {
                let event = event_of(raw.event)?;
                let describe = |address| enricher.describe_address(address).in_words();
                Some(Arc::new(sidewatch_frame::complete(raw, event, describe)))
            })
            .collect()
    }
}
