//! Documents as Elastic's Mattermost integration makes them.
//!
//! Field by field what it maps, with its categories (`rules/packs/mattermost/
//! elastic.toml`); what it drops is dropped. It reads flat v5 records only, so
//! newer ones are brought into the same form. Other events are written as
//! [`super::encode`] does.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use sidewatch_event::{Delivery, Event, Field};

use super::{device_name, extension, label_value, push_new, push_words, write};
use crate::document::{Entries, Value};
use crate::json;
use crate::mattermost::{DATASET, RESOLVED};

const TABLE: &str = include_str!("../../../../rules/packs/mattermost/elastic.toml");

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    category: Vec<String>,
    #[serde(rename = "type")]
    kind: Vec<String>,
    /// Where the team goes, too.
    #[serde(default)]
    group: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Events whose actor was written over by the target.
    target_in_user_id: Vec<String>,
    /// Events whose target the integration does not see.
    untargeted: Vec<String>,
    default: Class,
    events: HashMap<String, Class>,
}

/// A damaged table would show in every test; here it means no categories.
static CLASSES: LazyLock<Table> = LazyLock::new(|| toml::from_str(TABLE).unwrap_or_default());

/// Labels the integration keeps, beside those below `patch`.
const KEPT: [&str; 13] = [
    "mattermost.audit.channel.id",
    "mattermost.audit.channel.name",
    "mattermost.audit.channel.type",
    "mattermost.audit.cluster.id",
    "mattermost.audit.error.message",
    "mattermost.audit.post.channel.id",
    "mattermost.audit.post.id",
    "mattermost.audit.post.pinned",
    "mattermost.audit.post.type",
    "mattermost.audit.team.id",
    "mattermost.audit.team.name",
    "mattermost.audit.team.type",
    "mattermost.audit.patch.name",
];

/// Appends one document on one line, without a line end.
pub fn encode(delivery: &Delivery, out: &mut Vec<u8>) {
    match delivery {
        Delivery::Event(event) if event.get(Field::EventDataset) == Some(DATASET) => {
            let mut entries = Entries::with_capacity(48);
            add(event, &mut entries);
            write(entries, out);
        }
        _ => super::encode(delivery, out),
    }
}

fn add<'a>(event: &'a Event, entries: &mut Entries<'a>) {
    let time = if event.time == 0 {
        event.received
    } else {
        event.time
    };
    entries.push(("@timestamp", Value::Time(time)));
    entries.push(("event.kind", Value::Text("event")));
    entries.push(("event.dataset", Value::Text(DATASET)));
    entries.push(("event.outcome", Value::Text(outcome(event))));
    let action = event.own(Field::EventAction).unwrap_or_default();
    let class = CLASSES.events.get(action).unwrap_or(&CLASSES.default);
    for (name, words) in [
        ("event.category", &class.category),
        ("event.type", &class.kind),
    ] {
        push_words(
            name,
            words.iter().map(|word| Cow::Borrowed(&**word)).collect(),
            entries,
        );
    }
    for (field, name) in [
        (Field::EventAction, "event.action"),
        (Field::EventOriginal, "event.original"),
        (Field::ErrorCode, "error.code"),
        (Field::SourceAddress, "source.address"),
        (Field::UrlOriginal, "url.original"),
        (Field::UrlOriginal, "mattermost.audit.api_path"),
        (Field::UrlPath, "url.path"),
        (Field::UrlQuery, "url.query"),
        (Field::SessionId, "mattermost.audit.session.id"),
        (Field::DeviceId, "mattermost.audit.device.id"),
        (Field::LogFilePath, "log.file.path"),
        (
            Field::SourceAsOrganizationName,
            "source.as.organization.name",
        ),
        (Field::SourceGeoCityName, "source.geo.city_name"),
        (Field::SourceGeoContinentName, "source.geo.continent_name"),
        (Field::SourceGeoCountryName, "source.geo.country_name"),
        (Field::SourceGeoRegionIsoCode, "source.geo.region_iso_code"),
        (
            Field::SourceGeoCountryIsoCode,
            "source.geo.country_iso_code",
        ),
        (Field::SourceGeoRegionName, "source.geo.region_name"),
    ] {
        push_text(name, event.get(field), entries);
    }
    if let Some(extension) = event.own(Field::UrlPath).and_then(extension) {
        entries.push(("url.extension", Value::Text(extension)));
    }
    add_numbers(event, entries);
    add_agent(event, entries);
    add_labels(event, action, entries);
    add_people(event, action, entries);
    add_group(event, class, entries);
    let mut tags = vec![Cow::Borrowed("mattermost-audit")];
    if event.own(Field::EventOriginal).is_some() {
        tags.push(Cow::Borrowed("preserve_original_event"));
    }
    push_words("tags", tags, entries);
}

fn push_text<'a>(name: &'static str, text: Option<&'a str>, entries: &mut Entries<'a>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        entries.push((name, Value::Text(text)));
    }
}

/// Errors win over the status; what is neither is unknown.
fn outcome(event: &Event) -> &'static str {
    if event.label("mattermost.audit.error.message").is_some() {
        return "failure";
    }
    match event.label("mattermost.audit.status") {
        Some("success") => "success",
        Some("fail") => "failure",
        _ => "unknown",
    }
}

fn add_numbers<'a>(event: &'a Event, entries: &mut Entries<'a>) {
    let wanted = [
        "event.ingested",
        "http.response.status_code",
        "source.as.number",
        "source.geo.location",
        "source.ip",
    ];
    entries.extend(json::numbers(event).filter(|(name, _)| wanted.contains(name)));
}

/// Names as the integration's reader of user agents has them.
fn add_agent<'a>(event: &'a Event, entries: &mut Entries<'a>) {
    let Some(original) = event.own(Field::UserAgentOriginal) else {
        return;
    };
    entries.push(("user_agent.original", Value::Text(original)));
    entries.push(("user_agent.device.name", Value::Text(device_name(original))));
    let text = |field| event.get(field).filter(|text| !text.is_empty());
    // It does not know Mattermost's own command line.
    let (name, version) = match text(Field::UserAgentName) {
        Some("mmctl") => (Some("Other"), None),
        name => (name, text(Field::UserAgentVersion)),
    };
    push_text("user_agent.name", name, entries);
    push_text("user_agent.version", version, entries);
    let system = match text(Field::UserAgentOsName) {
        Some("macOS") => Some("Mac OS X"),
        system => system,
    };
    push_text("user_agent.os.name", system, entries);
    let release = text(Field::UserAgentOsVersion);
    push_text("user_agent.os.version", release, entries);
    if let (Some(system), Some(release)) = (system, release) {
        entries.push((
            "user_agent.os.full",
            Value::Owned([system, release].join(" ")),
        ));
    }
}

fn add_labels<'a>(event: &'a Event, action: &str, entries: &mut Entries<'a>) {
    // It reads objects; an identifier alone stands in a key it does not know.
    let whole = |name: &str| {
        CLASSES.events.contains_key(action)
            || match name {
                "mattermost.audit.channel.id" => {
                    event.label("mattermost.audit.channel.name").is_some()
                }
                "mattermost.audit.team.id" => event.label("mattermost.audit.team.name").is_some(),
                _ => true,
            }
    };
    for (name, text) in event.labels() {
        let kept = KEPT.contains(&name) || name.starts_with("mattermost.audit.patch.");
        if kept && whole(name) {
            entries.push((name, label_value(name, text)));
        }
    }
    super::add_related_places(event, entries, whole);
}

/// Whom a record is about, as it says itself.
struct People<'a> {
    actor: Option<&'a str>,
    id: Option<&'a str>,
    name: Option<&'a str>,
    roles: Option<&'a str>,
}

/// It knows the actor by id alone, and the user who logs in as a target.
fn people<'a>(event: &'a Event, action: &str) -> People<'a> {
    let own = |field| event.own(field).filter(|text| !text.is_empty());
    // What we know from other records is none of this one's.
    let resolved = |field: Field| {
        let list = event.label(RESOLVED).unwrap_or_default();
        list.split(',').any(|name| name == field.name())
    };
    let login = matches!(action, "login" | "completeSaml" | "completeOAuth");
    let named_as_actor = !login || own(Field::SessionId).is_some();
    let actor = own(Field::UserId).filter(|_| named_as_actor && !resolved(Field::UserId));
    if login && event.label("mattermost.audit.status") == Some("success") {
        return People {
            actor,
            id: own(Field::UserId),
            name: own(Field::UserName),
            roles: own(Field::UserRoles),
        };
    }
    let name = own(Field::UserTargetName).filter(|_| !resolved(Field::UserTargetName));
    let roles = own(Field::UserTargetRoles);
    let has = |list: &[String]| list.iter().any(|one| one == action);
    let overwritten = actor.is_none() && !login && has(&CLASSES.target_in_user_id);
    let whole = name.is_some() || roles.is_some();
    let shown = whole || !(login || overwritten || has(&CLASSES.untargeted));
    let id = own(Field::UserTargetId);
    People {
        actor: actor.or(id.filter(|_| overwritten)),
        id: id.filter(|_| shown),
        name,
        roles,
    }
}

fn add_people<'a>(event: &'a Event, action: &str, entries: &mut Entries<'a>) {
    let People {
        actor,
        id,
        name,
        roles,
    } = people(event, action);
    let changed = event
        .label("mattermost.audit.patch.name")
        .filter(|patched| action == "patchUser" && name != Some(patched));
    push_text("user.id", actor, entries);
    push_text("user.changes.name", changed, entries);
    push_text("user.target.name", name, entries);
    let mut users = Vec::new();
    for text in [changed, actor].into_iter().flatten() {
        push_new(&mut users, text);
    }
    if let Some(ids) = id {
        for one in ids.split(',') {
            push_new(&mut users, one);
        }
        // It makes a list of `user_ids`, be there one.
        let list = ids.contains(',') || action == "addTeamMembers";
        let ids = if list {
            Value::List(ids)
        } else {
            Value::Text(ids)
        };
        entries.push(("user.target.id", ids));
    }
    if let Some(roles) = roles {
        entries.push(("user.target.roles", Value::List(roles)));
    }
    push_words("related.user", users, entries);
    let addresses = event
        .source_ip
        .map(|address| Cow::Owned(address.to_string()));
    push_words("related.ip", addresses.into_iter().collect(), entries);
}

/// The team as the group, or as the group of the target.
fn add_group<'a>(event: &'a Event, class: &'static Class, entries: &mut Entries<'a>) {
    let (team, title) = match class.group.as_deref() {
        Some("group") => ("group.id", "group.name"),
        Some(_) => ("user.target.group.id", "user.target.group.name"),
        None => return,
    };
    push_text(team, event.label("mattermost.audit.team.id"), entries);
    push_text(title, event.label("mattermost.audit.team.name"), entries);
}
