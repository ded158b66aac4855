//! A compiled table: what runs for every event.
//!
//! Invariants: a rule's number is its place in the table, so the lowest one
//! that holds wins; every distinct condition is evaluated at most once per
//! event (the first 128 of a table); nothing here allocates but the texts
//! that are computed.

use std::cell::Cell;

use rule_sdk::mapping::{Answer, Event, wire};

use crate::bytes::{contains, same, split_once, word};
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

/// What decides most often whether an entry holds, kept small and together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    /// Bit per method.
    pub(crate) methods: u32,
    /// Further conditions must be looked at.
    pub(crate) tested: bool,
    /// Bit per class of statuses, see [`Statuses`].
    pub(crate) statuses: u64,
}

/// Further conditions of one entry, and what it computes.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) query: Query,
    pub(crate) tests: Vec<u16>,
    pub(crate) computed: Vec<Computed>,
}

/// Statuses that no entry tells apart form a class.
#[derive(Debug)]
pub(crate) struct Statuses {
    classes: Vec<u8>,
}

impl Statuses {
    /// Classes for these sets; none if they are more than 64.
    pub(crate) fn new(sets: &[StatusSet]) -> Option<Self> {
        let mut kinds: Vec<Vec<bool>> = Vec::new();
        let mut classes = Vec::new();
        for status in 0..1024 {
            let kind: Vec<bool> = sets
                .iter()
                .map(|set| contains_status(set, status))
                .collect();
            let known = kinds.iter().position(|other| *other == kind);
            let class = known.unwrap_or(kinds.len());
            if known.is_none() {
                kinds.push(kind);
            }
            classes.push(u8::try_from(class).ok().filter(|class| *class < 64)?);
        }
        Some(Self { classes })
    }

    /// The bit of a status.
    #[inline]
    pub(crate) fn bit(&self, status: u32) -> u64 {
        let class = self.classes.get(status as usize).or(self.classes.last());
        class.map_or(0, |class| 1 << class)
    }

    /// The bits of a set.
    pub(crate) fn mask(&self, set: &StatusSet) -> u64 {
        let members = (0..1024).filter(|status| contains_status(set, *status));
        members.fold(0, |mask, status| mask | self.bit(status))
    }
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

/// A method entries name.
#[derive(Debug)]
pub(crate) struct Method {
    /// Its first eight bytes, see [`word`].
    head: u64,
    text: Vec<u8>,
}

impl Method {
    pub(crate) fn new(text: Vec<u8>) -> Self {
        Self {
            head: word(&text),
            text,
        }
    }
}

/// A compiled table.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) columns: Columns,
    pub(crate) raw: bool,
    /// Bit of a method in masks is its index here; bit 31 is any other one.
    pub(crate) methods: Vec<Method>,
    pub(crate) statuses: Statuses,
    pub(crate) tests: Vec<Test>,
    /// One per entry.
    pub(crate) gates: Vec<Gate>,
    /// One per entry.
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
    status: u64,
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
        let head = word(method);
        let mut methods = self.methods.iter();
        let method = methods.position(|known| known.head == head && same(&known.text, method));
        let method = method.map_or(OTHER_METHOD, |at| 1 << at);
        let status = self.statuses.bit(event.status());
        Request {
            event,
            method,
            status,
            path,
            query,
            known: Cell::new(0),
            holding: Cell::new(0),
        }
    }

    #[inline]
    fn holds(&self, number: u32, request: &Request<'_>) -> bool {
        let Some(gate) = self.gates.get(number as usize) else {
            return false;
        };
        if gate.methods & request.method == 0 || gate.statuses & request.status == 0 {
            return false;
        }
        !gate.tested || self.holds_further(number, request)
    }

    fn holds_further(&self, number: u32, request: &Request<'_>) -> bool {
        let Some(rule) = self.rules.get(number as usize) else {
            return false;
        };
        let query = match rule.query {
            Query::Any => true,
            Query::Present => request.query.is_some(),
            Query::Absent => request.query.is_none(),
        };
        query && self.all(&rule.tests, request)
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
