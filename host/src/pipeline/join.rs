//! Joining a mirrored request with its access-log line.
//!
//! The mirror knows user, session and body but not the outcome; the log line
//! knows status and size. Both carry nginx' `$request_id`. Whichever comes
//! first waits, in a bounded place and for a bounded time, and then goes on
//! alone: a lost half costs detail, never the event. A line that comes after
//! its request has gone on tells how it ended, so it follows as an event of its
//! own with the request's user and session: whoever delays a request must not
//! hide that its login failed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hashbrown::HashMap;
use sidewatch_event::{Event, Field};

use crate::config::JoinSettings;

/// Identifiers of requests that went on alone, remembered so that a late
/// other half is not taken for another request.
const REMEMBERED: usize = 65_536;
/// Requests that went on without an outcome, kept for their late lines.
const UNFINISHED: usize = 4_096;

#[derive(Debug)]
struct Waiting {
    event: Box<Event>,
    since: Instant,
    mirrored: bool,
}

/// Holds halves of requests until the other half or their time comes.
#[derive(Debug)]
pub(super) struct Join {
    window: Duration,
    line_window: Duration,
    capacity: usize,
    waiting: HashMap<Box<str>, Waiting>,
    /// Arrivals in order; entries whose half is gone are skipped.
    order: VecDeque<(Instant, Box<str>)>,
    gone: HashMap<Box<str>, bool>,
    gone_order: VecDeque<Box<str>>,
    unfinished: HashMap<Box<str>, Box<Event>>,
    unfinished_order: VecDeque<Box<str>>,
    /// Requests put together.
    pub(super) joined: u64,
    /// Halves that came after the other had gone on alone and said nothing
    /// new; they are dropped.
    pub(super) late: u64,
}

impl Join {
    pub(super) fn new(settings: &JoinSettings) -> Self {
        Self {
            window: Duration::from_millis(settings.window_ms),
            line_window: Duration::from_millis(settings.line_window_ms),
            capacity: settings.capacity.max(1),
            waiting: HashMap::new(),
            order: VecDeque::new(),
            gone: HashMap::new(),
            gone_order: VecDeque::new(),
            unfinished: HashMap::new(),
            unfinished_order: VecDeque::new(),
            joined: 0,
            late: 0,
        }
    }

    /// How many halves wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes an event; whole ones and those without an identifier come out at
    /// once. `mirrored` tells the two halves apart.
    pub(super) fn feed(
        &mut self,
        event: Box<Event>,
        mirrored: bool,
        now: Instant,
        out: &mut Vec<Box<Event>>,
    ) {
        let Some(id) = event
            .get(Field::HttpRequestId)
            .filter(|id| !id.is_empty() && id.len() <= 128)
        else {
            out.push(event);
            return;
        };
        if self.gone.get(id).is_some_and(|gone| *gone != mirrored) {
            match self.unfinished.remove(id) {
                Some(request) if !mirrored => {
                    let mut line = event;
                    line.fill_from(&request);
                    out.push(line);
                }
                _ => self.late += 1,
            }
            return;
        }
        match self.waiting.get(id) {
            Some(waiting) if waiting.mirrored != mirrored => {
                if let Some(other) = self.waiting.remove(id) {
                    let (mut request, line) = if mirrored {
                        (event, other.event)
                    } else {
                        (other.event, event)
                    };
                    request.fill_from(&line);
                    self.joined += 1;
                    out.push(request);
                }
            }
            // The same half twice is no pair: a client can choose its own id.
            Some(_) => out.push(event),
            None => {
                let id: Box<str> = id.into();
                self.order.push_back((now, id.clone()));
                self.waiting.insert(
                    id,
                    Waiting {
                        event,
                        since: now,
                        mirrored,
                    },
                );
                if self.waiting.len() > self.capacity {
                    self.release_oldest(out);
                }
            }
        }
    }

    fn release_oldest(&mut self, out: &mut Vec<Box<Event>>) {
        while let Some((since, id)) = self.order.pop_front() {
            if self
                .waiting
                .get(&id)
                .is_some_and(|waiting| waiting.since == since)
            {
                self.release(id, out);
                return;
            }
        }
    }

    fn release(&mut self, id: Box<str>, out: &mut Vec<Box<Event>>) {
        if let Some(waiting) = self.waiting.remove(&id) {
            if waiting.mirrored && waiting.event.status == 0 {
                self.remember_unfinished(id.clone(), waiting.event.clone());
            }
            out.push(waiting.event);
            self.gone_order.push_back(id.clone());
            self.gone.insert(id, waiting.mirrored);
            if self.gone_order.len() > REMEMBERED
                && let Some(oldest) = self.gone_order.pop_front()
            {
                self.gone.remove(&oldest);
            }
        }
    }

    fn remember_unfinished(&mut self, id: Box<str>, request: Box<Event>) {
        self.unfinished_order.push_back(id.clone());
        self.unfinished.insert(id, request);
        if self.unfinished_order.len() > UNFINISHED
            && let Some(oldest) = self.unfinished_order.pop_front()
        {
            self.unfinished.remove(&oldest);
        }
    }

    /// Lets go what has waited long enough. Lines wait less than requests, so
    /// the order of arrival is not the order of expiry; both are looked at.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Box<Event>>) {
        let shortest = self.window.min(self.line_window);
        let mut kept = VecDeque::new();
        while let Some((since, id)) = self.order.pop_front() {
            let waited = now.saturating_duration_since(since);
            if waited < shortest {
                self.order.push_front((since, id));
                break;
            }
            match self
                .waiting
                .get(&id)
                .filter(|waiting| waiting.since == since)
            {
                None => {}
                Some(waiting)
                    if waited
                        >= if waiting.mirrored {
                            self.window
                        } else {
                            self.line_window
                        } =>
                {
                    self.release(id, out);
                }
                Some(_) => kept.push_back((since, id)),
            }
        }
        while let Some(entry) = kept.pop_back() {
            self.order.push_front(entry);
        }
    }

    /// Lets everything go, in order of arrival: the sources have ended.
    pub(super) fn drain(&mut self, out: &mut Vec<Box<Event>>) {
        while let Some((since, id)) = self.order.pop_front() {
            if self
                .waiting
                .get(&id)
                .is_some_and(|waiting| waiting.since == since)
            {
                self.release(id, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(id: &str, status: u16) -> Box<Event> {
        let mut event = Box::new(Event::new());
        event.status = status;
        event.set(Field::HttpRequestId, id);
        event
    }

    #[test]
    fn halves_are_joined_in_either_order() {
        let now = Instant::now();
        for mirror_first in [true, false] {
            let mut join = Join::new(&JoinSettings::default());
            let mut out = Vec::new();
            let mut request = half("a", 0);
            request.set(Field::UserId, "u1");
            if mirror_first {
                join.feed(request, true, now, &mut out);
                join.feed(half("a", 401), false, now, &mut out);
            } else {
                join.feed(half("a", 401), false, now, &mut out);
                join.feed(request, true, now, &mut out);
            }
            assert_eq!(out.len(), 1);
            assert_eq!(
                (out[0].status, out[0].get(Field::UserId)),
                (401, Some("u1"))
            );
            assert_eq!((join.len(), join.joined), (0, 1));
        }
    }

    #[test]
    fn a_lone_half_goes_on_after_its_time_and_its_late_line_tells_the_outcome_once() {
        let start = Instant::now();
        let mut join = Join::new(&JoinSettings::default());
        let mut out = Vec::new();
        let mut request = half("a", 0);
        request.set(Field::UserId, "u1");
        join.feed(request, true, start, &mut out);
        join.expire(start + Duration::from_millis(1_999), &mut out);
        assert!(out.is_empty());
        join.expire(start + Duration::from_millis(2_001), &mut out);
        assert_eq!(out.len(), 1);
        for _ in 0..2 {
            let late = start + Duration::from_secs(3);
            join.feed(half("a", 401), false, late, &mut out);
        }
        assert_eq!((out.len(), join.late), (2, 1));
        assert_eq!(
            (out[1].status, out[1].get(Field::UserId)),
            (401, Some("u1"))
        );
    }

    #[test]
    fn lines_wait_less_than_requests() {
        let start = Instant::now();
        let mut join = Join::new(&JoinSettings::default());
        let mut out = Vec::new();
        join.feed(half("request", 0), true, start, &mut out);
        join.feed(half("line", 200), false, start, &mut out);
        join.expire(start + Duration::from_millis(600), &mut out);
        assert_eq!(out.len(), 1);
        assert_eq!(out[0].status, 200);
        join.feed(
            half("request", 302),
            false,
            start + Duration::from_millis(700),
            &mut out,
        );
        assert_eq!(out.len(), 2);
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost() {
        let now = Instant::now();
        let mut join = Join::new(&JoinSettings {
            capacity: 10,
            ..JoinSettings::default()
        });
        let mut out = Vec::new();
        for n in 0..100 {
            join.feed(half(&n.to_string(), 0), true, now, &mut out);
        }
        assert_eq!((join.len(), out.len()), (10, 90));
        join.drain(&mut out);
        assert_eq!((join.len(), out.len()), (0, 100));
    }

    #[test]
    fn a_repeated_identifier_is_no_pair() {
        let now = Instant::now();
        let mut join = Join::new(&JoinSettings::default());
        let mut out = Vec::new();
        join.feed(half("a", 0), true, now, &mut out);
        join.feed(half("a", 0), true, now, &mut out);
        join.drain(&mut out);
        assert_eq!(out.len(), 2);
    }
}
