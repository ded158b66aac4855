//! Wakes the pipeline once per round of the runtime instead of once per
//! request: waking a thread costs more than answering a request does.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::intake::Intake;

#[derive(Debug, Default)]
pub(super) struct Wakes {
    due: AtomicBool,
    notify: Notify,
}

impl Wakes {
    /// Asks for a wake-up after the requests that are ready now.
    pub(super) fn request(&self) {
        if !self.due.swap(true, Ordering::AcqRel) {
            self.notify.notify_one();
        }
    }

    /// Wakes the pipeline whenever asked; never returns.
    pub(super) async fn run(&self, intake: &Intake) {
        loop {
            self.notify.notified().await;
            // Lets every connection that is ready be served first.
            tokio::task::yield_now().await;
            self.due.store(false, Ordering::Release);
            intake.wake();
        }
    }
}
