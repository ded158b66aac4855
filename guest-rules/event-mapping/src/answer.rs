//! What an entry says of an event: constant texts and computed ones.

use rule_sdk::ParameterError;
use rule_sdk::mapping::wire::Annotation;

use crate::condition::Conditions;
use crate::pattern::Pattern;
use crate::place::Place;
use crate::program::Computed;
use crate::table::{Entry, Values};
use crate::template::{Source, Template};

/// Categories the Elastic Common Schema knows.
const CATEGORIES: &[&str] = &[
    "api",
    "authentication",
    "configuration",
    "database",
    "driver",
    "email",
    "file",
    "host",
    "iam",
    "intrusion_detection",
    "library",
    "malware",
    "network",
    "package",
    "process",
    "registry",
    "session",
    "threat",
    "vulnerability",
    "web",
];

/// Types the Elastic Common Schema knows.
const KINDS: &[&str] = &[
    "access",
    "admin",
    "allowed",
    "change",
    "connection",
    "creation",
    "deletion",
    "denied",
    "end",
    "error",
    "group",
    "indicator",
    "info",
    "installation",
    "protocol",
    "start",
    "user",
];

const OUTCOMES: &[&str] = &["success", "failure", "unknown"];

/// Severity that means "not set".
const NO_SEVERITY: u32 = 255;

/// What a group hands down to its entries.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    annotation: Annotation,
    message: Values,
    set: Vec<(String, Values)>,
}

impl Defaults {
    pub(crate) fn new() -> Self {
        let annotation = Annotation {
            action: String::new(),
            category: Vec::new(),
            kinds: Vec::new(),
            outcome: String::new(),
            code: String::new(),
            name: String::new(),
            severity: NO_SEVERITY,
            product: String::new(),
            suppress: false,
        };
        Self {
            annotation,
            message: Values::default(),
            set: Vec::new(),
        }
    }

    /// The same with an entry's own answers in place of these.
    pub(crate) fn with(
        &self,
        entry: &Entry,
        place: &Place<'_>,
        conditions: &Conditions<'_>,
    ) -> Result<Self, ParameterError> {
        let mut new = self.clone();
        let annotation = &mut new.annotation;
        let texts = [
            (&mut annotation.action, &entry.action),
            (&mut annotation.outcome, &entry.outcome),
            (&mut annotation.name, &entry.name),
            (&mut annotation.product, &entry.product),
        ];
        for (text, own) in texts {
            if let Some(own) = own {
                own.clone_into(text);
            }
        }
        if !annotation.outcome.is_empty() {
            one_of(&annotation.outcome, OUTCOMES)
                .map_err(|message| place.error("outcome", message))?;
        }
        let lists = [
            (
                "category",
                &mut annotation.category,
                &entry.category,
                CATEGORIES,
            ),
            ("type", &mut annotation.kinds, &entry.kind, KINDS),
        ];
        for (key, list, own, allowed) in lists {
            if !own.0.is_empty() {
                *list = own.0.iter().map(ToString::to_string).collect();
            }
            for word in list.iter() {
                one_of(word, allowed).map_err(|message| place.error(key, message))?;
            }
        }
        match entry.code.0.as_slice() {
            [] => {}
            [code] => annotation.code = code.to_string(),
            _ => return Err(place.error("code", "give one code")),
        }
        if let Some(severity) = entry.severity {
            if severity > 10 {
                return Err(place.error("severity", format!("{severity} is not between 0 and 10")));
            }
            annotation.severity = u32::from(severity);
        }
        if !entry.suppress.0.is_empty() {
            annotation.suppress = conditions
                .settings
                .all_on(&entry.suppress, place, "suppress")?;
        }
        if !entry.message.0.is_empty() {
            new.message = entry.message.clone();
        }
        for (field, templates) in &entry.set.0 {
            new.set.retain(|(known, _)| known != field);
            new.set.push((field.clone(), templates.clone()));
        }
        Ok(new)
    }

    /// Whether the constant part is empty.
    pub(crate) fn says_nothing(&self) -> bool {
        let Annotation {
            action,
            category,
            code,
            name,
            suppress,
            ..
        } = &self.annotation;
        action.is_empty() && category.is_empty() && code.is_empty() && name.is_empty() && !suppress
    }

    /// Marks as noise.
    pub(crate) fn suppressed(mut self) -> Self {
        self.annotation.suppress = true;
        self
    }

    /// The constant part.
    pub(crate) fn annotation(&self) -> Annotation {
        self.annotation.clone()
    }

    /// The computed part; `writes` collects the fields.
    pub(crate) fn computed(
        &self,
        patterns: &[Pattern],
        place: &Place<'_>,
        conditions: &mut Conditions<'_>,
        writes: &mut Vec<String>,
    ) -> Result<Vec<Computed>, ParameterError> {
        let mut computed = Vec::new();
        if self.annotation.suppress {
            return Ok(computed);
        }
        let message =
            Some(("message", "message", &self.message)).filter(|(.., values)| !values.0.is_empty());
        let set = self
            .set
            .iter()
            .map(|(field, values)| ("set", field.as_str(), values));
        for (key, field, values) in message.into_iter().chain(set) {
            let mut templates = Vec::new();
            for value in &values.0 {
                let text = value.to_string();
                let texts = conditions
                    .settings
                    .expand(&text)
                    .map_err(|message| place.error(key, message))?;
                for text in texts {
                    let template =
                        Template::parse(&text, |name| source(name, patterns, conditions));
                    templates.push(template.map_err(|message| place.error(key, message))?);
                }
            }
            let known = writes.iter().position(|write| write == field);
            let at = known.unwrap_or_else(|| {
                writes.push(field.to_owned());
                writes.len() - 1
            });
            computed.push(Computed {
                field: u32::try_from(at).unwrap_or(u32::MAX),
                templates,
            });
        }
        Ok(computed)
    }
}

fn one_of(word: &str, allowed: &[&str]) -> Result<(), String> {
    if allowed.contains(&word) {
        Ok(())
    } else {
        Err(format!("`{word}` is none of {}", allowed.join(", ")))
    }
}

fn source(
    name: &str,
    patterns: &[Pattern],
    conditions: &mut Conditions<'_>,
) -> Result<Source, String> {
    if name == "uuid" {
        return Ok(Source::Uuid);
    }
    if name == "http.response.status_code" {
        return Ok(Source::Status);
    }
    if let Some(number) = name.strip_prefix("path.") {
        let number: Option<usize> = number.parse().ok().filter(|number| *number > 0);
        return match number {
            Some(number) => Ok(Source::Segment(number - 1)),
            None => Err(format!("`{{{name}}}`: segments are counted from 1")),
        };
    }
    if name.contains('.') {
        return Ok(Source::Column(conditions.column(name)));
    }
    let place = |pattern: &Pattern| {
        pattern
            .names
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, at)| *at)
    };
    let mut places = patterns.iter().map(place);
    match places.next().flatten() {
        Some(at) if places.all(|other| other == Some(at)) => Ok(Source::Segment(at)),
        Some(_) => Err(format!(
            "`{{{name}}}` must stand at the same place in every path of the entry"
        )),
        None => Err(format!("no segment of the path is called `{{{name}}}`")),
    }
}
