//! One audit record taken apart, borrowing from the line.
//!
//! The forms of all versions end here: flat or nested, JSON, GELF or plain.
//! Nothing is interpreted yet.

use std::borrow::Cow;

use crate::text::{Escape, unescape};

/// Most values kept beside the known ones, and most members of a list.
pub(super) const MAX_EXTRAS: usize = 40;

/// A value as it stands in the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) raw: &'a str,
    /// Stands between JSON quotes.
    pub(super) escaped: bool,
}

impl<'a> Piece<'a> {
    /// A value that is as it stands.
    pub(super) fn plain(raw: &'a str) -> Self {
        Self {
            raw,
            escaped: false,
        }
    }

    pub(super) fn text(self, lossy: &mut bool) -> Cow<'a, str> {
        if self.escaped {
            unescape(self.raw, Escape::Json, lossy)
        } else {
            Cow::Borrowed(self.raw)
        }
    }

    /// Empty, or JSON's word for it.
    pub(super) fn is_nothing(self) -> bool {
        self.raw.is_empty() || (!self.escaped && self.raw == "null")
    }
}

macro_rules! slots {
    ($($slot:ident $name:literal,)*) => {
        /// A place for one value of a record.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Slot {
            $($slot,)*
        }

        impl Slot {
            pub(super) const COUNT: usize = [$($name),*].len();

            /// The slot the table calls so.
            pub(super) fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$slot),)*
                    _ => None,
                }
            }
        }
    };
}
slots! {
    Timestamp "timestamp",
    Level "level",
    Event "event",
    Status "status",
    Actor "actor",
    SecondActor "second actor",
    Session "session",
    Client "client",
    Address "address",
    Forwarded "forwarded",
    ApiPath "api_path",
    Cluster "cluster",
    Error "error",
    Errors "errors",
    StatusCode "status_code",
    ObjectType "object_type",
    Login "login",
    Device "device",
    TargetId "target.id",
    TargetName "target.name",
    TargetEmail "target.email",
    TargetRoles "target.roles",
    TargetSession "target.session",
    Roles "roles",
    Switch "switch",
    TokenId "token_id",
    ObjectId "object.id",
    ObjectUser "object.user",
    ObjectName "object.name",
    ObjectKind "object.type",
    ObjectRoles "object.roles",
    ObjectEmail "object.email",
    ObjectChannel "object.channel",
}

/// Where a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    Json,
    Gelf,
    Plain,
}

/// One record.
#[derive(Debug)]
pub(super) struct Record<'a> {
    slots: [Option<Piece<'a>>; Slot::COUNT],
    pub(super) form: Form,
    /// v7.2 and later.
    pub(super) nested: bool,
    /// There is an event's name, be it empty.
    pub(super) named: bool,
    pub(super) targets: Vec<Piece<'a>>,
    pub(super) errors: Vec<Piece<'a>>,
    pub(super) changes: Vec<Piece<'a>>,
    /// Labels by their whole names.
    pub(super) extras: Vec<(Cow<'a, str>, Piece<'a>)>,
    /// Something was beyond a bound.
    pub(super) truncated: bool,
}

impl<'a> Record<'a> {
    pub(super) fn new(form: Form) -> Self {
        Self {
            slots: [None; Slot::COUNT],
            form,
            nested: false,
            named: false,
            targets: Vec::new(),
            errors: Vec::new(),
            changes: Vec::new(),
            extras: Vec::new(),
            truncated: false,
        }
    }

    /// The first value that is something stays.
    pub(super) fn put(&mut self, slot: Slot, piece: Piece<'a>) {
        if slot == Slot::Event {
            self.named = true;
        }
        if piece.is_nothing() {
            return;
        }
        if slot == Slot::Actor && !self.nested && self.get(Slot::Actor).is_some() {
            // v6.0 to v7.1: the actor, then the target under the same key.
            return self.put(Slot::SecondActor, piece);
        }
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.get_or_insert(piece);
        }
    }

    /// A value that is as it stands.
    pub(super) fn put_plain(&mut self, slot: Slot, raw: &'a str) {
        self.put(slot, Piece::plain(raw));
    }

    pub(super) fn get(&self, slot: Slot) -> Option<Piece<'a>> {
        self.slots.get(slot as usize).copied().flatten()
    }

    /// The value's text; empty when there is none.
    pub(super) fn text(&self, slot: Slot, lossy: &mut bool) -> Cow<'a, str> {
        self.get(slot)
            .map_or(Cow::Borrowed(""), |piece| piece.text(lossy))
    }

    pub(super) fn extra(&mut self, name: Cow<'a, str>, piece: Piece<'a>) {
        if piece.is_nothing() {
            return;
        }
        if self.extras.len() < MAX_EXTRAS {
            if !self.extras.iter().any(|(known, _)| *known == name) {
                self.extras.push((name, piece));
            }
        } else {
            self.truncated = true;
        }
    }

    pub(super) fn list(list: &mut Vec<Piece<'a>>, piece: Piece<'a>, truncated: &mut bool) {
        if list.len() < MAX_EXTRAS {
            if !piece.is_nothing() {
                list.push(piece);
            }
        } else {
            *truncated = true;
        }
    }
}
