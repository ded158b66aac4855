//! From a table to a program: groups are flattened, conditions shared, paths
//! put into one tree.

use std::collections::BTreeMap;

use rule_sdk::ParameterError;
use rule_sdk::mapping::wire::Annotation;

use crate::answer::Defaults;
use crate::condition::{Conditions, MAX_DEPTH};
use crate::pattern::Pattern;
use crate::place::Place;
use crate::program::{Columns, Gate, Method, Program, Rule, StatusSet, Statuses};
use crate::settings::Settings;
use crate::table::{Entry, Parameters, Query, Scalar};
use crate::trie::Trie;

/// Most entries of a table.
const MAX_ENTRIES: usize = 10_000;

/// A program with the fields it reads and writes.
pub(crate) struct Compiled {
    pub(crate) program: Program,
    pub(crate) reads: Vec<String>,
    pub(crate) writes: Vec<String>,
}

/// Compiles the parameters.
///
/// # Errors
/// Names the entry and the key that cannot be used.
pub(crate) fn compile(parameters: Parameters) -> Result<Compiled, ParameterError> {
    let settings = Settings(parameters.settings);
    let top = Place::top();
    let raw = parameters.raw_target;
    let mut conditions = Conditions {
        settings: &settings,
        columns: Vec::new(),
        methods: Vec::new(),
        tests: Vec::new(),
        named: BTreeMap::new(),
    };
    let columns = Columns {
        method: conditions.column("http.request.method"),
        target: conditions.column(if raw { "url.original" } else { "url.path" }),
        query: (!raw).then(|| conditions.column("url.query")),
    };
    conditions.define(&parameters.conditions)?;
    if let Some(key) = parameters.defaults.first_condition() {
        return Err(ParameterError::new(
            format!("defaults.{key}"),
            "defaults are answers only, without conditions",
        ));
    }
    let defaults = Defaults::new().with(&parameters.defaults, &top, &conditions)?;
    let mut compiler = Compiler {
        conditions,
        raw,
        trie: Trie::new(raw),
        writes: Vec::new(),
        status_sets: Vec::new(),
        rules: Vec::new(),
        masks: Vec::new(),
        annotations: Vec::new(),
        anywhere: Vec::new(),
    };
    let root = Context {
        methods: u32::MAX,
        statuses: None,
        query: None,
        tests: Vec::new(),
        base: String::new(),
        discard: true,
        defaults: Defaults::new(),
    };
    compiler.list("discard", &parameters.discard, &root, &top, 0)?;
    compiler.list(
        "table",
        &parameters.table,
        &Context {
            discard: false,
            defaults,
            ..root
        },
        &top,
        0,
    )?;
    compiler.finish(columns)
}

/// What a group hands down.
#[derive(Clone)]
struct Context {
    methods: u32,
    statuses: Option<StatusSet>,
    query: Option<Query>,
    tests: Vec<u16>,
    base: String,
    discard: bool,
    defaults: Defaults,
}

struct Compiler<'s> {
    conditions: Conditions<'s>,
    raw: bool,
    trie: Trie,
    writes: Vec<String>,
    /// Distinct sets of statuses.
    status_sets: Vec<StatusSet>,
    rules: Vec<Rule>,
    /// Methods of each rule, and which of `status_sets`.
    masks: Vec<(u32, Option<usize>)>,
    annotations: Vec<Annotation>,
    anywhere: Vec<u32>,
}

impl Compiler<'_> {
    fn list(
        &mut self,
        name: &str,
        entries: &[Entry],
        context: &Context,
        place: &Place<'_>,
        depth: usize,
    ) -> Result<(), ParameterError> {
        for (index, entry) in entries.iter().enumerate() {
            self.entry(entry, context, &place.entry(name, index, entry), depth)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &Entry,
        outer: &Context,
        place: &Place<'_>,
        depth: usize,
    ) -> Result<(), ParameterError> {
        if depth > MAX_DEPTH {
            return Err(place.error(
                "entries",
                format!("groups are nested more than {MAX_DEPTH} deep"),
            ));
        }
        let enabled = self
            .conditions
            .settings
            .all_on(&entry.enabled, place, "enabled")?;
        let context = self.context(entry, outer, place)?;
        if !entry.entries.is_empty() {
            if !entry.path.0.is_empty() {
                return Err(place.error(
                    "path",
                    "a group has no path of its own; use `base` for a shared beginning",
                ));
            }
            if enabled {
                self.list("entries", &entry.entries, &context, place, depth + 1)?;
            }
            return Ok(());
        }
        let computes = !entry.message.0.is_empty() || !entry.set.0.is_empty();
        if !context.discard && !computes && context.defaults.says_nothing() {
            return Err(place.error(
                "name",
                "the entry says nothing of its events; give at least `name` or `action`",
            ));
        }
        let patterns = self.patterns(entry, &context.base, place)?;
        if !enabled {
            return Ok(());
        }
        self.rule(entry, context, &patterns, place)
    }

    fn context(
        &mut self,
        entry: &Entry,
        outer: &Context,
        place: &Place<'_>,
    ) -> Result<Context, ParameterError> {
        let mut tests = outer.tests.clone();
        for test in self.conditions.tests(entry, place, 0)? {
            if !tests.contains(&test) {
                tests.push(test);
            }
        }
        let own = self.conditions.statuses(&entry.status, place)?;
        let statuses = match (outer.statuses, own) {
            (Some(outer), Some(own)) => Some(std::array::from_fn(|at| {
                outer.get(at).copied().unwrap_or(0) & own.get(at).copied().unwrap_or(0)
            })),
            (outer, own) => own.or(outer),
        };
        let mut base = outer.base.clone();
        if !entry.base.is_empty() {
            let own = self.conditions.settings.expand_one(&entry.base);
            let own = own.map_err(|message| place.error("base", message))?;
            base.push_str(own.trim_end_matches('/'));
        }
        Ok(Context {
            methods: outer.methods & self.conditions.methods(&entry.method, place)?,
            statuses,
            query: entry.query.or(outer.query),
            tests,
            base,
            discard: outer.discard,
            defaults: outer.defaults.with(entry, place, &self.conditions)?,
        })
    }

    fn patterns(
        &self,
        entry: &Entry,
        base: &str,
        place: &Place<'_>,
    ) -> Result<Vec<Pattern>, ParameterError> {
        let mut patterns = Vec::new();
        for value in &entry.path.0 {
            let Scalar::Text(text) = value else {
                return Err(place.error("path", format!("`{value}` is no path pattern")));
            };
            let texts = self
                .conditions
                .settings
                .expand(text)
                .map_err(|message| place.error("path", message))?;
            for text in texts {
                let pattern = Pattern::parse(&format!("{base}{text}"));
                patterns.push(pattern.map_err(|message| place.error("path", message))?);
            }
        }
        Ok(patterns)
    }

    fn rule(
        &mut self,
        entry: &Entry,
        context: Context,
        patterns: &[Pattern],
        place: &Place<'_>,
    ) -> Result<(), ParameterError> {
        let number = self.rules.len();
        let Some(number) = u32::try_from(number).ok().filter(|_| number < MAX_ENTRIES) else {
            return Err(place.error("", format!("a table has {MAX_ENTRIES} entries at most")));
        };
        let defaults = if context.discard {
            context.defaults.suppressed()
        } else {
            context.defaults
        };
        let computed =
            defaults.computed(patterns, place, &mut self.conditions, &mut self.writes)?;
        let has_path = !entry.path.0.is_empty();
        for pattern in patterns {
            self.trie.insert(pattern, number);
        }
        if !has_path {
            self.anywhere.push(number);
        }
        let statuses = context.statuses.map(|set| self.status_set(set));
        let otherwise = if self.raw && has_path {
            Query::Absent
        } else {
            Query::Any
        };
        let query = context.query.unwrap_or(otherwise);
        self.masks.push((context.methods, statuses));
        self.rules.push(Rule {
            query,
            tests: context.tests,
            computed,
        });
        self.annotations.push(defaults.annotation());
        Ok(())
    }

    fn status_set(&mut self, set: StatusSet) -> usize {
        let known = self.status_sets.iter().position(|other| *other == set);
        known.unwrap_or_else(|| {
            self.status_sets.push(set);
            self.status_sets.len() - 1
        })
    }

    fn finish(mut self, columns: Columns) -> Result<Compiled, ParameterError> {
        let statuses = Statuses::new(&self.status_sets).ok_or_else(|| {
            ParameterError::new(
                "table",
                "the entries' `status` keys tell more than 64 groups of statuses apart",
            )
        })?;
        let masks: Vec<u64> = self
            .status_sets
            .iter()
            .map(|set| statuses.mask(set))
            .collect();
        let gates = self
            .masks
            .iter()
            .zip(&self.rules)
            .map(|((methods, set), rule)| Gate {
                methods: *methods,
                tested: rule.query != Query::Any || !rule.tests.is_empty(),
                statuses: set
                    .and_then(|set| masks.get(set).copied())
                    .unwrap_or(u64::MAX),
            });
        self.trie.finish();
        Ok(Compiled {
            program: Program {
                columns,
                raw: self.raw,
                methods: self
                    .conditions
                    .methods
                    .into_iter()
                    .map(Method::new)
                    .collect(),
                gates: gates.collect(),
                statuses,
                tests: self.conditions.tests,
                rules: self.rules,
                annotations: self.annotations,
                anywhere: self.anywhere,
                trie: self.trie,
            },
            reads: self.conditions.columns,
            writes: self.writes,
        })
    }
}
