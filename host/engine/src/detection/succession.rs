//! One version of a rule goes on where another was.
//!
//! Invariant: states under a key are of use only to versions with that key.

use std::sync::Arc;

use sidewatch_event::Event;

use super::DetectionRule;
use crate::failure_rate::{FailureRate, Verdict};
use crate::quarantine::Quarantine;
use crate::state::States;
use crate::suspension::Suspension;

impl DetectionRule {
    pub(crate) fn switch(&mut self, on: bool) {
        self.on = on;
        self.suspension = Suspension::default();
        self.quarantine = Quarantine::default();
        self.failure_rate = FailureRate::new(self.limits.failures);
    }

    /// As [`Self::switch`], because somebody wishes it.
    pub(crate) fn wish(&mut self, on: bool) {
        self.unwanted = !on;
        self.switch(on);
    }

    /// Goes on where another version is: its counters, whether it is wished
    /// off, and its states. Where the key differs those are of no use; both
    /// keep their own.
    pub(crate) fn take_over(&mut self, other: &mut Self) {
        self.counters = Arc::clone(&other.counters);
        if self.has_key_of(other) {
            self.adopt(other.give_states());
        }
        self.wish(!other.unwanted);
        self.verdict = Verdict::Fine;
    }

    pub(crate) fn has_key_of(&self, other: &Self) -> bool {
        self.descriptor.key == other.descriptor.key
    }

    /// Its states, which it has no more.
    pub(crate) fn give_states(&mut self) -> States {
        std::mem::replace(&mut self.states, States::new(0, 0))
    }

    /// These are its states now.
    pub(crate) fn adopt(&mut self, mut states: States) {
        states.set_bounds(self.limits.state_bytes, self.descriptor.state_ttl);
        self.states = states;
    }

    /// Takes up the states another version has for these events, where it has
    /// none of its own.
    pub(crate) fn take_up_states(&mut self, other: &Self, events: &[Box<Event>]) {
        if !self.has_key_of(other) {
            return;
        }
        for event in events {
            if let Some(key) = self.key.of(event)
                && self.states.kept(key).is_none()
                && let Some(kept) = other.states.kept(key)
            {
                self.states.restore(key, kept);
            }
        }
    }
}
