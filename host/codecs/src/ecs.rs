//! Documents of the Elastic Common Schema, ready for Elasticsearch or any
//! other reader of it.
//!
//! [`json`](crate::json) shows the event as Sidewatch has it; this module
//! keeps to the schema: only fields it has, with the types it gives them,
//! `related.*` filled, nothing empty. What it has no place for goes below
//! `mattermost.audit` or `sidewatch`.
//!
//! [`encode_elastic`] writes what Elastic's own integration would, for
//! documents that stand beside ones it has indexed.

mod elastic;

use std::borrow::Cow;

use sidewatch_event::{Delivery, Event, Field, Finding};

use crate::document::{Entries, Value, write_nested};
use crate::json;
use crate::mattermost::DATASET;

pub use elastic::encode as encode_elastic;

/// Version of the schema the documents keep to.
pub const VERSION: &str = "8.11.0";

/// Beginning of labels that have a place of their own in the document.
const OWN: &str = "mattermost.audit.";

/// Labels that are true or false.
const FLAGS: [&str; 4] = [
    "mattermost.audit.active",
    "mattermost.audit.meta.admin",
    "mattermost.audit.meta.non_channel_member_access",
    "mattermost.audit.post.pinned",
];

/// Appends one document on one line, without a line end.
pub fn encode(delivery: &Delivery, out: &mut Vec<u8>) {
    let mut entries = Entries::with_capacity(72);
    match delivery {
        Delivery::Event(event) => add_event(event, delivery, &mut entries),
        Delivery::Finding(finding) => add_finding(finding, &mut entries),
    }
    write(entries, out);
}

/// Sorts, drops what would stand in another's way, and writes.
fn write(mut entries: Entries<'_>, out: &mut Vec<u8>) {
    entries.push(("ecs.version", Value::Text(VERSION)));
    entries.sort_by_key(|(name, _)| *name);
    entries.dedup_by(|later, earlier| later.0 == earlier.0);
    // A name cannot be a value and an object; the object tells more.
    let next: Vec<&str> = entries.iter().skip(1).map(|(name, _)| *name).collect();
    let mut at = 0;
    entries.retain(|(name, _)| {
        let below = next.get(at).and_then(|next| next.strip_prefix(name));
        at += 1;
        below.is_none_or(|below| !below.starts_with('.'))
    });
    let mut text = String::with_capacity(1536);
    write_nested(entries, &mut text);
    out.extend_from_slice(text.as_bytes());
}

fn add_event<'a>(event: &'a Event, delivery: &Delivery, entries: &mut Entries<'a>) {
    let time = if event.time == 0 {
        event.received
    } else {
        event.time
    };
    entries.push(("@timestamp", Value::Time(time)));
    entries.push(("event.id", Value::Id(event.id)));
    let kind = event.get(Field::EventKind).unwrap_or("event");
    entries.push(("event.kind", Value::Text(kind)));
    if event.severity.is_some() || delivery.severity() > 0 {
        entries.push((
            "event.severity",
            Value::Unsigned(delivery.severity().into()),
        ));
    }
    if event.suppressed {
        entries.push(("sidewatch.suppressed", Value::True));
    }
    add_common(event, entries);
    if event.own(Field::Message).is_none()
        && let Some(name) = event.get(Field::SidewatchName)
    {
        entries.push(("message", Value::Text(name)));
    }
}

/// The finding as an alert, with who and where from its event.
fn add_finding<'a>(finding: &'a Finding, entries: &mut Entries<'a>) {
    let event = &finding.event;
    entries.extend(json::finding_only(finding));
    add_common(event, entries);
    let own = ["event.original", "threat.technique.id"];
    entries.retain(|(name, _)| !own.contains(name));
    if !finding.technique.is_empty() {
        let technique = Cow::Borrowed(&*finding.technique);
        entries.push(("threat.technique.id", Value::Words(vec![technique])));
        entries.push(("threat.framework", Value::Text("MITRE ATT&CK")));
    }
}

/// What events and findings have in common.
fn add_common<'a>(event: &'a Event, entries: &mut Entries<'a>) {
    let audit = event.get(Field::EventDataset) == Some(DATASET);
    for (field, text) in event.fields() {
        if !text.is_empty() && !matches!(field, Field::EventKind) {
            entries.push(field_entry(field, text, audit));
        }
    }
    // Labels are written by `add_labels`.
    entries.extend(json::numbers(event).filter(|(name, _)| *name != "labels"));
    add_labels(event, entries);
    add_derived(event, entries);
    add_related(event, entries);
}

fn field_entry<'a>(field: Field, text: &'a str, audit: bool) -> (&'a str, Value<'a>) {
    let name = match field {
        Field::SessionId if audit => "mattermost.audit.session.id",
        Field::SessionId => "sidewatch.session.id",
        Field::ClientLanguage => "sidewatch.client_language",
        Field::DeviceType => "sidewatch.device_type",
        Field::HttpRequestForwarded => "sidewatch.forwarded_for",
        _ => field.name(),
    };
    let list = field.is_list() || (field == Field::UserTargetId && text.contains(','));
    (
        name,
        if list {
            Value::List(text)
        } else {
            Value::Text(text)
        },
    )
}

fn add_labels<'a>(event: &'a Event, entries: &mut Entries<'a>) {
    let mut others = false;
    for (name, text) in event.labels() {
        if name.starts_with(OWN) {
            entries.push((name, label_value(name, text)));
        } else {
            others = true;
        }
    }
    if others {
        entries.push(("labels", Value::FlatLabels(event)));
    }
}

fn label_value<'a>(name: &str, text: &'a str) -> Value<'a> {
    match (name, text) {
        (_, "true" | "false") if FLAGS.contains(&name) => Value::Flag(text == "true"),
        ("mattermost.audit.error.message", _) => Value::Words(errors(text)),
        ("mattermost.audit.changes", _) => {
            Value::Words(text.split(", ").map(Cow::Borrowed).collect())
        }
        ("mattermost.audit.roles", _) => {
            Value::Words(text.split_whitespace().map(Cow::Borrowed).collect())
        }
        _ => Value::Text(text),
    }
}

/// v5 writes its errors as `[one, two]`.
fn errors(text: &str) -> Vec<Cow<'_, str>> {
    let bare: String = text
        .chars()
        .filter(|one| !matches!(one, '[' | ']'))
        .collect();
    let mut list: Vec<Cow<'_, str>> = Vec::new();
    for part in bare.split(',') {
        // A comma alone does not separate; a blank has to follow.
        match (
            part.strip_prefix(|one: char| one.is_whitespace()),
            list.last_mut(),
        ) {
            (None, Some(last)) => {
                let last = last.to_mut();
                last.push(',');
                last.push_str(part);
            }
            (rest, _) => list.push(Cow::Owned(rest.unwrap_or(part).trim_start().to_owned())),
        }
    }
    while list.last().is_some_and(|last| last.is_empty()) {
        list.pop();
    }
    list
}

/// Fields that follow from others.
fn add_derived<'a>(event: &'a Event, entries: &mut Entries<'a>) {
    let dataset = event.get(Field::EventDataset).unwrap_or_default();
    if let Some((module, _)) = dataset.split_once('.') {
        entries.push(("event.module", Value::Text(module)));
    }
    if event.own(Field::SourceAddress).is_none()
        && let Some(address) = event.source_ip
    {
        entries.push(("source.address", Value::Address(address)));
    }
    if dataset == DATASET
        && let Some(path) = event.own(Field::UrlOriginal)
    {
        entries.push(("mattermost.audit.api_path", Value::Text(path)));
    }
    let path = event.own(Field::UrlPath).unwrap_or_default();
    if let Some(extension) = extension(path) {
        entries.push(("url.extension", Value::Text(extension)));
    }
    if let Some(original) = event.own(Field::UserAgentOriginal) {
        entries.push(("user_agent.device.name", Value::Text(device_name(original))));
    }
    let os = |field| event.get(field).unwrap_or_default();
    let (name, version) = (os(Field::UserAgentOsName), os(Field::UserAgentOsVersion));
    if !name.is_empty() {
        let full = [name, version].join(" ");
        entries.push((
            "user_agent.os.full",
            Value::Owned(full.trim_end().to_owned()),
        ));
    }
}

/// What follows the last dot of the last segment.
fn extension(path: &str) -> Option<&str> {
    let (name, extension) = path.rsplit('/').next()?.rsplit_once('.')?;
    let fits = !name.is_empty()
        && (1..=12).contains(&extension.len())
        && extension.bytes().all(|byte| byte.is_ascii_alphanumeric());
    fits.then_some(extension)
}

/// The device by the names other readers of user agents give it.
fn device_name(original: &str) -> &'static str {
    [
        ("(iPhone", "iPhone"),
        ("(iPad", "iPad"),
        ("(iPod", "iPod"),
        ("(Macintosh", "Mac"),
        ("; iPhone)", "iPhone"),
    ]
    .into_iter()
    .find(|(part, _)| original.contains(part))
    .map_or("Other", |(_, name)| name)
}

/// Everyone and every address in one place, without repetition.
fn add_related<'a>(event: &'a Event, entries: &mut Entries<'a>) {
    let mut users = Vec::new();
    for field in [
        Field::UserName,
        Field::UserId,
        Field::UserEmail,
        Field::UserTargetName,
        Field::UserTargetId,
        Field::UserTargetEmail,
    ] {
        for text in event.get(field).unwrap_or_default().split(',') {
            push_new(&mut users, text);
        }
    }
    push_words("related.user", users, entries);
    let mut addresses: Vec<Cow<'a, str>> = Vec::new();
    for address in [event.source_ip, event.peer_ip].into_iter().flatten() {
        let text = Cow::Owned(address.to_string());
        if !addresses.contains(&text) {
            addresses.push(text);
        }
    }
    push_words("related.ip", addresses, entries);
    add_related_places(event, entries, |_| true);
}

/// Channels and teams a record names in any of its labels that are `wanted`.
fn add_related_places<'a>(
    event: &'a Event,
    entries: &mut Entries<'a>,
    wanted: impl Fn(&str) -> bool,
) {
    for (name, labels) in [
        (
            "mattermost.audit.related.channel",
            &[
                "mattermost.audit.post.channel.id",
                "mattermost.audit.channel.id",
            ][..],
        ),
        (
            "mattermost.audit.related.team",
            &["mattermost.audit.team.id"],
        ),
    ] {
        let mut words = Vec::new();
        for label in labels.iter().filter(|label| wanted(label)) {
            push_new(&mut words, event.label(label).unwrap_or_default());
        }
        push_words(name, words, entries);
    }
}

fn push_new<'a>(words: &mut Vec<Cow<'a, str>>, text: &'a str) {
    if !text.is_empty() && !words.iter().any(|word| word == text) {
        words.push(Cow::Borrowed(text));
    }
}

fn push_words<'a>(name: &'static str, words: Vec<Cow<'a, str>>, entries: &mut Entries<'a>) {
    if !words.is_empty() {
        entries.push((name, Value::Words(words)));
    }
}

#[cfg(test)]
mod tests;
