//! Records on their way from one place in the journal to another: findings that
//! outlive the drop of older records, and dead letters offered again.
//!
//! Invariant: the frame that tells that they have left their old place is the
//! one that holds them; until it is in safety they are in the shared state or
//! at the end of the first batch of the group being written.

use crate::batch::Batch;
use crate::commit::Worker;

impl Worker {
    /// Adds records that are offered again. They go into the first frame,
    /// which is the one that tells of the drop: a torn write cannot part them.
    pub(crate) fn take_carried(&mut self, group: &mut Vec<Box<Batch>>) {
        let carried = std::mem::take(&mut self.shared.lock().carried);
        if carried.is_empty() {
            return;
        }
        self.in_group += carried.len();
        match group.first_mut() {
            Some(first) => first.records.extend(carried),
            None => group.push(Box::new(Batch::of(carried, 0))),
        }
    }

    /// Takes them out again: what is written before the group tells of the
    /// drop, so it has to hold them.
    pub(crate) fn leave_carried(&mut self, group: &mut [Box<Batch>]) {
        let count = std::mem::take(&mut self.in_group);
        let Some(first) = group.first_mut() else {
            return;
        };
        let own = first.records.len().saturating_sub(count);
        let carried = first.records.split_off(own);
        self.shared.lock().carried.splice(0..0, carried);
    }
}
