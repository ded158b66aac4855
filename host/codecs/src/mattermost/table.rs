//! The table that says where the keys of a record go and what events mean
//! (`rules/packs/mattermost/audit.toml`).
//!
//! Compiled once; reading a record looks keys and names up and compares
//! nothing else. What an event means is one shared annotation.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use foldhash::fast::RandomState;
use serde::Deserialize;
use sidewatch_event::{Annotation, Field};

use super::record::Slot;

/// The pack's own table.
const BUILT_IN: &str = include_str!("../../../../rules/packs/mattermost/audit.toml");

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// It is not of the expected form.
    #[error("audit table: {0}")]
    Form(#[from] toml::de::Error),
    /// A key is to go where there is no place.
    #[error(
        "audit table: `{path}` is to go to `{place}`, which is no place; write a place of the table's comment or `mattermost.audit.…`"
    )]
    Place {
        /// The key.
        path: String,
        /// Where it is to go.
        place: String,
    },
    /// A name is listed twice.
    #[error("audit table: event `{0}` is listed twice")]
    Twice(String),
    /// A meaning is given to an event that is not listed.
    #[error("audit table: meaning `{code}` names event `{event}`, which is not listed")]
    Unlisted {
        /// The meaning.
        code: String,
        /// The event.
        event: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    places: BTreeMap<String, String>,
    private: Names,
    reasons: Vec<ReasonEntry>,
    flat: Flat,
    levels: Levels,
    default: Class,
    events: Vec<EventEntry>,
    meanings: Vec<MeaningEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    names: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flat {
    target_in_user_id: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Levels {
    content: Vec<String>,
}

/// Category, type and severity.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Class {
    category: Vec<String>,
    #[serde(rename = "type")]
    kind: Vec<String>,
    severity: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventEntry {
    names: Vec<String>,
    #[serde(default)]
    category: Vec<String>,
    #[serde(rename = "type")]
    kind: Vec<String>,
    #[serde(default)]
    object: Object,
    severity: Option<u8>,
}

/// What the object of an event is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Object {
    /// The record's `object_type` says it, if anything does.
    #[default]
    Unknown,
    /// The user who acts: logins.
    #[serde(rename = "self")]
    Itself,
    User,
    Session,
    Credential,
    Team,
    Group,
    Membership,
    Config,
    Plugin,
    Command,
    File,
    ChannelContent,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonEntry {
    reason: String,
    #[serde(default, rename = "where")]
    place: Option<String>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    ids: Vec<String>,
    #[serde(default)]
    any_event: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeaningEntry {
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    outcome: Option<String>,
    #[serde(default)]
    reason: Vec<String>,
    #[serde(default)]
    role: Vec<String>,
    #[serde(default)]
    switch: Option<bool>,
    #[serde(default)]
    changes: Vec<String>,
    #[serde(default)]
    own: Option<bool>,
    code: String,
    #[serde(default)]
    action: String,
    name: String,
    #[serde(default, rename = "type")]
    kind: Vec<String>,
    severity: u8,
}

/// Where a key goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Slot(Slot),
    /// A label of that name.
    Label(Box<str>),
}

/// What of a record decides its meaning.
pub(super) struct Situation<'a> {
    pub(super) outcome: &'a str,
    pub(super) reason: &'a str,
    /// Roles given, separated by blanks or commas.
    pub(super) roles: &'a str,
    pub(super) switch: Option<bool>,
    /// Settings changed, separated by commas.
    pub(super) changes: &'a str,
    /// Whether the actor is the target; absent when either is unknown.
    pub(super) own: Option<bool>,
}

impl MeaningEntry {
    fn fits(&self, situation: &Situation<'_>) -> bool {
        let any =
            |list: &[String], one: &str| list.is_empty() || list.iter().any(|word| word == one);
        self.outcome
            .as_deref()
            .is_none_or(|outcome| outcome == situation.outcome)
            && any(&self.reason, situation.reason)
            && (self.role.is_empty()
                || situation
                    .roles
                    .split([' ', ','])
                    .any(|role| self.role.iter().any(|one| one == role)))
            && (self.switch.is_none() || self.switch == situation.switch)
            && (self.own.is_none() || self.own == situation.own)
            && (self.changes.is_empty()
                || situation
                    .changes
                    .split(',')
                    .any(|path| self.changes.iter().any(|start| path.starts_with(&**start))))
    }
}

/// What is known of one event's name.
pub(super) struct Known {
    pub(super) object: Object,
    /// Up to v5.39 `user_id` is the target's.
    pub(super) target_in_user_id: bool,
    pub(super) content: bool,
    plain: Arc<Annotation>,
    meanings: Vec<(u16, Arc<Annotation>)>,
}

type Map<V> = HashMap<Box<str>, V, RandomState>;

/// The compiled table.
pub struct AuditTable {
    places: Map<Place>,
    private: Map<()>,
    events: Map<Known>,
    unknown: Known,
    meanings: Vec<MeaningEntry>,
    reasons: Vec<ReasonEntry>,
    reason_ids: Map<u16>,
}

impl std::fmt::Debug for AuditTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AuditTable")
            .field("events", &self.events.len())
            .finish_non_exhaustive()
    }
}

impl AuditTable {
    /// The table of the Mattermost pack.
    ///
    /// # Errors
    /// The pack's file is damaged; a test makes sure that it is not.
    pub fn built_in() -> Result<Self, TableError> {
        Self::parse(BUILT_IN)
    }

    /// Compiles a table.
    ///
    /// # Errors
    /// Says what in the text cannot be used.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let file: File = toml::from_str(text)?;
        let mut events: Map<Known> = Map::default();
        for entry in &file.events {
            let class = Class {
                category: entry.category.clone(),
                kind: entry.kind.clone(),
                severity: entry.severity.unwrap_or(file.default.severity),
            };
            for name in &entry.names {
                let known = known(name, entry.object, &class, &file);
                if events.insert(name.as_str().into(), known).is_some() {
                    return Err(TableError::Twice(name.clone()));
                }
            }
        }
        for meaning in &file.meanings {
            if let Some(event) = meaning
                .events
                .iter()
                .find(|event| !events.contains_key(event.as_str()))
            {
                return Err(TableError::Unlisted {
                    code: meaning.code.clone(),
                    event: event.clone(),
                });
            }
        }
        let ids = file
            .reasons
            .iter()
            .zip(0..)
            .flat_map(|(reason, at)| reason.ids.iter().map(move |id| (id.as_str().into(), at)));
        Ok(Self {
            places: places(&file.places)?,
            private: file
                .private
                .names
                .iter()
                .map(|name| (name.as_str().into(), ()))
                .collect(),
            unknown: known("", Object::Unknown, &file.default, &file),
            reason_ids: ids.collect(),
            events,
            meanings: file.meanings,
            reasons: file.reasons,
        })
    }

    pub(super) fn place(&self, path: &str) -> Option<&Place> {
        self.places.get(path)
    }

    pub(super) fn is_private(&self, name: &str) -> bool {
        self.private.contains_key(name)
    }

    /// What is known of a name, and whether it is known at all.
    pub(super) fn event(&self, name: &str) -> &Known {
        self.events.get(name).unwrap_or(&self.unknown)
    }

    /// Why something was refused: `error` is v5's id of the error, or what
    /// v7.2 and later write: `Where: text for people, details`.
    pub(super) fn reason(&self, error: &str, status: u16, login: bool) -> Option<&str> {
        let admitted = |entry: &&ReasonEntry| login || entry.any_event;
        if let Some(at) = self.reason_ids.get(error) {
            return self
                .reasons
                .get(usize::from(*at))
                .filter(admitted)
                .map(|entry| &*entry.reason);
        }
        let (place, _) = error.split_once(": ")?;
        self.reasons
            .iter()
            .filter(admitted)
            .find(|entry| {
                entry.place.as_deref() == Some(place)
                    && entry.status.is_none_or(|wanted| wanted == status)
            })
            .map(|entry| &*entry.reason)
    }

    /// What a record means.
    pub(super) fn annotation<'t>(
        &'t self,
        known: &'t Known,
        situation: &Situation<'_>,
    ) -> &'t Arc<Annotation> {
        known
            .meanings
            .iter()
            .find(|(at, _)| {
                self.meanings
                    .get(usize::from(*at))
                    .is_some_and(|entry| entry.fits(situation))
            })
            .map_or(&known.plain, |(_, annotation)| annotation)
    }
}

fn known(name: &str, object: Object, class: &Class, file: &File) -> Known {
    let code = kebab(name);
    let plain = Annotation::new(
        [
            (Field::EventCategory, class.category.join(",")),
            (Field::EventType, class.kind.join(",")),
            (Field::EventCode, code),
            (Field::ObserverProduct, "Mattermost".to_owned()),
        ],
        Some(class.severity),
        false,
    );
    let meanings = file.meanings.iter().zip(0..).filter(|(entry, _)| {
        entry.events.is_empty() || entry.events.iter().any(|event| event == name)
    });
    Known {
        object,
        target_in_user_id: file.flat.target_in_user_id.iter().any(|one| one == name),
        content: file.levels.content.iter().any(|one| one == name),
        plain: Arc::new(plain),
        meanings: meanings
            .map(|(entry, at)| (at, Arc::new(meaning(entry, class))))
            .collect(),
    }
}

fn meaning(entry: &MeaningEntry, class: &Class) -> Annotation {
    let kind = if entry.kind.is_empty() {
        &class.kind
    } else {
        &entry.kind
    };
    Annotation::new(
        [
            // The record's own name and outcome stand before these two; they
            // decide what the rules see.
            (Field::EventAction, entry.action.clone()),
            (
                Field::EventOutcome,
                entry.outcome.clone().unwrap_or_default(),
            ),
            (Field::EventCategory, class.category.join(",")),
            (Field::EventType, kind.join(",")),
            (Field::EventCode, entry.code.clone()),
            (Field::SidewatchName, entry.name.clone()),
            (Field::ObserverProduct, "Mattermost".to_owned()),
        ],
        Some(entry.severity),
        false,
    )
}

/// `addTeamMember` as `add-team-member`.
fn kebab(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    let mut lower_before = false;
    for character in name.chars() {
        if character.is_ascii_uppercase() && lower_before {
            out.push('-');
        }
        lower_before = !character.is_ascii_uppercase();
        out.push(character.to_ascii_lowercase());
    }
    out
}

fn places(entries: &BTreeMap<String, String>) -> Result<Map<Place>, TableError> {
    entries
        .iter()
        .map(|(path, place)| {
            let parsed = match place.strip_prefix("mattermost.") {
                Some(_) => Some(Place::Label(place.as_str().into())),
                None => Slot::from_name(place).map(Place::Slot),
            };
            match parsed {
                Some(parsed) => Ok((path.as_str().into(), parsed)),
                None => Err(TableError::Place {
                    path: path.clone(),
                    place: place.clone(),
                }),
            }
        })
        .collect()
}
