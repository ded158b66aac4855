//! All path patterns of a table as one tree of segments.
//!
//! A path is walked once; at a branch the text children of a node cost one
//! probe of a hash table however many there are. A node is visited at most
//! once per path, so there is no backtracking and the time does not grow with
//! the number of patterns that do not fit.

use crate::bytes::{ends_with, hash, same, segment, starts_with, word};
use crate::pattern::{Ending, Pattern, Step};
use crate::uuid::is_uuid;

const NONE: u32 = 0;

/// Numbers of rules in ascending order.
type Rules = Vec<u32>;

#[derive(Debug, Default)]
struct Node {
    has_literals: bool,
    uuid: u32,
    number: u32,
    any: u32,
    affixes: Vec<(Vec<u8>, Vec<u8>, u32)>,
    /// Rules of patterns that end here.
    end: Rules,
    /// The same, but the path must end with a slash.
    end_with_slash: Rules,
    /// Rules of patterns that accept any rest with a prefix.
    rests: Vec<Rest>,
}

/// Patterns that accept any rest which begins so.
#[derive(Debug)]
struct Rest {
    prefix: Vec<u8>,
    /// First eight bytes of the prefix, and which of eight bytes they are.
    head: u64,
    mask: u64,
    rules: Rules,
}

impl Rest {
    fn new(prefix: &[u8]) -> Self {
        let mask = match prefix.len() {
            0 => 0,
            length => u64::MAX >> (64 - length.min(8) * 8),
        };
        Self {
            prefix: prefix.to_vec(),
            head: word(prefix),
            mask,
            rules: Vec::new(),
        }
    }

    #[inline]
    fn fits(&self, rest: &[u8]) -> bool {
        word(rest) & self.mask == self.head && (self.mask == 0 || starts_with(rest, &self.prefix))
    }
}

#[derive(Debug, Clone)]
struct Slot {
    parent: u32,
    child: u32,
    text: Vec<u8>,
}

/// The tree. Node 0 is the root, which no other node leads to.
#[derive(Debug)]
pub(crate) struct Trie {
    nodes: Vec<Node>,
    literals: Vec<Slot>,
    /// Open addressing over `literals`, by node and segment; 0 is empty, else
    /// index + 1. The length is a power of two.
    table: Vec<u32>,
    /// Compare paths as they came: empty segments count, UUIDs are in lower
    /// case.
    raw: bool,
}

impl Trie {
    pub(crate) fn new(raw: bool) -> Self {
        Self {
            nodes: vec![Node::default()],
            literals: Vec::new(),
            table: Vec::new(),
            raw,
        }
    }

    /// Adds a pattern of rule `rule`; rules come in ascending order.
    pub(crate) fn insert(&mut self, pattern: &Pattern, rule: u32) {
        let mut at = 0;
        for step in &pattern.steps {
            at = self.child(at, step);
        }
        let Some(node) = self.nodes.get_mut(at as usize) else {
            return;
        };
        let rules = match &pattern.ending {
            Ending::Slash { required: false } => &mut node.end,
            Ending::Slash { required: true } => &mut node.end_with_slash,
            Ending::Rest(prefix) => {
                let known = node.rests.iter().position(|rest| rest.prefix == *prefix);
                let at = known.unwrap_or(node.rests.len());
                if known.is_none() {
                    node.rests.push(Rest::new(prefix));
                }
                let Some(rest) = node.rests.get_mut(at) else {
                    return;
                };
                &mut rest.rules
            }
        };
        if rules.last() != Some(&rule) {
            rules.push(rule);
        }
    }

    /// Builds the hash table; call once, after the last insertion.
    pub(crate) fn finish(&mut self) {
        let size = (self.literals.len() * 4).next_power_of_two();
        self.table = vec![0; size];
        for (index, slot) in (1..).zip(&self.literals) {
            let mut at = place(slot.parent, hash(&slot.text)) & (size - 1);
            while self.table.get(at).is_some_and(|taken| *taken != 0) {
                at = (at + 1) & (size - 1);
            }
            if let Some(free) = self.table.get_mut(at) {
                *free = index;
            }
        }
    }

    fn child(&mut self, parent: u32, step: &Step) -> u32 {
        let new = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let Some(node) = self.nodes.get_mut(parent as usize) else {
            return parent;
        };
        let slot = match step {
            Step::Uuid => &mut node.uuid,
            Step::Number => &mut node.number,
            Step::Any => &mut node.any,
            Step::Affix(start, end) => {
                if let Some((.., child)) = node
                    .affixes
                    .iter()
                    .find(|(one, other, _)| one == start && other == end)
                {
                    return *child;
                }
                node.affixes.push((start.clone(), end.clone(), new));
                self.nodes.push(Node::default());
                return new;
            }
            Step::Literal(text) => {
                node.has_literals = true;
                if let Some(slot) = self
                    .literals
                    .iter()
                    .find(|slot| slot.parent == parent && slot.text == *text)
                {
                    return slot.child;
                }
                self.literals.push(Slot {
                    parent,
                    child: new,
                    text: text.clone(),
                });
                self.nodes.push(Node::default());
                return new;
            }
        };
        if *slot == NONE {
            *slot = new;
            self.nodes.push(Node::default());
            return new;
        }
        *slot
    }

    /// Hands every list of rules whose pattern fits `path` to `consider`.
    #[inline]
    pub(crate) fn walk(&self, path: &[u8], consider: &mut impl FnMut(&[u32])) {
        if let Some((b'/', rest)) = path.split_first() {
            self.descend(0, rest, consider);
        }
    }

    /// Goes on from a node behind a slash.
    fn descend(&self, from: u32, from_rest: &[u8], consider: &mut impl FnMut(&[u32])) {
        let (mut at, mut rest) = (from, from_rest);
        loop {
            let Some(node) = self.nodes.get(at as usize) else {
                return;
            };
            if !self.raw {
                while let Some((b'/', further)) = rest.split_first() {
                    rest = further;
                }
            }
            for tail in &node.rests {
                if tail.fits(rest) {
                    consider(&tail.rules);
                }
            }
            if rest.is_empty() {
                consider(&node.end);
                consider(&node.end_with_slash);
                return;
            }
            let cut = segment(rest);
            let mut next = if node.has_literals {
                self.literal(at, cut.text, cut.hash)
            } else {
                NONE
            };
            let mut branch = |child: u32| {
                if next == NONE {
                    next = child;
                } else {
                    self.arrive(child, cut.after, consider);
                }
            };
            if node.uuid != NONE && is_uuid(cut.text, !self.raw) {
                branch(node.uuid);
            }
            if node.number != NONE
                && cut.text.iter().all(u8::is_ascii_digit)
                && !cut.text.is_empty()
            {
                branch(node.number);
            }
            for (start, end, child) in &node.affixes {
                let long_enough = cut.text.len() >= start.len() + end.len();
                if long_enough && starts_with(cut.text, start) && ends_with(cut.text, end) {
                    branch(*child);
                }
            }
            if node.any != NONE && !cut.text.is_empty() {
                branch(node.any);
            }
            if next == NONE {
                return;
            }
            let Some(after) = cut.after else {
                self.arrive(next, None, consider);
                return;
            };
            (at, rest) = (next, after);
        }
    }

    fn arrive(&self, node: u32, after: Option<&[u8]>, consider: &mut impl FnMut(&[u32])) {
        match after {
            Some(rest) => self.descend(node, rest, consider),
            None => {
                if let Some(node) = self.nodes.get(node as usize) {
                    consider(&node.end);
                }
            }
        }
    }

    #[inline]
    fn literal(&self, parent: u32, text: &[u8], hash: u64) -> u32 {
        let mask = self.table.len().wrapping_sub(1);
        let mut at = place(parent, hash) & mask;
        while let Some(slot) = self.table.get(at)
            && let Some(slot) = self.literals.get((*slot as usize).wrapping_sub(1))
        {
            if slot.parent == parent && same(&slot.text, text) {
                return slot.child;
            }
            at = (at + 1) & mask;
        }
        NONE
    }
}

/// Where the search for a child begins.
#[inline]
fn place(parent: u32, hash: u64) -> usize {
    let mixed = (hash ^ u64::from(parent)).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    // The upper bits are the well-mixed ones; tables stay far below 2^31.
    (mixed >> 33) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "5e2a1c9d-04bb-4f7e-9d11-0c3f8a7b6e55";

    fn trie(patterns: &[&str], raw: bool) -> Trie {
        let mut trie = Trie::new(raw);
        for (rule, pattern) in (0..).zip(patterns) {
            trie.insert(&Pattern::parse(pattern).unwrap(), rule);
        }
        trie.finish();
        trie
    }

    fn matches(trie: &Trie, path: &str) -> Vec<u32> {
        let mut found = Vec::new();
        trie.walk(path.as_bytes(), &mut |rules| found.extend_from_slice(rules));
        found.sort_unstable();
        found
    }

    #[test]
    fn overlapping_patterns_are_all_found() {
        let trie = trie(
            &[
                "/a/{uuid}",
                "/a/*",
                "/a/**",
                "/a/5e*",
                "/a/*55",
                "/**",
                "/a/{number}",
            ],
            false,
        );
        assert_eq!(matches(&trie, &format!("/a/{UUID}")), [0, 1, 2, 3, 4, 5]);
        assert_eq!(matches(&trie, "/a/12"), [1, 2, 5, 6]);
        assert_eq!(matches(&trie, "/a/"), [2, 5]);
        assert_eq!(matches(&trie, "/a"), [5]);
        assert_eq!(matches(&trie, "a"), Vec::<u32>::new());
    }

    #[test]
    fn branches_go_on_to_different_ends() {
        let trie = trie(&["/{x}/b/c", "/a/{y}/c", "/a/b/{z}", "/a/b/c/d"], false);
        assert_eq!(matches(&trie, "/a/b/c"), [0, 1, 2]);
        assert_eq!(matches(&trie, "/a/b/c/d"), [3]);
        assert_eq!(matches(&trie, "/z/b/c"), [0]);
    }

    #[test]
    fn slashes_at_the_end_and_in_the_middle() {
        let normal = trie(&["/a/b", "/a/b/", "/"], false);
        assert_eq!(matches(&normal, "/a/b"), [0]);
        assert_eq!(matches(&normal, "/a/b/"), [0, 1]);
        assert_eq!(matches(&normal, "//a///b//"), [0, 1]);
        assert_eq!(matches(&normal, "/"), [2]);
        let raw = trie(&["/a/b", "/a/b/", "/"], true);
        assert_eq!(matches(&raw, "/a/b/"), [0, 1]);
        assert_eq!(matches(&raw, "/a//b"), Vec::<u32>::new());
        assert_eq!(matches(&raw, "/a/b//"), Vec::<u32>::new());
    }

    #[test]
    fn a_rest_may_have_a_prefix() {
        let trie = trie(&["/api/v2beta/task**", "/static/**"], false);
        assert_eq!(matches(&trie, "/api/v2beta/tasks/1"), [0]);
        assert_eq!(matches(&trie, "/api/v2beta/task"), [0]);
        assert_eq!(matches(&trie, "/static"), Vec::<u32>::new());
        assert_eq!(matches(&trie, "/static/"), [1]);
    }

    #[test]
    fn upper_case_uuids_differ_in_raw_targets_only() {
        let path = format!("/{}", UUID.to_uppercase());
        assert_eq!(matches(&trie(&["/{uuid}"], false), &path), [0]);
        assert_eq!(matches(&trie(&["/{uuid}"], true), &path), Vec::<u32>::new());
    }
}
