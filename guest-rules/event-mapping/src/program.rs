//! A compiled table: what runs for every event.
//!
//! Invariants: a rule's number is its place in the table, so the lowest one
//! that holds wins; every distinct condition is evaluated at most once per
//! event (the first 128 of a table); nothing here allocates but the texts
//! that are computed.

use std::cell::Cell;

use rule_sdk::mapping::{Answer, Event, wire};

use crate::bytes::{contains, same, split_once};
use crate::matcher::Matcher;
use crate::table::Query;
use crate::template::{Template, Values};
use crate::trie::Trie;

/// Set of HTTP statuses below 1024.
pub(crate) type StatusSet = [u64; 16];

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// The text of a column fits one of these.
    Text {
        column: usize,
        matchers: Vec<Matcher>,
    },
    /// The path holds one of these.
    PathContains(Vec<Vec<u8>>),
    /// The server's port lies in one of these ranges.
    Port(Vec<(u32, u32)>),
    /// The method is one of this mask.
    Method(u32),
    /// The status is in this set.
    Status(StatusSet),
    /// There is a query.
    Query,
    /// One of these groups of conditions holds as a whole.
    Any(Vec<Vec<u16>>),
    /// None of these groups of conditions holds as a whole.
    None(Vec<Vec<u16>>),
}

/// One computed text.
#[derive(Debug)]
pub(crate) struct Computed {
    /// Index into the texts the rule writes.
    pub(crate) field: u32,
    /// The first that is complete is used.
    pub(crate) templates: Vec<Template>,
}

/// The conditions of one entry beside its path, and what it computes.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) methods: u32,
    /// Index into [`Program::statuses`].
    pub(crate) statuses: Option<u16>,
    pub(crate) query: Query,
    pub(crate) tests: Vec<u16>,
    pub(crate) computed: Vec<Computed>,
}

/// Where the texts every table needs stand among the columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) method: usize,
    /// `url.path`, or `url.original` when targets are matched raw.
    pub(crate) target: usize,
    /// `url.query`; none when targets are matched raw.
    pub(crate) query: Option<usize>,
}

/// A compiled table.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) columns: Columns,
    pub(crate) raw: bool,
    /// Bit of a method in masks is its index here; bit 31 is any other one.
    pub(crate) methods: Vec<Vec<u8>>,
    pub(crate) statuses: Vec<StatusSet>,
    pub(crate) tests: Vec<Test>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) annotations: Vec<wire::Annotation>,
    /// Rules without a path, ascending.
    pub(crate) anywhere: Vec<u32>,
    pub(crate) trie: Trie,
}

/// What conditions look at, read once per event.
struct Request<'a> {
    event: &'a Event<'a>,
    method: u32,
    path: &'a [u8],
    query: Option<&'a [u8]>,
    /// Conditions evaluated so far and those of them that hold.
    known: Cell<u128>,
    holding: Cell<u128>,
}

/// Bit of a method no entry names.
pub(crate) const OTHER_METHOD: u32 = 1 << 31;

impl Program {
    /// Maps one event.
    pub(crate) fn evaluate(&self, event: &Event<'_>, answer: &mut Answer<'_>) {
        let request = self.request(event);
        let mut best = u32::MAX;
        let mut consider = |rules: &[u32]| {
            let before = rules.iter().take_while(|rule| **rule < best);
            if let Some(rule) = before.copied().find(|rule| self.holds(*rule, &request)) {
                best = rule;
            }
        };
        self.trie.walk(request.path, &mut consider);
        consider(&self.anywhere);
        let Some(rule) = self.rules.get(best as usize) else {
            return;
        };
        answer.annotate(best);
        if rule.computed.is_empty() {
            return;
        }
        let values = Values {
            path: request.path,
            query: request.query.unwrap_or_default(),
            status: event.status(),
            raw: self.raw,
        };
        for computed in &rule.computed {
            for template in &computed.templates {
                if answer.try_compute(computed.field, |out| {
                    template.write(&values, |column| event.bytes(column), out)
                }) {
                    break;
                }
            }
        }
    }

    #[inline]
    fn request<'a>(&self, event: &'a Event<'a>) -> Request<'a> {
        let target = event.bytes(self.columns.target).unwrap_or_default();
        let (path, query) = match self.columns.query {
            Some(column) => (target, event.bytes(column)),
            None => {
                split_once(target, b'?').map_or((target, None), |(path, query)| (path, Some(query)))
            }
        };
        let method = event.bytes(self.columns.method).unwrap_or_default();
        let method = self.methods.iter().position(|known| same(known, method));
        let method = method.map_or(OTHER_METHOD, |at| 1 << at);
        Request {
            event,
            method,
            path,
            query,
            known: Cell::new(0),
            holding: Cell::new(0),
        }
    }

    #[inline]
    fn holds(&self, rule: u32, request: &Request<'_>) -> bool {
        let Some(rule) = self.rules.get(rule as usize) else {
            return false;
        };
        rule.methods & request.method != 0
            && rule.statuses.is_none_or(|set| {
                self.statuses
                    .get(usize::from(set))
                    .is_some_and(|set| contains_status(set, request.event.status()))
            })
            && match rule.query {
                Query::Any => true,
                Query::Present => request.query.is_some(),
                Query::Absent => request.query.is_none(),
            }
            && self.all(&rule.tests, request)
    }

    fn all(&self, tests: &[u16], request: &Request<'_>) -> bool {
        tests.iter().all(|test| self.test(*test, request))
    }

    fn test(&self, id: u16, request: &Request<'_>) -> bool {
        let Some(test) = self.tests.get(usize::from(id)) else {
            return false;
        };
        let bit = 1_u128.checked_shl(u32::from(id)).unwrap_or(0);
        if request.known.get() & bit != 0 {
            return request.holding.get() & bit != 0;
        }
        let holds = self.compute(test, request);
        request.known.set(request.known.get() | bit);
        if holds {
            request.holding.set(request.holding.get() | bit);
        }
        holds
    }

    fn compute(&self, test: &Test, request: &Request<'_>) -> bool {
        let event = request.event;
        match test {
            Test::Text { column, matchers } => {
                let text = event.bytes(*column);
                matchers.iter().any(|matcher| matcher.holds(text))
            }
            Test::PathContains(parts) => parts.iter().any(|part| contains(request.path, part)),
            Test::Port(ranges) => {
                let port = event.server_port();
                ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&port))
            }
            Test::Method(mask) => mask & request.method != 0,
            Test::Status(set) => contains_status(set, event.status()),
            Test::Query => request.query.is_some(),
            Test::Any(groups) => groups.iter().any(|group| self.all(group, request)),
            Test::None(groups) => !groups.iter().any(|group| self.all(group, request)),
        }
    }
}

#[inline]
fn contains_status(set: &StatusSet, status: u32) -> bool {
    set.get((status >> 6) as usize)
        .is_some_and(|word| word >> (status & 63) & 1 == 1)
}
