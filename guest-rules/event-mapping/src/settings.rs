//! Settings: the values of a table that differ from site to site.

use std::collections::BTreeMap;

use crate::place::Place;
use crate::table::{Scalar, Values};
use rule_sdk::ParameterError;

const OPEN: &str = "{settings.";

/// The values a table refers to.
#[derive(Debug)]
pub(crate) struct Settings(pub(crate) BTreeMap<String, Values>);

impl Settings {
    fn get(&self, name: &str) -> Result<&[Scalar], String> {
        let found = self.0.get(name).map(|values| values.0.as_slice());
        found.ok_or_else(|| {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            format!(
                "no setting is called `{name}`; settings are: {}",
                known.join(", ")
            )
        })
    }

    /// Replaces every `{settings.name}`. A setting with several values gives
    /// several texts; one that is empty gives none, so that a condition that
    /// names it never holds.
    pub(crate) fn expand(&self, text: &str) -> Result<Vec<String>, String> {
        self.replace(text, false)
    }

    /// The same for a text in which an empty setting just leaves a gap. There
    /// must be one result.
    pub(crate) fn expand_one(&self, text: &str) -> Result<String, String> {
        match self.replace(text, true)?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(format!("a setting in `{text}` may have one value only")),
        }
    }

    fn replace(&self, text: &str, gaps: bool) -> Result<Vec<String>, String> {
        let mut texts = vec![String::new()];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (name, further) = after
                .split_once('}')
                .ok_or_else(|| format!("`{text}` opens `{OPEN}` and does not close it"))?;
            let values = self.get(name)?.iter().map(Scalar::to_string);
            let mut values: Vec<_> = values.filter(|value| !value.is_empty()).collect();
            if gaps && values.is_empty() {
                values.push(String::new());
            }
            texts = texts
                .iter()
                .flat_map(|start| {
                    values
                        .iter()
                        .map(move |value| format!("{start}{before}{value}"))
                })
                .collect();
            rest = further;
        }
        for finished in &mut texts {
            finished.push_str(rest);
        }
        Ok(texts)
    }

    /// Whether every named switch is as wanted. A setting is on when it is
    /// true, a number other than 0 or a text that is not empty.
    pub(crate) fn all_on(
        &self,
        values: &Values,
        place: &Place<'_>,
        key: &str,
    ) -> Result<bool, ParameterError> {
        for value in &values.0 {
            let on = match value {
                Scalar::Flag(flag) => *flag,
                Scalar::Number(_) => {
                    return Err(place.error(key, "give true, false or the name of a setting"));
                }
                Scalar::Text(name) => {
                    let (name, wanted) = name
                        .strip_prefix('!')
                        .map_or((name.as_str(), true), |name| (name, false));
                    let values = self
                        .get(name)
                        .map_err(|message| place.error(key, message))?;
                    values.iter().any(is_on) == wanted
                }
            };
            if !on {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn is_on(value: &Scalar) -> bool {
    match value {
        Scalar::Flag(flag) => *flag,
        Scalar::Number(number) => *number != 0,
        Scalar::Text(text) => !text.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let text = |text: &str| Scalar::Text(text.into());
        Settings(BTreeMap::from([
            (
                "bases".into(),
                Values(vec![text("http://a"), text("http://b")]),
            ),
            ("none".into(), Values(vec![text("")])),
            ("on".into(), Values(vec![Scalar::Flag(true)])),
        ]))
    }

    #[test]
    fn a_setting_with_several_values_gives_several_texts() {
        assert_eq!(
            settings().expand("<{settings.bases}/x>").unwrap(),
            ["<http://a/x>", "<http://b/x>"]
        );
        assert_eq!(settings().expand("plain").unwrap(), ["plain"]);
    }

    #[test]
    fn an_empty_setting_gives_no_text() {
        assert!(settings().expand("{settings.none}*").unwrap().is_empty());
        assert_eq!(
            settings().expand_one("{settings.none}/api").unwrap(),
            "/api"
        );
        assert!(settings().expand_one("{settings.bases}/api").is_err());
    }

    #[test]
    fn an_unknown_setting_is_named_with_the_known_ones() {
        let error = settings().expand("{settings.basis}").unwrap_err();
        assert!(
            error.contains("`basis`") && error.contains("bases"),
            "{error}"
        );
    }

    #[test]
    fn switches_can_be_negated() {
        let place = Place::top();
        let all_on = |names: &[&str]| {
            let names = names
                .iter()
                .map(|name| Scalar::Text((*name).into()))
                .collect();
            settings()
                .all_on(&Values(names), &place, "enabled")
                .unwrap()
        };
        assert!(all_on(&["on", "!none"]));
        assert!(!all_on(&["on", "none"]));
    }
}
