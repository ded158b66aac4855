//! Which records Tirreno gets.
//!
//! Tirreno's rules see only an account's last 25 events, so a stream of page
//! views would push every security event out of their sight. Findings,
//! failures (status 400 and above) and everything about authentication,
//! sessions and accounts always go; all else counts as a page view and is
//! sampled: at most one per user and minute of event time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use serde::Deserialize;
use sidewatch_event::{Activity, Delivery, Event, Field};

/// Event time between two sampled page views of a user, in milliseconds.
const SAMPLE_EVERY: i64 = 60_000;

/// Most users remembered. Beyond it the memory starts anew, which costs at
/// most one page view more per user.
const MOST_USERS: usize = 65_536;

/// How many page views are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageViews {
    /// None.
    None,
    /// At most one per user and minute.
    #[default]
    Sampled,
    /// All of them.
    All,
}

/// Chooses, and remembers which page views went.
#[derive(Debug)]
pub(super) struct Selection {
    page_views: PageViews,
    hasher: RandomState,
    /// Event time of the last page view sent, by hash of the user.
    last: HashMap<u64, i64>,
}

impl Selection {
    pub(super) fn new(page_views: PageViews) -> Self {
        Self {
            page_views,
            hasher: RandomState::new(),
            last: HashMap::new(),
        }
    }

    /// Whether the record is to be sent now.
    pub(super) fn wants(&self, delivery: &Delivery) -> bool {
        let Some(event) = page_view(delivery) else {
            return true;
        };
        match self.page_views {
            PageViews::None => false,
            PageViews::All => true,
            PageViews::Sampled => self
                .last
                .get(&self.key(event))
                .is_none_or(|last| event.time.abs_diff(*last) >= SAMPLE_EVERY.unsigned_abs()),
        }
    }

    /// Notes that a record was accepted. Not before: a page view that has to
    /// be sent again must not count as its own predecessor.
    pub(super) fn sent(&mut self, delivery: &Delivery) {
        if let (PageViews::Sampled, Some(event)) = (self.page_views, page_view(delivery)) {
            if self.last.len() >= MOST_USERS {
                self.last
                    .retain(|_, last| event.time.abs_diff(*last) < SAMPLE_EVERY.unsigned_abs());
            }
            if self.last.len() >= MOST_USERS {
                self.last.clear();
            }
            self.last.insert(self.key(event), event.time);
        }
    }

    fn key(&self, event: &Event) -> u64 {
        let name = [Field::UserName, Field::UserId, Field::UserEmail]
            .into_iter()
            .find_map(|field| event.get(field));
        match name {
            _ if event.keys.user != 0 => event.keys.user,
            Some(name) => self.hasher.hash_one(name),
            None => self.hasher.hash_one(event.source_ip.map(network)),
        }
    }
}

/// What Tirreno files events without a user under: an address without its
/// last octet, or the first three groups of it.
fn network(address: IpAddr) -> [u16; 3] {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets().map(u16::from);
            [a, b, c]
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            [a, b, c]
        }
    }
}

/// The event, if it is nothing but a page view.
fn page_view(delivery: &Delivery) -> Option<&Event> {
    let Delivery::Event(event) = delivery else {
        return None;
    };
    let categories = event.get(Field::EventCategory).unwrap_or_default();
    let security = event.status >= 400
        || event.activity != Activity::Other
        || categories
            .split(',')
            .any(|one| matches!(one, "authentication" | "session" | "iam"));
    if security { None } else { Some(event) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample;

    fn view(user: &str, second: i64) -> Delivery {
        let mut event = sample::page_view(1);
        event.time = sample::NOON + second * 1000;
        event.set(Field::UserName, user);
        Delivery::Event(Arc::new(event))
    }

    fn chosen(selection: &mut Selection, delivery: &Delivery) -> bool {
        let wanted = selection.wants(delivery);
        if wanted {
            selection.sent(delivery);
        }
        wanted
    }

    #[test]
    fn one_page_view_per_user_and_minute() {
        let mut selection = Selection::new(PageViews::Sampled);
        assert!(chosen(&mut selection, &view("zoe", 0)));
        assert!(!chosen(&mut selection, &view("zoe", 59)));
        assert!(chosen(&mut selection, &view("bob", 59)));
        assert!(chosen(&mut selection, &view("zoe", 60)));
    }

    #[test]
    fn visitors_without_a_name_are_sampled_by_the_network_they_are_filed_under() {
        let mut selection = Selection::new(PageViews::Sampled);
        let mut visitor = |address: &str| {
            let mut event = sample::page_view(1);
            event.unset(Field::UserName);
            event.source_ip = Some(address.parse().unwrap());
            chosen(&mut selection, &Delivery::Event(Arc::new(event)))
        };
        assert!(visitor("192.0.2.7"));
        assert!(!visitor("192.0.2.8"));
        assert!(visitor("198.51.100.7"));
        assert!(visitor("2001:db8::1"));
        assert!(!visitor("2001:db8:0:ffff::1"));
    }

    #[test]
    fn a_page_view_that_was_not_accepted_is_still_wanted() {
        let selection = Selection::new(PageViews::Sampled);
        assert!(selection.wants(&view("zoe", 0)) && selection.wants(&view("zoe", 0)));
    }

    #[test]
    fn security_events_and_findings_always_go() {
        let mut selection = Selection::new(PageViews::None);
        assert!(!chosen(&mut selection, &view("zoe", 0)));
        let mut failed = sample::page_view(2);
        failed.status = 404;
        let mut account = sample::page_view(3);
        account.set(Field::EventCategory, "web,iam");
        for _ in 0..3 {
            assert!(chosen(&mut selection, &sample::failed_login(1)));
            assert!(chosen(&mut selection, &sample::finding(2)));
            assert!(chosen(
                &mut selection,
                &Delivery::Event(Arc::new(failed.clone()))
            ));
            assert!(chosen(
                &mut selection,
                &Delivery::Event(Arc::new(account.clone()))
            ));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut selection = Selection::new(PageViews::Sampled);
        for user in 0..MOST_USERS + 10 {
            let mut event = sample::page_view(1);
            event.keys.user = user as u64 + 1;
            assert!(chosen(&mut selection, &Delivery::Event(Arc::new(event))));
        }
        assert!(selection.last.len() <= MOST_USERS);
    }
}
