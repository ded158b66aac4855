//! Conditions of entries, read once and shared between the entries that
//! repeat them.

use std::collections::BTreeMap;

use rule_sdk::ParameterError;

use crate::matcher::alternatives;
use crate::place::Place;
use crate::program::{OTHER_METHOD, StatusSet, Test};
use crate::settings::Settings;
use crate::table::{Entry, Query, Scalar, Values};

/// Deepest nesting of `any`, `not` and groups.
pub(crate) const MAX_DEPTH: usize = 8;

/// Everything conditions refer to, collected while reading the table.
#[derive(Debug)]
pub(crate) struct Conditions<'s> {
    pub(crate) settings: &'s Settings,
    /// Names of the text fields the rule reads.
    pub(crate) columns: Vec<String>,
    pub(crate) methods: Vec<Vec<u8>>,
    pub(crate) tests: Vec<Test>,
    /// Named conditions.
    pub(crate) named: BTreeMap<String, u16>,
}

impl Conditions<'_> {
    /// Column of a text field.
    pub(crate) fn column(&mut self, field: &str) -> usize {
        let known = self.columns.iter().position(|column| column == field);
        known.unwrap_or_else(|| {
            self.columns.push(field.to_owned());
            self.columns.len() - 1
        })
    }

    fn intern(&mut self, test: Test) -> Option<u16> {
        let known = self.tests.iter().position(|other| *other == test);
        let at = known.unwrap_or_else(|| {
            self.tests.push(test);
            self.tests.len() - 1
        });
        u16::try_from(at).ok()
    }

    /// Mask of the methods an entry names; all when it names none.
    pub(crate) fn methods(
        &mut self,
        values: &Values,
        place: &Place<'_>,
    ) -> Result<u32, ParameterError> {
        if values.0.is_empty() {
            return Ok(u32::MAX);
        }
        let mut mask = 0;
        for value in &values.0 {
            let Scalar::Text(name) = value else {
                return Err(place.error(
                    "method",
                    format!("`{value}` is no method; write it as \"GET\""),
                ));
            };
            if name.is_empty()
                || !name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'-')
            {
                return Err(place.error(
                    "method",
                    format!("`{name}` is no method; write capital letters: \"GET\""),
                ));
            }
            let known = self
                .methods
                .iter()
                .position(|method| method == name.as_bytes());
            let at = known.unwrap_or_else(|| {
                self.methods.push(name.clone().into_bytes());
                self.methods.len() - 1
            });
            if at >= 31 {
                return Err(place.error("method", "a table can name 31 methods at most"));
            }
            mask |= 1 << at;
        }
        debug_assert_eq!(mask & OTHER_METHOD, 0);
        Ok(mask)
    }

    /// The statuses an entry names; none when it does not say.
    pub(crate) fn statuses(
        &self,
        values: &Values,
        place: &Place<'_>,
    ) -> Result<Option<StatusSet>, ParameterError> {
        if values.0.is_empty() {
            return Ok(None);
        }
        let mut set: StatusSet = [0; 16];
        for (low, high) in self.ranges(values, "status", place)? {
            if low > high || high > 999 {
                return Err(place.error(
                    "status",
                    format!("`{low}-{high}` is no range of HTTP statuses"),
                ));
            }
            for status in low..=high {
                if let Some(word) = set.get_mut((status >> 6) as usize) {
                    *word |= 1 << (status & 63);
                }
            }
        }
        Ok(Some(set))
    }

    fn ranges(
        &self,
        values: &Values,
        key: &str,
        place: &Place<'_>,
    ) -> Result<Vec<(u32, u32)>, ParameterError> {
        let mut ranges = Vec::new();
        for value in &values.0 {
            let text = value.to_string();
            let texts = self
                .settings
                .expand(&text)
                .map_err(|message| place.error(key, message))?;
            for text in texts {
                let range = range(&text).ok_or_else(|| {
                    place.error(
                        key,
                        format!(
                            "`{text}` is no number or range; write 404, \"400-499\" or \"4xx\""
                        ),
                    )
                })?;
                ranges.push(range);
            }
        }
        Ok(ranges)
    }

    /// The conditions of an entry other than method, status, query and path.
    pub(crate) fn tests(
        &mut self,
        entry: &Entry,
        place: &Place<'_>,
        depth: usize,
    ) -> Result<Vec<u16>, ParameterError> {
        let mut tests = self.when(&entry.when, place)?;
        let named = [
            ("dataset", "event.dataset", &entry.dataset),
            ("referrer", "http.request.referrer", &entry.referrer),
            ("server", "server.address", &entry.server),
            ("user_agent", "user_agent.original", &entry.user_agent),
        ];
        for (key, field, values) in named {
            if !values.0.is_empty() {
                tests.push(self.text(key, field, values, place)?);
            }
        }
        for (field, values) in &entry.fields.0 {
            tests.push(self.text(&format!("fields.{field}"), field, values, place)?);
        }
        if !entry.server_port.0.is_empty() {
            tests.push(Test::Port(self.ranges(
                &entry.server_port,
                "server_port",
                place,
            )?));
        }
        if !entry.path_contains.0.is_empty() {
            let parts = entry
                .path_contains
                .0
                .iter()
                .map(|value| value.to_string().into_bytes());
            tests.push(Test::PathContains(parts.collect()));
        }
        if !entry.any.is_empty() {
            tests.push(Test::Any(self.groups("any", &entry.any, place, depth)?));
        }
        if !entry.not.is_empty() {
            tests.push(Test::None(self.groups("not", &entry.not, place, depth)?));
        }
        self.intern_all(tests, place)
    }

    /// Reads the named conditions.
    pub(crate) fn define(
        &mut self,
        conditions: &BTreeMap<String, Vec<Entry>>,
    ) -> Result<(), ParameterError> {
        for (name, alternatives) in conditions {
            let place = Place::top();
            let groups = self.groups(&format!("conditions.{name}"), alternatives, &place, 0)?;
            let ids = self.intern_all(vec![Test::Any(groups)], &place)?;
            self.named.extend(ids.first().map(|id| (name.clone(), *id)));
        }
        Ok(())
    }

    fn when(&self, values: &Values, place: &Place<'_>) -> Result<Vec<Test>, ParameterError> {
        let mut tests = Vec::new();
        for value in &values.0 {
            let text = value.to_string();
            let (name, wanted) = text
                .strip_prefix('!')
                .map_or((text.as_str(), true), |name| (name, false));
            let Some(id) = self.named.get(name) else {
                let known: Vec<_> = self.named.keys().map(String::as_str).collect();
                let message = format!(
                    "no condition is called `{name}`; conditions are: {}",
                    known.join(", ")
                );
                return Err(place.error("when", message));
            };
            let group = vec![vec![*id]];
            tests.push(if wanted {
                Test::Any(group)
            } else {
                Test::None(group)
            });
        }
        Ok(tests)
    }

    fn intern_all(
        &mut self,
        tests: Vec<Test>,
        place: &Place<'_>,
    ) -> Result<Vec<u16>, ParameterError> {
        let interned: Option<Vec<u16>> = tests.into_iter().map(|test| self.intern(test)).collect();
        interned.ok_or_else(|| {
            place.error(
                "fields",
                "the table has more than 65,536 distinct conditions",
            )
        })
    }

    fn text(
        &mut self,
        key: &str,
        field: &str,
        values: &Values,
        place: &Place<'_>,
    ) -> Result<Test, ParameterError> {
        if values.0.is_empty() {
            return Err(place.error(key, "an empty list can never match; write false for absent"));
        }
        let matchers =
            alternatives(values, self.settings).map_err(|message| place.error(key, message))?;
        Ok(Test::Text {
            column: self.column(field),
            matchers,
        })
    }

    fn groups(
        &mut self,
        list: &str,
        entries: &[Entry],
        place: &Place<'_>,
        depth: usize,
    ) -> Result<Vec<Vec<u16>>, ParameterError> {
        let mut groups = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let place = place.entry(list, index, entry);
            let foreign = entry.first_answer().or_else(|| {
                let given = [
                    ("path", !entry.path.0.is_empty()),
                    ("base", !entry.base.is_empty()),
                    ("entries", !entry.entries.is_empty()),
                ];
                given
                    .into_iter()
                    .find(|(_, given)| *given)
                    .map(|(key, _)| key)
            });
            if let Some(key) = foreign {
                return Err(
                    place.error(key, format!("`{list}` holds conditions only, and no paths"))
                );
            }
            if depth >= MAX_DEPTH {
                return Err(place.error(list, format!("nested more than {MAX_DEPTH} deep")));
            }
            if !self.settings.all_on(&entry.enabled, &place, "enabled")? {
                continue;
            }
            let mut tests = self.tests(entry, &place, depth + 1)?;
            let mut more = Vec::new();
            if !entry.method.0.is_empty() {
                more.push(Test::Method(self.methods(&entry.method, &place)?));
            }
            more.extend(self.statuses(&entry.status, &place)?.map(Test::Status));
            match entry.query {
                Some(Query::Present) => more.push(Test::Query),
                Some(Query::Absent) => {
                    let present = self.intern_all(vec![Test::Query], &place)?;
                    more.push(Test::None(vec![present]));
                }
                Some(Query::Any) | None => {}
            }
            tests.extend(self.intern_all(more, &place)?);
            if tests.is_empty() {
                return Err(place.error("", format!("an empty condition in `{list}` always holds")));
            }
            groups.push(tests);
        }
        Ok(groups)
    }
}

/// `404`, `400-499` or `4xx`.
fn range(text: &str) -> Option<(u32, u32)> {
    if let Some(hundreds) = text.strip_suffix("xx") {
        let hundreds: u32 = hundreds
            .parse()
            .ok()
            .filter(|hundreds| (1..=9).contains(hundreds))?;
        return Some((hundreds * 100, hundreds * 100 + 99));
    }
    match text.split_once('-') {
        Some((low, high)) => Some((low.trim().parse().ok()?, high.trim().parse().ok()?)),
        None => text.parse().ok().map(|number| (number, number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_can_be_written_three_ways() {
        assert_eq!(range("404"), Some((404, 404)));
        assert_eq!(range("400-499"), Some((400, 499)));
        assert_eq!(range("4xx"), Some((400, 499)));
        assert_eq!(range("0xx"), None);
        assert_eq!(range("ok"), None);
    }
}
