//! Which records a sink is meant to get.
//!
//! All given conditions must hold. A finding is judged by the event that
//! raised it, except for its severity and where a condition says otherwise.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sidewatch_event::{Delivery, Event, Field, FieldName};
use thiserror::Error;

/// Conditions as configured; absent ones admit everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FilterSettings {
    /// Findings alone, no events.
    pub findings_only: bool,
    /// Least severity, 0 to 10.
    pub min_severity: u8,
    /// Only these `event.action`s; findings pass regardless.
    pub actions: Vec<String>,
    /// All but these `event.action`s; findings pass regardless.
    pub exclude_actions: Vec<String>,
    /// Only events with one of these `event.category`s; findings pass
    /// regardless.
    pub categories: Vec<String>,
    /// Only records whose event has one of these `event.dataset`s. `nginx`
    /// stands for `nginx.access` and so on as well.
    pub datasets: Vec<String>,
    /// Only findings of these kinds; events pass regardless.
    pub kinds: Vec<String>,
    /// Only events of these levels of Mattermost's audit log (`audit-api`,
    /// `audit-content`, `audit-permissions`, `audit-cli`); findings and events
    /// of other sources pass regardless.
    pub levels: Vec<String>,
    /// Only events with one of these values in each of the fields or labels
    /// named; findings pass regardless.
    pub fields: BTreeMap<String, Vec<String>>,
}

/// Why a filter is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FilterError {
    /// The severity is off the scale.
    #[error("min_severity is {0}, but severities go from 0 to 10")]
    Severity(u8),
    /// An entry of a list is empty.
    #[error("{0} holds an empty text: remove it, an absent list admits everything")]
    Empty(&'static str),
    /// A level nobody writes.
    #[error("levels names `{0}`, but there are only {known}", known = LEVELS.join(", "))]
    Level(String),
    /// A field nobody has.
    #[error("fields: {0}; write an ECS name such as user.name, or labels.<name>")]
    Field(String),
    /// The conditions exclude each other.
    #[error("{0} only concerns events, but findings_only keeps all events out: remove one of them")]
    Contradiction(&'static str),
}

/// Levels of Mattermost's audit log.
const LEVELS: [&str; 4] = [
    "audit-api",
    "audit-content",
    "audit-permissions",
    "audit-cli",
];

/// Label that holds a record's level.
const LEVEL: &str = "mattermost.audit.level";

/// Checked conditions.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    settings: FilterSettings,
    fields: Vec<(FieldName, Vec<String>)>,
}

impl FilterSettings {
    /// Checks the conditions.
    ///
    /// # Errors
    /// A value makes no sense, or nothing could ever pass.
    pub fn build(&self) -> Result<Filter, FilterError> {
        let Self {
            findings_only,
            min_severity,
            actions,
            exclude_actions,
            categories,
            datasets,
            kinds,
            levels,
            fields,
        } = self;
        if *min_severity > 10 {
            return Err(FilterError::Severity(*min_severity));
        }
        let lists = [
            ("actions", actions, true),
            ("exclude_actions", exclude_actions, true),
            ("categories", categories, true),
            ("datasets", datasets, false),
            ("kinds", kinds, false),
            ("levels", levels, true),
        ];
        for (name, list, of_events) in lists {
            if list.iter().any(String::is_empty) {
                return Err(FilterError::Empty(name));
            }
            if of_events && *findings_only && !list.is_empty() {
                return Err(FilterError::Contradiction(name));
            }
        }
        if let Some(level) = levels
            .iter()
            .find(|level| !LEVELS.contains(&level.as_str()))
        {
            return Err(FilterError::Level(level.clone()));
        }
        if *findings_only && !fields.is_empty() {
            return Err(FilterError::Contradiction("fields"));
        }
        let named = fields.iter().map(|(name, values)| {
            let name =
                FieldName::parse(name).map_err(|error| FilterError::Field(error.to_string()))?;
            Ok((name, values.clone()))
        });
        Ok(Filter {
            fields: named.collect::<Result<_, _>>()?,
            settings: self.clone(),
        })
    }
}

impl Filter {
    /// Whether the record is meant for the sink.
    #[must_use]
    pub fn admits(&self, delivery: &Delivery) -> bool {
        let wanted = &self.settings;
        let dataset = delivery
            .event()
            .get(Field::EventDataset)
            .unwrap_or_default();
        if delivery.severity() < wanted.min_severity
            || !(wanted.datasets.is_empty()
                || wanted.datasets.iter().any(|one| in_dataset(dataset, one)))
        {
            return false;
        }
        match delivery {
            Delivery::Finding(finding) => {
                wanted.kinds.is_empty() || wanted.kinds.iter().any(|kind| **kind == *finding.kind)
            }
            Delivery::Event(event) => {
                let action = event.get(Field::EventAction).unwrap_or_default();
                let categories = event.get(Field::EventCategory).unwrap_or_default();
                let listed = |list: &[String], word: &str| list.iter().any(|one| one == word);
                // A finding another Sidewatch reported comes as such an event.
                let found = event.get(Field::EventKind) == Some("alert");
                (!wanted.findings_only || found)
                    && (wanted.actions.is_empty() || listed(&wanted.actions, action))
                    && !listed(&wanted.exclude_actions, action)
                    && (wanted.categories.is_empty()
                        || categories
                            .split(',')
                            .any(|category| listed(&wanted.categories, category)))
                    && self.has_level(event)
                    && self.has_fields(event)
            }
        }
    }

    fn has_level(&self, event: &Event) -> bool {
        let levels = &self.settings.levels;
        levels.is_empty()
            || event
                .label(LEVEL)
                .is_none_or(|level| levels.iter().any(|one| one == level))
    }

    fn has_fields(&self, event: &Event) -> bool {
        self.fields.iter().all(|(name, values)| {
            let text = event.get_named(name).unwrap_or_default();
            values.iter().any(|value| value == text)
        })
    }
}

fn in_dataset(dataset: &str, wanted: &str) -> bool {
    dataset
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn filter(text: &str) -> Filter {
        toml::from_str::<FilterSettings>(text)
            .unwrap()
            .build()
            .unwrap()
    }

    #[test]
    fn without_conditions_everything_passes() {
        let all = filter("");
        assert!(all.admits(&sample::event(1)) && all.admits(&sample::finding(2)));
    }

    #[test]
    fn findings_can_be_had_alone() {
        let findings = filter("findings_only = true");
        assert!(!findings.admits(&sample::event(1)));
        assert!(findings.admits(&sample::finding(2)));
    }

    #[test]
    fn severity_counts_for_both() {
        let severe = filter("min_severity = 8");
        assert!(!severe.admits(&sample::event(1)));
        assert!(severe.admits(&sample::finding(2)));
        assert!(!filter("min_severity = 9").admits(&sample::finding(2)));
    }

    #[test]
    fn actions_and_categories_choose_among_events() {
        assert!(filter("actions = ['login']").admits(&sample::failed_login(1)));
        assert!(!filter("actions = ['login']").admits(&sample::event(1)));
        assert!(!filter("exclude_actions = ['login']").admits(&sample::failed_login(1)));
        assert!(filter("exclude_actions = ['login']").admits(&sample::event(1)));
        assert!(filter("categories = ['authentication']").admits(&sample::failed_login(1)));
        assert!(!filter("categories = ['file']").admits(&sample::failed_login(1)));
        assert!(filter("categories = ['file']").admits(&sample::finding(1)));
    }

    #[test]
    fn datasets_match_whole_words_and_kinds_choose_among_findings() {
        assert!(filter("datasets = ['nginx']").admits(&sample::event(1)));
        assert!(filter("datasets = ['nginx.access']").admits(&sample::finding(1)));
        assert!(!filter("datasets = ['ngin']").admits(&sample::event(1)));
        assert!(filter("kinds = ['impossible-travel']").admits(&sample::finding(1)));
        assert!(!filter("kinds = ['account-shared']").admits(&sample::finding(1)));
        assert!(filter("kinds = ['account-shared']").admits(&sample::event(1)));
    }

    #[test]
    fn levels_and_fields_choose_among_events() {
        let mut event = Event::new();
        event.set_label(LEVEL, "audit-permissions");
        event.set(Field::EventCode, "permission-denied");
        let audit = Delivery::Event(event.into());
        assert!(filter("levels = ['audit-permissions']").admits(&audit));
        assert!(!filter("levels = ['audit-content']").admits(&audit));
        assert!(filter("levels = ['audit-content']").admits(&sample::event(1)));
        assert!(filter("fields = {'event.code' = ['permission-denied', 'x']}").admits(&audit));
        assert!(!filter("fields = {'labels.choice' = ['x']}").admits(&audit));
        let build = |text| {
            toml::from_str::<FilterSettings>(text)
                .unwrap()
                .build()
                .unwrap_err()
        };
        assert_eq!(
            build("levels = ['audit']"),
            FilterError::Level("audit".into())
        );
        assert!(
            build("fields = {'event.cod' = ['x']}")
                .to_string()
                .contains("event.cod")
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let build = |text| {
            toml::from_str::<FilterSettings>(text)
                .unwrap()
                .build()
                .unwrap_err()
        };
        assert_eq!(build("min_severity = 11"), FilterError::Severity(11));
        assert_eq!(build("kinds = ['']"), FilterError::Empty("kinds"));
        assert_eq!(
            build("findings_only = true\nactions = ['login']"),
            FilterError::Contradiction("actions")
        );
        assert!(toml::from_str::<FilterSettings>("action = ['login']").is_err());
    }
}
