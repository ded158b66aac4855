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
    /// The store has it.
    parked: bool,
}

/// What the store has to learn of waiting halves.
#[derive(Debug, Default)]
struct News {
    /// Request identifiers of halves that began to wait.
    arrived: Vec<Box<str>>,
    /// Event identifiers of stored halves that wait no more.
    left: Vec<u128>,
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
    /// Kept only when somebody asks for it.
    news: Option<News>,
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
            news: None,
            joined: 0,
            late: 0,
        }
    }

    /// From now on keeps what [`Join::tell`] tells.
    pub(super) fn keep_news(&mut self) {
        self.news.get_or_insert_default();
    }

    /// Tells the halves that began to wait, with whether they are mirrored,
    /// and the identifiers of stored ones that wait no more.
    pub(super) fn tell(&mut self, mut arrived: impl FnMut(&Event, bool), left: &mut Vec<u128>) {
        let Some(news) = &mut self.news else {
            return;
        };
        for id in news.arrived.drain(..) {
            if let Some(waiting) = self.waiting.get_mut(&id).filter(|half| !half.parked) {
                waiting.parked = true;
                arrived(&waiting.event, waiting.mirrored);
            }
        }
        left.append(&mut news.left);
    }

    /// Takes up a stored half of an earlier run. One that fits none of ours
    /// goes on at once.
    pub(super) fn restore(
        &mut self,
        event: Box<Event>,
        mirrored: bool,
        now: Instant,
    ) -> Option<Box<Event>> {
        let id: Box<str> = event.get(Field::HttpRequestId).unwrap_or_default().into();
        if id.is_empty() || self.waiting.contains_key(&id) {
            return Some(event);
        }
        self.order.push_back((now, id.clone()));
        self.waiting.insert(
            id,
            Waiting {
                event,
                since: now,
                mirrored,
                parked: true,
            },
        );
        None
    }

    /// Notes that a half waits no more.
    fn forget(&mut self, half: &Waiting) {
        if let Some(news) = self.news.as_mut().filter(|_| half.parked) {
            news.left.push(half.event.id);
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
                    self.forget(&other);
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
                if let Some(news) = &mut self.news {
                    news.arrived.push(id.clone());
                }
                self.waiting.insert(
                    id,
                    Waiting {
                        event,
                        since: now,
                        mirrored,
                        parked: false,
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
            self.forget(&waiting);
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
    fn a_half_that_waits_is_told_once_and_told_again_when_it_goes() {
        let now = Instant::now();
        let mut join = Join::new(&JoinSettings::default());
        join.keep_news();
        let mut out = Vec::new();
        let (mut arrived, mut left) = (Vec::new(), Vec::new());
        let with_id = |id: &str, number| {
            let mut half = half(id, 200);
            half.id = number;
            half
        };
        join.feed(with_id("a", 1), true, now, &mut out);
        join.feed(with_id("b", 2), true, now, &mut out);
        // Came and went between two looks: nothing to store.
        join.feed(with_id("b", 3), false, now, &mut out);
        assert!(join.restore(with_id("c", 4), false, now).is_none());
        join.tell(
            |half, mirrored| arrived.push((half.id, mirrored)),
            &mut left,
        );
        assert_eq!(
            (arrived.as_slice(), left.as_slice()),
            (&[(1, true)][..], &[][..])
        );
        join.feed(with_id("a", 5), false, now, &mut out);
        join.feed(with_id("c", 6), true, now, &mut out);
        join.tell(|half, _| panic!("{} waits", half.id), &mut left);
        assert_eq!(left, [1, 4]);
        assert_eq!((out.len(), join.len()), (3, 0));
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
