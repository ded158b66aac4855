//! What became of the lines.
//!
//! Invariant: every line is in exactly one of events, discarded, suppressed and
//! unreadable.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sidewatch_event::{Event, Field, Finding};

use super::show;

/// Code of events whose mapping only says that something was done.
const UNSPECIFIED: &str = "1";

/// Counters of one run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lines read.
    pub lines: u64,
    /// Lines that became events.
    pub events: u64,
    /// Of these, events the mapping could say nothing particular about.
    pub unspecified: u64,
    /// Of these, events that name a user.
    pub with_user: u64,
    /// Lines a mapping calls noise.
    pub discarded: u64,
    /// Events left out because the operator asked for it.
    pub suppressed: u64,
    /// Lines that could not be read.
    pub unreadable: u64,
    /// Lines at the end of a file that have no end yet; left for the next run.
    pub unfinished: u64,
    /// Events the output refused for good.
    pub refused: u64,
    /// Incidents and users by kind of finding.
    pub findings: BTreeMap<Arc<str>, (BTreeSet<u64>, BTreeSet<u64>)>,
}

impl Tally {
    /// Counts an event the mapping has seen.
    pub(crate) fn event(&mut self, event: &Event) {
        let code = event.get(Field::EventCode).filter(|code| !code.is_empty());
        match (event.suppressed, code) {
            (true, None) => self.discarded += 1,
            (true, Some(_)) => self.suppressed += 1,
            (false, code) => {
                self.events += 1;
                self.unspecified += u64::from(code == Some(UNSPECIFIED));
                self.with_user += u64::from(event.own(Field::UserName).is_some());
            }
        }
    }

    /// Counts a finding.
    pub(crate) fn finding(&mut self, finding: &Finding) {
        let (incidents, users) = self.findings.entry(Arc::clone(&finding.kind)).or_default();
        incidents.insert(finding.incident);
        users.insert(finding.event.keys.user);
    }

    /// Whether everything that was read has been understood and passed on.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unreadable == 0 && self.refused == 0
    }

    /// The counters in words.
    pub(crate) fn text(&self, elapsed: Duration) -> String {
        let rate = self.lines as f64 / elapsed.as_secs_f64().max(1e-9);
        let mut text = format!(
            "{} lines in {:.1} s ({rate:.0}/s): {} events, {} discarded, {} suppressed, {} unreadable\n",
            self.lines,
            elapsed.as_secs_f64(),
            self.events,
            self.discarded,
            self.suppressed,
            self.unreadable
        );
        if self.unspecified > 0 {
            text.push_str(&format!(
                "  of the events, {} specific and {} unspecified activity\n",
                self.events - self.unspecified,
                self.unspecified
            ));
        }
        for (count, what) in [
            (
                self.unfinished,
                "at the end of a file without an end yet, left for the next run",
            ),
            (self.refused, "refused by the output"),
        ] {
            if count > 0 {
                text.push_str(&format!("  {count} {what}\n"));
            }
        }
        text
    }

    /// The findings in words.
    pub(crate) fn findings_text(&self) -> String {
        let findings = self
            .findings
            .iter()
            .map(|(kind, (incidents, users))| (&**kind, incidents.len(), users.len()));
        let table = show::summary(findings);
        if table.is_empty() {
            "  no findings\n".to_owned()
        } else {
            table
        }
    }
}
