//! From a table to a program: groups are flattened, conditions shared, paths
//! put into one tree.

use std::collections::BTreeMap;

use rule_sdk::ParameterError;

use crate::answer::Defaults;
use crate::condition::{Conditions, MAX_DEPTH};
use crate::pattern::Pattern;
use crate::place::Place;
use crate::program::{Columns, Program, Rule, StatusSet};
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
        writes: Vec::new(),
        program: Program {
            columns,
            raw,
            methods: Vec::new(),
            statuses: Vec::new(),
            tests: Vec::new(),
            rules: Vec::new(),
            annotations: Vec::new(),
            anywhere: Vec::new(),
            trie: Trie::new(raw),
        },
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
    let Compiler {
        conditions,
        writes,
        mut program,
    } = compiler;
    program.methods = conditions.methods;
    program.tests = conditions.tests;
    program.trie.finish();
    Ok(Compiled {
        program,
        reads: conditions.columns,
        writes,
    })
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
    writes: Vec<String>,
    program: Program,
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
            let expanded = self
                .conditions
                .settings
                .expand(&entry.base)
                .map_err(|message| place.error("base", message))?;
            base.push_str(match expanded.as_slice() {
                [] => "",
                [one] => one.trim_end_matches('/'),
                _ => return Err(place.error("base", "the setting may have one value only")),
            });
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
        let number = self.program.rules.len();
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
            self.program.trie.insert(pattern, number);
        }
        if !has_path {
            self.program.anywhere.push(number);
        }
        let statuses = context.statuses.map(|set| self.status_set(set));
        let otherwise = if self.program.raw && has_path {
            Query::Absent
        } else {
            Query::Any
        };
        self.program.rules.push(Rule {
            methods: context.methods,
            statuses,
            query: context.query.unwrap_or(otherwise),
            tests: context.tests,
            computed,
        });
        self.program.annotations.push(defaults.annotation());
        Ok(())
    }

    fn status_set(&mut self, set: StatusSet) -> u16 {
        let sets = &mut self.program.statuses;
        let known = sets.iter().position(|other| *other == set);
        let at = known.unwrap_or_else(|| {
            sets.push(set);
            sets.len() - 1
        });
        // At most one set per entry, and entries are bounded.
        u16::try_from(at).unwrap_or(u16::MAX)
    }
}
