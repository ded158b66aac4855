//! Changing the rules in force between two frames.
//!
//! Whoever decides prepares everything beside the traffic and hands it over
//! here; the folding thread takes it between two batches. What a change
//! replaces goes back, so that the folding thread does not even pay for
//! throwing it away. While nothing is asked, that costs one atomic read.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::canary::SampledState;
use crate::detection::DetectionRule;
use crate::rule_set::{Announcement, RoutedMapping, RuleSet};
use crate::shadow::ShadowReport;

/// A change to the rules in force.
#[derive(Debug)]
pub enum Change {
    /// Puts a version in force in place of the one of the same name, or as the
    /// last rule.
    Put(Box<DetectionRule>),
    /// Takes a rule out. Its states wait for its return.
    Remove(String),
    /// Orders the rules; those not named keep their order behind.
    Order(Vec<String>),
    /// Puts the version before in force again.
    RollBack(String),
    /// Switches a rule on or off; its states stay.
    Switch {
        /// The rule.
        id: String,
        /// Whether it works.
        on: bool,
    },
    /// Runs a version beside the one of the same name.
    Shadow(Box<DetectionRule>),
    /// Ends that.
    EndShadow(String),
    /// Replaces all mappings.
    Mappings(Vec<RoutedMapping>),
    /// Copies states, the latest first.
    CopyStates {
        /// Of this rule.
        id: String,
        /// At most so many.
        most: usize,
    },
}

/// What became of a change.
#[derive(Debug)]
pub enum Effect {
    /// It was made; what it replaced, to be dropped elsewhere.
    Done(Vec<Box<DetectionRule>>),
    /// A version is in force again.
    RolledBack {
        /// That version.
        version: Arc<str>,
        /// The version that was in force.
        from: Arc<str>,
    },
    /// It runs in the shadow.
    Shadowed(Arc<ShadowReport>),
    /// Copied states.
    States(Vec<SampledState>),
    /// The mappings that were in force.
    Mappings(Vec<RoutedMapping>),
    /// It cannot be made.
    Refused(String),
}

/// What became of changes.
#[derive(Debug, Default)]
pub struct Answered {
    /// What the rules did of themselves before, and nobody was told yet.
    pub before: Vec<Announcement>,
    /// One for each change.
    pub effects: Vec<Effect>,
}

struct Request {
    changes: Vec<Change>,
    answer: SyncSender<Answered>,
}

/// Nobody took the changes in time; none was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the folding thread did not take the change in time; nothing was changed")]
pub struct Unanswered;

/// Where changes wait for the folding thread.
#[derive(Default)]
pub struct Exchange {
    waiting: AtomicBool,
    requests: Mutex<Vec<Request>>,
    announcements: Mutex<Vec<Announcement>>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Exchange").finish_non_exhaustive()
    }
}

impl Exchange {
    /// Asks for changes, which are made together between two frames, and waits
    /// for their effects; whoever asks has to mind what happened before them.
    ///
    /// # Errors
    /// Nobody folds, or not for as long as the patience lasts.
    pub fn request(
        &self,
        changes: Vec<Change>,
        patience: Duration,
    ) -> Result<Answered, Unanswered> {
        let (answer, effects) = sync_channel(1);
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(Request { changes, answer });
        self.waiting.store(true, Ordering::Release);
        drop(requests);
        if let Ok(effects) = effects.recv_timeout(patience) {
            return Ok(effects);
        }
        // Taken back, unless it is being made at this very moment.
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clear();
        drop(requests);
        effects.try_recv().map_err(|_| Unanswered)
    }

    /// Makes the changes that wait; called by the folding thread between two
    /// batches.
    pub fn between_frames(&self, rules: &mut RuleSet) {
        if !rules.announcements.is_empty() {
            self.tell(std::mem::take(&mut rules.announcements));
        }
        if !self.waiting.load(Ordering::Acquire) {
            return;
        }
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.store(false, Ordering::Release);
        for Request { changes, answer } in requests.drain(..) {
            let answered = Answered {
                before: self.announcements(),
                effects: changes
                    .into_iter()
                    .map(|change| rules.apply(change))
                    .collect(),
            };
            // Whoever lost patience meanwhile gets nothing, but is told later.
            if let Err(lost) = answer.try_send(answered) {
                let (TrySendError::Full(lost) | TrySendError::Disconnected(lost)) = lost;
                self.tell(lost.before);
            }
        }
    }

    fn tell(&self, mut announced: Vec<Announcement>) {
        let mut told = self
            .announcements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        told.append(&mut announced);
    }

    /// What the rules in force did of themselves since the last call.
    #[must_use]
    pub fn announcements(&self) -> Vec<Announcement> {
        let mut told = self
            .announcements
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut told)
    }
}
