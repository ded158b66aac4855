//! From a record to an event: who, to whom, from where, how it ended, and
//! what it means by the pack's table.
//!
//! Invariants: an unknown event keeps its name and is given no meaning; a
//! login that was refused never makes its name the owner of a session; what
//! the record does not say stays absent.

use std::borrow::Cow;
use std::sync::Arc;

use sidewatch_event::{Event, Field};

use super::record::{Piece, Record, Slot};
use super::table::{AuditTable, Known, Object, Situation};
use crate::text::cut;
use crate::{redact, target, time};

/// Longest text of a label.
const LONGEST_LABEL: usize = 1024;

/// Writes what a record says into an event.
pub(super) struct Writer<'a, 'e> {
    record: &'a Record<'a>,
    table: &'a AuditTable,
    known: &'a Known,
    event: &'e mut Event,
}

/// How it ended, in ECS words.
fn outcome(status: &str, reason: &str) -> &'static str {
    match (status, reason) {
        // The first half of every login with a second factor.
        (_, "mfa-required") => "unknown",
        ("success", _) => "success",
        ("fail" | "failure", _) => "failure",
        _ => "unknown",
    }
}

/// Fills `event` from `record`.
pub(super) fn write(record: &Record<'_>, table: &AuditTable, event: &mut Event) {
    let name = record.text(Slot::Event, &mut event.lossy);
    let known = table.event(&name);
    if !name.is_empty() {
        event.set(Field::EventAction, cut(&name, 256));
    }
    let mut writer = Writer {
        record,
        table,
        known,
        event,
    };
    writer.envelope();
    writer.client();
    writer.details();
    writer.people();
    writer.meaning();
    event.truncated |= record.truncated;
}

impl<'a> Writer<'a, '_> {
    fn text(&mut self, slot: Slot) -> Cow<'a, str> {
        self.record.text(slot, &mut self.event.lossy)
    }

    fn set(&mut self, field: Field, slot: Slot) {
        let text = self.text(slot);
        if !text.is_empty() {
            self.event.set(field, &text);
        }
    }

    fn label(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.event.set_label(name, cut(text, LONGEST_LABEL));
        }
    }

    fn envelope(&mut self) {
        self.event.set(Field::EventDataset, super::DATASET);
        if let Some(piece) = self.record.get(Slot::Timestamp) {
            let text = piece.text(&mut self.event.lossy);
            self.event.time = timestamp(&text).unwrap_or(0);
        }
        self.set(Field::SessionId, Slot::Session);
        self.set(Field::DeviceId, Slot::Device);
        let status = self.text(Slot::Status);
        self.label("mattermost.audit.status", &status);
        let cluster = self.text(Slot::Cluster);
        self.label("mattermost.audit.cluster.id", &cluster);
    }

    fn client(&mut self) {
        self.set(Field::UserAgentOriginal, Slot::Client);
        self.set(Field::HttpRequestForwarded, Slot::Forwarded);
        let address = self.text(Slot::Address);
        if !address.is_empty() {
            self.event.peer_ip = address.trim().parse().ok();
            self.event.set(Field::SourceAddress, cut(&address, 256));
        }
        let path = self.text(Slot::ApiPath);
        if !path.is_empty() {
            target::set_target(self.event, "", &path);
        }
    }

    /// Teams, channels, posts, settings, and whatever else is kept.
    fn details(&mut self) {
        for (name, piece) in &self.record.extras {
            let text = piece.text(&mut self.event.lossy);
            let mut clean = String::new();
            redact::url(cut(&text, LONGEST_LABEL), &mut clean);
            self.label(name, &clean);
        }
        let token = self.text(Slot::TokenId);
        self.label("mattermost.audit.token.id", &token);
        let session = self.text(Slot::TargetSession);
        self.label("mattermost.audit.target_session.id", &session);
        let roles = self.text(Slot::Roles);
        self.label("mattermost.audit.roles", &roles);
        let switch = self.text(Slot::Switch);
        self.label("mattermost.audit.active", &switch);
        let changes = self.joined(&self.record.changes);
        self.label("mattermost.audit.changes", &changes);
        let errors = self.joined(&self.record.errors);
        let errors = match self.text(Slot::Errors) {
            text if text.is_empty() || text == "[]" => errors,
            text => text.into_owned(),
        };
        let mut clean = String::new();
        redact::query(&errors, &mut clean);
        self.label("mattermost.audit.error.message", &clean);
    }

    fn joined(&self, list: &[Piece<'_>]) -> String {
        let mut lossy = false;
        let texts: Vec<_> = list.iter().map(|piece| piece.text(&mut lossy)).collect();
        texts.join(", ")
    }

    fn object(&mut self) -> Object {
        if self.known.object != Object::Unknown {
            return self.known.object;
        }
        match &*self.text(Slot::ObjectType) {
            "user" => Object::User,
            "team" => Object::Team,
            "group" => Object::Group,
            "session" => Object::Session,
            "team_member" => Object::Membership,
            "channel" | "channel_member" | "post" => Object::ChannelContent,
            _ => Object::Unknown,
        }
    }

    fn people(&mut self) {
        let object_type = self.text(Slot::ObjectType);
        self.label("mattermost.audit.object_type", &object_type);
        let object = self.object();
        let overwritten = !self.record.nested
            && self.known.target_in_user_id
            && self.record.get(Slot::SecondActor).is_none();
        if overwritten {
            self.set(Field::UserTargetId, Slot::Actor);
        } else {
            self.set(Field::UserId, Slot::Actor);
        }
        self.set(Field::UserTargetId, Slot::SecondActor);
        if object == Object::Itself {
            return self.login();
        }
        self.target(object);
        match object {
            Object::Team => self.group("mattermost.audit.team.id", "mattermost.audit.team.name"),
            Object::Group => self.group("mattermost.audit.group.id", "mattermost.audit.group.name"),
            Object::Membership => {
                if let Some(team) = self
                    .event
                    .label("mattermost.audit.team.id")
                    .map(str::to_owned)
                {
                    self.event.set(Field::GroupId, &team);
                }
            }
            Object::ChannelContent => self.content(),
            _ => {}
        }
    }

    /// The user who logs in, or whose name was tried.
    fn login(&mut self) {
        let succeeded = self.text(Slot::Status) == "success";
        let login = self.text(Slot::Login);
        if succeeded {
            for (field, slots) in [
                (Field::UserId, [Slot::ObjectId, Slot::TargetId]),
                (Field::UserName, [Slot::ObjectName, Slot::TargetName]),
                (Field::UserEmail, [Slot::ObjectEmail, Slot::TargetEmail]),
                (Field::UserRoles, [Slot::ObjectRoles, Slot::TargetRoles]),
            ] {
                for slot in slots {
                    if self.event.own(field).is_none() {
                        self.roles_or_text(field, slot);
                    }
                }
            }
        } else {
            // The account the server found for the name.
            if let Some(id) = detail(&self.text(Slot::Error), "user_id=") {
                self.event.set(Field::UserTargetId, id);
            }
            for (field, slot) in [
                (Field::UserTargetId, Slot::TargetId),
                (Field::UserTargetName, Slot::TargetName),
                (Field::UserTargetEmail, Slot::TargetEmail),
                (Field::UserTargetRoles, Slot::TargetRoles),
            ] {
                self.roles_or_text(field, slot);
            }
        }
        if login.is_empty() || (succeeded && self.event.own(Field::UserName).is_some()) {
            return;
        }
        let field = if login.contains('@') {
            Field::UserEmail
        } else {
            Field::UserName
        };
        if self.event.own(field).is_none() {
            self.event.set(field, cut(&login, 256));
        }
    }

    /// Roles become a list; everything else stays as it is.
    fn roles_or_text(&mut self, field: Field, slot: Slot) {
        if !field.is_list() {
            return self.set(field, slot);
        }
        let text = self.text(slot);
        if !text.is_empty() {
            let roles: Vec<&str> = text.split_whitespace().collect();
            self.event.set(field, &roles.join(","));
        }
    }

    fn target(&mut self, object: Object) {
        if !self.record.targets.is_empty() {
            let ids = self.joined(&self.record.targets);
            let ids: Vec<&str> = ids
                .split([' ', ',', '[', ']'])
                .filter(|id| !id.is_empty())
                .collect();
            self.event.set(Field::UserTargetId, &ids.join(","));
        }
        let of_user = object == Object::User;
        for (field, slot, admitted) in [
            (Field::UserTargetId, Slot::TargetId, true),
            (Field::UserTargetName, Slot::TargetName, true),
            (Field::UserTargetEmail, Slot::TargetEmail, true),
            (Field::UserTargetRoles, Slot::TargetRoles, true),
            (Field::UserTargetId, Slot::ObjectId, of_user),
            (Field::UserTargetName, Slot::ObjectName, of_user),
            (Field::UserTargetEmail, Slot::ObjectEmail, of_user),
            (Field::UserTargetRoles, Slot::ObjectRoles, of_user),
            (
                Field::UserTargetId,
                Slot::ObjectUser,
                matches!(
                    object,
                    Object::Session | Object::Membership | Object::Credential
                ),
            ),
        ] {
            if admitted && self.event.own(field).is_none() {
                self.roles_or_text(field, slot);
            }
        }
    }

    fn group(&mut self, id_label: &str, name_label: &str) {
        for (field, slot, label) in [
            (Field::GroupId, Slot::ObjectId, id_label),
            (Field::GroupName, Slot::ObjectName, name_label),
        ] {
            self.set(field, slot);
            let labelled = self.event.label(label).map(str::to_owned);
            if let (None, Some(text)) = (self.event.own(field), &labelled) {
                self.event.set(field, text);
            }
            if let (Some(text), None) = (self.event.own(field).map(str::to_owned), labelled) {
                self.label(label, &text);
            }
        }
    }

    /// Channels and posts are told apart by what the state holds.
    fn content(&mut self) {
        let channel = self.text(Slot::ObjectChannel);
        let id = self.text(Slot::ObjectId);
        let kind = self.text(Slot::ObjectKind);
        if !channel.is_empty() {
            self.new_label("mattermost.audit.post.id", &id);
            self.new_label("mattermost.audit.post.type", &kind);
            self.new_label("mattermost.audit.post.channel.id", &channel);
        } else if !id.is_empty() {
            let name = self.text(Slot::ObjectName);
            self.new_label("mattermost.audit.channel.id", &id);
            self.new_label("mattermost.audit.channel.name", &name);
            self.new_label("mattermost.audit.channel.type", &kind);
        }
    }

    fn new_label(&mut self, name: &str, text: &str) {
        if self.event.label(name).is_none() {
            self.label(name, text);
        }
    }

    fn meaning(&mut self) {
        let error = self.text(Slot::Error);
        let code: u16 = self.text(Slot::StatusCode).parse().unwrap_or(0);
        self.event.status = code;
        let login = self.known.object == Object::Itself;
        let reason = self.table.reason(&error, code, login).unwrap_or_default();
        let status = self.text(Slot::Status);
        let outcome = outcome(&status, reason);
        self.event.set(Field::EventOutcome, outcome);
        if !reason.is_empty() {
            self.event.set(Field::EventReason, reason);
        }
        self.error(&error);
        self.level(reason);
        let roles = self.text(Slot::Roles);
        let given = [
            &roles,
            self.event.own(Field::UserTargetRoles).unwrap_or_default(),
        ]
        .join(" ");
        let switch = self.text(Slot::Switch);
        let changes = self
            .event
            .label("mattermost.audit.changes")
            .unwrap_or_default();
        let own = match (
            self.event.own(Field::UserId),
            self.event.own(Field::UserTargetId),
        ) {
            (Some(actor), Some(target)) => Some(actor == target),
            _ => None,
        };
        let situation = Situation {
            outcome,
            reason,
            roles: if roles.is_empty() { &given } else { &roles },
            switch: match &*switch {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            },
            changes: &changes.replace(", ", ","),
            own,
        };
        let annotation = self.table.annotation(self.known, &situation);
        self.event.activity = annotation.activity;
        self.event.annotation = Some(Arc::clone(annotation));
    }

    /// v5 writes the error's id; later versions the place that refused and
    /// text for people.
    fn error(&mut self, error: &str) {
        if error.is_empty() {
            return;
        }
        let mut clean = String::new();
        redact::query(error, &mut clean);
        match clean.split_once(": ") {
            Some((place, _)) if self.record.nested => {
                self.event.set(Field::ErrorCode, cut(place, 128));
                self.event
                    .set(Field::ErrorMessage, cut(&clean, LONGEST_LABEL + 3));
            }
            _ if self.record.nested => self
                .event
                .set(Field::ErrorMessage, cut(&clean, LONGEST_LABEL + 3)),
            _ => self.event.set(Field::ErrorCode, cut(&clean, 256)),
        }
    }

    /// The level written, else derived.
    fn level(&mut self, reason: &str) {
        let client = self.event.own(Field::UserAgentOriginal).unwrap_or_default();
        let actor = self.event.own(Field::UserId).unwrap_or_default();
        let from_server = client.starts_with("server ") || actor.contains(':');
        let level = match &*self.text(Slot::Level) {
            "audit-api" | "100" => "audit-api",
            "audit-content" | "101" => "audit-content",
            "audit-permissions" | "102" => "audit-permissions",
            "audit-cli" | "103" => "audit-cli",
            _ if reason == "permission-denied" => "audit-permissions",
            _ if from_server => "audit-cli",
            _ if self.known.content => "audit-content",
            _ => "audit-api",
        };
        self.label("mattermost.audit.level", level);
    }
}

/// `2026-11-20 20:33:59.836 Z`, `… +01:00`, RFC 3339, or seconds since 1970.
fn timestamp(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some((wall, zone)) = text.rsplit_once(' ')
        && wall.contains(':')
    {
        let mut joined = String::with_capacity(text.len());
        joined.push_str(wall);
        joined.push_str(zone);
        return time::parse_iso(&joined);
    }
    time::parse_iso(text)
        .or_else(|| time::parse_epoch(text))
        .filter(|time| *time > 0)
}

/// The identifier after `key` in the text of an error.
fn detail<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    let (_, rest) = text.rsplit_once(key)?;
    let id = rest
        .split(|one: char| !one.is_ascii_alphanumeric())
        .next()?;
    (id.len() == 26).then_some(id)
}
