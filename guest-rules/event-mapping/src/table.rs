//! The table as its author writes it, in TOML or JSON alike.
//!
//! Only the shape is checked here; what the texts mean is the business of
//! [`compile`](crate::compile). See `rules/README.md` for the language.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Parameters of the rule.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Values the table refers to as `{settings.name}`.
    pub settings: BTreeMap<String, Values>,
    /// Match the request target as received instead of the normalised path. A
    /// query then prevents a match unless the entry says otherwise.
    pub raw_target: bool,
    /// Named conditions for `when`: each holds when one of its alternatives
    /// does.
    pub conditions: BTreeMap<String, Vec<Entry>>,
    /// Answers of every entry that does not give its own.
    pub defaults: Entry,
    /// Noise: entries tried before the table; what they match is suppressed.
    pub discard: Vec<Entry>,
    /// Entries and groups in order of precedence; the first match wins.
    pub table: Vec<Entry>,
}

/// One entry, or a group when it has `entries`. A group's conditions hold for
/// all its entries; its other keys are their defaults. In `any` and `not` only
/// conditions count.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Entry {
    /// Settings that must be switched on; `!name` for off. Otherwise the entry
    /// is as if it were not there.
    pub enabled: Values,
    /// Named conditions that must hold; `!name` for one that must not.
    pub when: Values,
    /// `event.dataset`.
    pub dataset: Values,
    /// HTTP methods.
    pub method: Values,
    /// HTTP statuses: `404`, `"400-499"`, `"4xx"`.
    pub status: Values,
    /// Put before every path of the entry and of its group's entries.
    pub base: String,
    /// Path patterns.
    pub path: Values,
    /// Text the path must hold.
    pub path_contains: Values,
    /// `present`, `absent` or `any`.
    pub query: Option<Query>,
    /// `http.request.referrer`.
    pub referrer: Values,
    /// `server.address`.
    pub server: Values,
    /// `server.port`.
    pub server_port: Values,
    /// `user_agent.original`.
    pub user_agent: Values,
    /// Any other text field or label.
    pub fields: Fields,
    /// At least one of these must hold.
    pub any: Vec<Entry>,
    /// None of these may hold.
    pub not: Vec<Entry>,

    /// `event.action`.
    pub action: Option<String>,
    /// `event.category`.
    pub category: Values,
    /// `event.type`.
    #[serde(rename = "type")]
    pub kind: Values,
    /// `event.outcome`.
    pub outcome: Option<String>,
    /// `event.code`.
    pub code: Values,
    /// Name of the event for a human.
    pub name: Option<String>,
    /// 0 to 10.
    pub severity: Option<u8>,
    /// `observer.product`.
    pub product: Option<String>,
    /// Templates; the first whose placeholders all have a value is used.
    pub message: Values,
    /// Further text fields and their templates.
    pub set: Fields,
    /// Noise: true, false or the name of a setting.
    pub suppress: Values,

    /// Makes this a group.
    pub entries: Vec<Entry>,
}

impl Entry {
    /// The first key present that asks something of the event.
    #[must_use]
    pub fn first_condition(&self) -> Option<&'static str> {
        let given = [
            ("enabled", !self.enabled.0.is_empty()),
            ("when", !self.when.0.is_empty()),
            ("dataset", !self.dataset.0.is_empty()),
            ("method", !self.method.0.is_empty()),
            ("status", !self.status.0.is_empty()),
            ("base", !self.base.is_empty()),
            ("path", !self.path.0.is_empty()),
            ("path_contains", !self.path_contains.0.is_empty()),
            ("query", self.query.is_some()),
            ("referrer", !self.referrer.0.is_empty()),
            ("server", !self.server.0.is_empty()),
            ("server_port", !self.server_port.0.is_empty()),
            ("user_agent", !self.user_agent.0.is_empty()),
            ("fields", !self.fields.0.is_empty()),
            ("any", !self.any.is_empty()),
            ("not", !self.not.is_empty()),
            ("entries", !self.entries.is_empty()),
        ];
        given
            .into_iter()
            .find(|(_, given)| *given)
            .map(|(key, _)| key)
    }

    /// The first key present that says something about the event instead of
    /// asking something of it.
    #[must_use]
    pub fn first_answer(&self) -> Option<&'static str> {
        let given = [
            ("action", self.action.is_some()),
            ("category", !self.category.0.is_empty()),
            ("type", !self.kind.0.is_empty()),
            ("outcome", self.outcome.is_some()),
            ("code", !self.code.0.is_empty()),
            ("name", self.name.is_some()),
            ("severity", self.severity.is_some()),
            ("product", self.product.is_some()),
            ("message", !self.message.0.is_empty()),
            ("set", !self.set.0.is_empty()),
            ("suppress", !self.suppress.0.is_empty()),
        ];
        given
            .into_iter()
            .find(|(_, given)| *given)
            .map(|(key, _)| key)
    }
}

/// Whether a request has a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Query {
    /// With or without.
    Any,
    /// With one.
    Present,
    /// Without one.
    Absent,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// A text.
    Text(String),
    /// A whole number.
    Number(u64),
    /// True or false.
    Flag(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => formatter.write_str(text),
            Self::Number(number) => write!(formatter, "{number}"),
            Self::Flag(flag) => write!(formatter, "{flag}"),
        }
    }
}

/// One value or a list of them; empty when the key is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values(pub Vec<Scalar>);

struct OneOrMany {
    nested: bool,
}

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Values;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text, a whole number, true or false")?;
        if self.nested {
            Ok(())
        } else {
            formatter.write_str(", or a list of them")
        }
    }
    fn visit_bool<E: Error>(self, flag: bool) -> Result<Values, E> {
        Ok(Values(vec![Scalar::Flag(flag)]))
    }
    fn visit_i64<E: Error>(self, number: i64) -> Result<Values, E> {
        let unsigned = u64::try_from(number);
        let number = unsigned.map_err(|_| E::custom(format!("{number} is negative")))?;
        self.visit_u64(number)
    }
    fn visit_u64<E: Error>(self, number: u64) -> Result<Values, E> {
        Ok(Values(vec![Scalar::Number(number)]))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Values, E> {
        Ok(Values(vec![Scalar::Text(text.to_owned())]))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
        if self.nested {
            return Err(A::Error::custom("a list cannot hold a list"));
        }
        let mut values = Vec::new();
        while let Some(Element(scalar)) = list.next_element()? {
            values.push(scalar);
        }
        Ok(Values(values))
    }
}

struct Element(Scalar);

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        let values = reader.deserialize_any(OneOrMany { nested: true })?;
        values
            .0
            .into_iter()
            .next()
            .map(Self)
            .ok_or_else(|| D::Error::custom("empty"))
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_any(OneOrMany { nested: false })
    }
}

/// Values by the names of text fields. TOML's `labels.choice = true` makes a
/// table within a table; here it means the same as `"labels.choice" = true`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(pub BTreeMap<String, Values>);

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "expected a text, a whole number, true or false, or a list of them"
)]
enum Node {
    Leaf(Values),
    Branch(BTreeMap<String, Node>),
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        fn flatten(
            start: &str,
            nodes: BTreeMap<String, Node>,
            fields: &mut BTreeMap<String, Values>,
        ) {
            for (name, node) in nodes {
                let name = if start.is_empty() {
                    name
                } else {
                    format!("{start}.{name}")
                };
                match node {
                    Node::Leaf(values) => {
                        fields.insert(name, values);
                    }
                    Node::Branch(inner) => flatten(&name, inner, fields),
                }
            }
        }
        let mut fields = BTreeMap::new();
        flatten("", BTreeMap::deserialize(reader)?, &mut fields);
        Ok(Self(fields))
    }
}
