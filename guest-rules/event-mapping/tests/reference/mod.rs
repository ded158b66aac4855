//! The table language read plainly: every entry in turn, every condition in
//! turn, no index and no sharing. Slow, and short enough to be believed.

use event_mapping::table::{Entry, Parameters, Query, Scalar, Values};
use rule_sdk::mapping::harness::Sample;

/// Number of the entry a sample falls to, as the rule counts them: entries
/// that are switched off do not count.
pub(crate) fn first(table: &Parameters, sample: &Sample) -> Option<u32> {
    let reader = Reader { table, sample };
    let mut number = 0;
    let lists = [&table.discard, &table.table];
    lists
        .into_iter()
        .flatten()
        .find_map(|entry| reader.entry(entry, &[], &mut number))
}

struct Reader<'a> {
    table: &'a Parameters,
    sample: &'a Sample,
}

impl Reader<'_> {
    /// `outer` are the groups around the entry.
    fn entry<'e>(&self, entry: &'e Entry, outer: &[&'e Entry], number: &mut u32) -> Option<u32> {
        let on = self.enabled(&entry.enabled);
        if !entry.entries.is_empty() {
            let outer: Vec<&Entry> = outer.iter().copied().chain([entry]).collect();
            return entry
                .entries
                .iter()
                .filter(|_| on)
                .find_map(|inner| self.entry(inner, &outer, number));
        }
        if !on {
            return None;
        }
        *number += 1;
        let all: Vec<&Entry> = outer.iter().copied().chain([entry]).collect();
        let base: String = all.iter().map(|entry| self.base(&entry.base)).collect();
        let query = all.iter().rev().find_map(|entry| entry.query);
        let query = query.unwrap_or(match self.table.raw_target && !entry.path.0.is_empty() {
            true => Query::Absent,
            false => Query::Any,
        });
        let holds = all.iter().all(|entry| self.conditions(entry))
            && self.query(query)
            && (entry.path.0.is_empty()
                || self.texts(&entry.path).iter().any(|path| {
                    fits(
                        &format!("{base}{path}"),
                        self.target().0,
                        self.table.raw_target,
                    )
                }));
        holds.then_some(*number - 1)
    }

    /// All conditions but path and query.
    fn conditions(&self, entry: &Entry) -> bool {
        let named = |values: &Values, field: &str| values.0.is_empty() || self.text(values, field);
        let group = |group: &Entry| {
            let query = group.query.unwrap_or(Query::Any);
            self.enabled(&group.enabled) && self.conditions(group) && self.query(query)
        };
        let port = self.sample.server_port;
        (entry.method.0.is_empty()
            || self
                .texts(&entry.method)
                .iter()
                .any(|one| *one == self.field("http.request.method")))
            && (entry.status.0.is_empty() || self.number(&entry.status, self.sample.status))
            && (entry.server_port.0.is_empty() || self.number(&entry.server_port, port))
            && named(&entry.dataset, "event.dataset")
            && named(&entry.referrer, "http.request.referrer")
            && named(&entry.server, "server.address")
            && named(&entry.user_agent, "user_agent.original")
            && entry
                .fields
                .0
                .iter()
                .all(|(field, values)| self.text(values, field))
            && (entry.path_contains.0.is_empty()
                || entry
                    .path_contains
                    .0
                    .iter()
                    .any(|part| self.target().0.contains(&part.to_string())))
            && entry.when.0.iter().all(|name| {
                let name = name.to_string();
                let (name, wanted) = name
                    .strip_prefix('!')
                    .map_or((&*name, true), |name| (name, false));
                self.table.conditions[name].iter().any(group) == wanted
            })
            && (entry.any.is_empty() || entry.any.iter().any(group))
            && !entry.not.iter().any(group)
    }

    fn query(&self, wanted: Query) -> bool {
        match wanted {
            Query::Any => true,
            Query::Present => self.target().1,
            Query::Absent => !self.target().1,
        }
    }

    /// Path and whether there is a query.
    fn target(&self) -> (&str, bool) {
        if self.table.raw_target {
            let target = self.field("url.original");
            target
                .split_once('?')
                .map_or((target, false), |(path, _)| (path, true))
        } else {
            (
                self.field("url.path"),
                self.sample.texts.contains_key("url.query"),
            )
        }
    }

    fn field(&self, name: &str) -> &str {
        self.sample
            .texts
            .get(name)
            .map(String::as_str)
            .unwrap_or_default()
    }

    fn enabled(&self, values: &Values) -> bool {
        values.0.iter().all(|value| match value {
            Scalar::Flag(flag) => *flag,
            other => {
                let name = other.to_string();
                let (name, wanted) = name
                    .strip_prefix('!')
                    .map_or((&*name, true), |name| (name, false));
                let on = |value: &Scalar| !matches!(value.to_string().as_str(), "" | "0" | "false");
                self.table.settings[name].0.iter().any(on) == wanted
            }
        })
    }

    fn base(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, values) in &self.table.settings {
            let value = values
                .0
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            text = text.replace(&format!("{{settings.{name}}}"), &value);
        }
        text.trim_end_matches('/').to_owned()
    }

    /// Values with settings replaced; one setting per text is enough here.
    fn texts(&self, values: &Values) -> Vec<String> {
        let mut texts = Vec::new();
        for value in &values.0 {
            let text = value.to_string();
            let named = self
                .table
                .settings
                .iter()
                .find(|(name, _)| text.contains(&format!("{{settings.{name}}}")));
            match named {
                None => texts.push(text),
                Some((name, values)) => {
                    let values = values
                        .0
                        .iter()
                        .map(ToString::to_string)
                        .filter(|value| !value.is_empty());
                    texts.extend(
                        values.map(|value| text.replace(&format!("{{settings.{name}}}"), &value)),
                    );
                }
            }
        }
        texts
    }

    fn number(&self, values: &Values, number: u32) -> bool {
        self.texts(values).iter().any(|text| {
            match (text.strip_suffix("xx"), text.split_once('-')) {
                (Some(hundreds), _) => number / 100 == hundreds.parse::<u32>().unwrap(),
                (_, Some((low, high))) => {
                    (low.parse::<u32>().unwrap()..=high.parse::<u32>().unwrap()).contains(&number)
                }
                _ => number == text.parse::<u32>().unwrap(),
            }
        })
    }

    fn text(&self, values: &Values, field: &str) -> bool {
        let text = self.field(field);
        values.0.iter().any(|value| match value {
            Scalar::Flag(present) => text.is_empty() != *present,
            _ => self
                .texts(&Values(vec![value.clone()]))
                .iter()
                .any(|pattern| glob(pattern, text)),
        })
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    if let Some(base) = pattern.strip_suffix("/**") {
        let after = text.strip_prefix(base.trim_end_matches('/'));
        return after.is_some_and(|after| after.is_empty() || after.starts_with(['/', '?', '#']));
    }
    let plain = pattern.trim_matches('*');
    match (pattern.starts_with('*'), pattern.ends_with('*')) {
        (true, true) if plain.is_empty() => !text.is_empty(),
        (true, true) => text.contains(plain),
        (true, false) => text.ends_with(plain),
        (false, true) => text.starts_with(plain),
        (false, false) => text == plain,
    }
}

/// Whether a path fits a pattern. A slash at the end counts as an empty
/// segment.
fn fits(pattern: &str, path: &str, raw: bool) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let mut have: Vec<&str> = rest.split('/').collect();
    if !raw {
        have.retain(|segment| !segment.is_empty());
        if rest.is_empty() || rest.ends_with('/') {
            have.push("");
        }
    }
    let want: Vec<&str> = pattern[1..].split('/').collect();
    for (at, segment) in want.iter().enumerate() {
        let Some(found) = have.get(at) else {
            return false;
        };
        if at + 1 == want.len()
            && let Some(start) = segment.strip_suffix("**")
        {
            return have[at..].join("/").starts_with(start);
        }
        if !one(segment, found, raw) {
            return false;
        }
    }
    let more = &have[want.len()..];
    more.is_empty() || more == [""] && want.last() != Some(&"")
}

fn one(want: &str, have: &str, raw: bool) -> bool {
    match want {
        "{uuid}" => {
            let parts: Vec<&str> = have.split('-').collect();
            let digit = |byte: u8| byte.is_ascii_hexdigit() && !(raw && byte.is_ascii_uppercase());
            parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12])
                && have.bytes().all(|byte| byte == b'-' || digit(byte))
        }
        "{number}" => !have.is_empty() && have.bytes().all(|byte| byte.is_ascii_digit()),
        _ if want.starts_with('{') || want == "*" => !have.is_empty(),
        _ => match want.split_once('*') {
            Some((start, end)) => {
                have.len() >= start.len() + end.len()
                    && have.starts_with(start)
                    && have.ends_with(end)
            }
            None => want == have,
        },
    }
}
