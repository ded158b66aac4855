//! The order of names that never change, worked out once: a line is then
//! written from the first to the last, without sorting or looking at names.

use super::{Value, segments, write_key, write_value};

/// Names in alphabetical order, with where their values come from.
pub(crate) struct Layout<S> {
    /// What opens each object: its key and the brace.
    objects: Vec<String>,
    steps: Vec<Step<S>>,
}

struct Step<S> {
    /// The objects it lies in, the outermost first.
    inside: Vec<usize>,
    /// Key and colon.
    key: String,
    source: S,
}

impl<S: Copy> Layout<S> {
    /// Of dotted names. One may come twice when at most one of both ever has a
    /// value.
    pub(crate) fn new(mut names: Vec<(&'static str, S)>) -> Self {
        names.sort_by_key(|(name, _)| *name);
        let mut paths: Vec<&str> = Vec::new();
        let mut objects = Vec::new();
        let mut steps = Vec::with_capacity(names.len());
        for (name, source) in names {
            let mut inside = Vec::new();
            for (end, _) in name.match_indices('.') {
                let path = name.get(..end).unwrap_or_default();
                let known = paths.iter().position(|known| *known == path);
                inside.push(known.unwrap_or_else(|| {
                    paths.push(path);
                    objects.push(key(path) + "{");
                    paths.len() - 1
                }));
            }
            steps.push(Step {
                inside,
                key: key(name),
                source,
            });
        }
        Self { objects, steps }
    }

    /// Appends an object of what has a value.
    pub(crate) fn write<'v>(&self, value: impl Fn(S) -> Option<Value<'v>>, out: &mut String) {
        let mut inside: &[usize] = &[];
        let mut first = true;
        out.push('{');
        for step in &self.steps {
            let Some(value) = value(step.source) else {
                continue;
            };
            if step.inside.last() != inside.last() {
                first = self.go(inside, &step.inside, first, out);
                inside = &step.inside;
            }
            if !first {
                out.push(',');
            }
            first = false;
            out.push_str(&step.key);
            write_value(&value, out);
        }
        out.extend(inside.iter().map(|_| '}'));
        out.push('}');
    }

    /// Leaves objects for others; whether the next key is its object's first.
    fn go(&self, from: &[usize], to: &[usize], mut first: bool, out: &mut String) -> bool {
        let both = from.iter().zip(to);
        let shared = both.take_while(|(from, to)| from == to).count();
        for _ in from.iter().skip(shared) {
            out.push('}');
            first = false;
        }
        for object in to.iter().skip(shared) {
            if !first {
                out.push(',');
            }
            out.extend(self.objects.get(*object).map(String::as_str));
            first = true;
        }
        first
    }
}

/// The last part of a name as a key.
fn key(name: &str) -> String {
    let mut text = String::new();
    write_key(segments(name).last().unwrap_or_default(), true, &mut text);
    text
}
