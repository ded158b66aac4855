//! Compiling and checking in a thread of its own, while the thread that
//! decides goes on with what takes no time.

use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use serde_json::json;

use super::gate::Refusal;
use super::request::{Asked, RulesRequest};
use super::{Lifecycle, REQUESTS};

/// How often it is looked whether somebody asks.
const GLANCE: Duration = Duration::from_millis(20);

/// Requests that wait for the end of a check.
pub(super) type Postponed = VecDeque<Asked>;

impl Lifecycle {
    /// Has work done beside; until it is, requests that take no time are
    /// answered and others wait.
    pub(super) fn aside<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (sender, receiver) = sync_channel(1);
        std::thread::Builder::new()
            .name("rule-check".to_owned())
            .spawn(move || drop(sender.send(work())))
            .map_err(|error| Refusal::new("check", error))?;
        loop {
            match receiver.recv_timeout(GLANCE) {
                Ok(done) => return done,
                Err(RecvTimeoutError::Timeout) => self.meanwhile(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Refusal::new("check", "checking it broke"));
                }
            }
        }
    }

    fn meanwhile(&mut self) {
        self.tell_announcements();
        while let Ok(asked) = self.requests.try_recv() {
            let at_once = matches!(
                asked.request,
                RulesRequest::Rollback { .. }
                    | RulesRequest::Enable { .. }
                    | RulesRequest::Disable { .. }
                    | RulesRequest::EndShadow { .. }
            );
            if at_once {
                self.serve(asked);
            } else if self.postponed.len() < REQUESTS {
                self.postponed.push_back(asked);
            } else {
                let answer = json!({ "error": "too many requests wait; try again" });
                drop(asked.answer.try_send(answer));
            }
        }
    }

    /// Does what is asked; whoever lost patience meanwhile gets nothing.
    pub(super) fn serve(&mut self, asked: Asked) {
        let answer = self.answer(asked.request, &asked.by);
        drop(asked.answer.try_send(answer));
    }
}
