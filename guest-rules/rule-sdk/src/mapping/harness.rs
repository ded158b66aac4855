//! Runs a mapping natively, without WebAssembly: for tests of a table.
//!
//! A case gives an event by the names of its fields and the part of the answer
//! that matters; see `rules/README.md` for how cases look in a file.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{Mapping, wire};
use crate::ABSENT;

/// Field whose number goes into [`wire::Event::status`].
const STATUS: &str = "http.response.status_code";
/// Field whose number goes into [`wire::Event::server_port`].
const PORT: &str = "server.port";

/// An event by the names of its fields, as far as a mapping can see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// HTTP status; 0 when unknown.
    pub status: u32,
    /// Port of the server; 0 when unknown.
    pub server_port: u32,
    /// Text fields and labels.
    pub texts: BTreeMap<String, String>,
}

impl Sample {
    /// A request such as `POST /login?next=/`. The path is taken as it is:
    /// give `url.path` for one that needs decoding.
    #[must_use]
    pub fn request(line: &str) -> Self {
        let (method, target) = line.split_once(' ').unwrap_or(("", line));
        let mut sample = Self::default().with("url.original", target);
        if !method.is_empty() {
            sample = sample.with("http.request.method", method);
        }
        match target.split_once('?') {
            Some((path, query)) => sample.with("url.path", path).with("url.query", query),
            None => sample.with("url.path", target),
        }
    }

    /// Sets a text field or label.
    #[must_use]
    pub fn with(mut self, field: &str, text: &str) -> Self {
        self.texts.insert(field.to_owned(), text.to_owned());
        self
    }

    /// Sets the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u32) -> Self {
        self.status = status;
        self
    }
}

/// What a mapping says of an event: fields by name, `suppress` as
/// `true` or `false`, lists joined by commas. Absent fields are left out.
pub type Said = BTreeMap<String, String>;

/// A mapping with its parameters, ready to be asked.
#[derive(Debug)]
pub struct Harness<M> {
    mapping: M,
    descriptor: wire::Descriptor,
}

impl<M: Mapping> Harness<M> {
    /// Configures the mapping.
    ///
    /// # Errors
    /// Names the parameter the mapping cannot accept.
    pub fn new(parameters: &str) -> Result<Self, wire::ParameterError> {
        let (mapping, descriptor) = super::describe(parameters)?;
        Ok(Self {
            mapping,
            descriptor,
        })
    }

    /// What the mapping told the host.
    #[must_use]
    pub fn descriptor(&self) -> &wire::Descriptor {
        &self.descriptor
    }

    /// The configured mapping.
    #[must_use]
    pub fn mapping(&self) -> &M {
        &self.mapping
    }

    /// Builds the frame the host would hand over.
    #[must_use]
    pub fn frame(&self, samples: &[Sample]) -> wire::Frame {
        let mut frame = wire::Frame {
            block: Vec::new(),
            events: Vec::new(),
            texts: Vec::new(),
        };
        for sample in samples {
            frame.events.push(wire::Event {
                status: sample.status,
                server_port: sample.server_port,
            });
            for field in &self.descriptor.reads {
                let start = frame.block.len();
                let text = sample.texts.get(field);
                frame
                    .block
                    .extend_from_slice(text.map(String::as_bytes).unwrap_or_default());
                frame.texts.push(match text {
                    Some(text) => wire::Span {
                        start: number(start),
                        length: number(text.len()),
                    },
                    None => wire::Span {
                        start: ABSENT,
                        length: 0,
                    },
                });
            }
        }
        frame
    }

    /// Number of the catalogue's entry each event falls to.
    #[must_use]
    pub fn entries(&self, samples: &[Sample]) -> Vec<Option<u32>> {
        let frame = self.frame(samples);
        let outcome = super::map(&self.mapping, self.descriptor.reads.len(), &frame);
        let mut entries = vec![None; samples.len()];
        for mapped in &outcome.mapped {
            if let Some(entry) = entries.get_mut(mapped.event as usize) {
                *entry = Some(mapped.annotation);
            }
        }
        entries
    }

    /// Maps events; `None` where the mapping has no answer.
    #[must_use]
    pub fn map(&self, samples: &[Sample]) -> Vec<Option<Said>> {
        let frame = self.frame(samples);
        let outcome = super::map(&self.mapping, self.descriptor.reads.len(), &frame);
        let mut said: Vec<Option<Said>> = vec![None; samples.len()];
        for mapped in &outcome.mapped {
            let annotation = self.descriptor.annotations.get(mapped.annotation as usize);
            if let (Some(slot), Some(annotation)) =
                (said.get_mut(mapped.event as usize), annotation)
            {
                *slot = Some(constants(annotation));
            }
        }
        for computed in &outcome.computed {
            let text = crate::slice(&outcome.block, computed.text.start, computed.text.length);
            let field = self.descriptor.writes.get(computed.field as usize);
            if let (Some(slot), Some(text), Some(field)) =
                (said.get_mut(computed.event as usize), text, field)
            {
                let text = String::from_utf8_lossy(text).into_owned();
                slot.get_or_insert_default().insert(field.clone(), text);
            }
        }
        said
    }

    /// Runs one case.
    ///
    /// # Errors
    /// Says what was expected and what came instead.
    pub fn check(&self, case: &Case) -> Result<(), String> {
        let said = self.map(&[case.sample()?]).pop().flatten();
        let wanted = match &case.expect {
            Value::Bool(false) if said.is_none() => return Ok(()),
            Value::Object(_) => flatten(&case.expect),
            _ => {
                return Err(format!(
                    "{}: no entry should match, but {said:?}",
                    case.name
                ));
            }
        };
        let said = said.ok_or_else(|| format!("{}: no entry matched", case.name))?;
        for (field, value) in wanted {
            let found = said.get(&field);
            let right = match &value {
                Value::Bool(false) if field != "suppress" => found.is_none(),
                Value::Array(list) => {
                    let list: Vec<_> = list.iter().map(plain).collect();
                    found.is_some_and(|found| *found == list.join(","))
                }
                single => found.is_some_and(|found| *found == plain(single)),
            };
            if !right {
                let found = found.map_or("nothing", String::as_str);
                return Err(format!(
                    "{}: `{field}` should be {value}, is {found}; all: {said:?}",
                    case.name
                ));
            }
        }
        Ok(())
    }
}

/// One case of a table test.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What the case shows.
    pub name: String,
    /// The request, see [`Sample::request`].
    #[serde(default)]
    pub request: Option<String>,
    /// HTTP status.
    #[serde(default)]
    pub status: u32,
    /// Further fields of the event.
    #[serde(default)]
    pub event: Value,
    /// The part of the answer that matters; false when no entry may match. A
    /// field that is false must be absent.
    pub expect: Value,
}

impl Case {
    /// The case's event.
    ///
    /// # Errors
    /// Names a field of the wrong kind.
    pub fn sample(&self) -> Result<Sample, String> {
        let mut sample = self
            .request
            .as_deref()
            .map(Sample::request)
            .unwrap_or_default();
        sample.status = self.status;
        for (field, value) in flatten(&self.event) {
            let number = || {
                let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
                number.ok_or_else(|| format!("{}: `{field}` must be a number", self.name))
            };
            match field.as_str() {
                STATUS => sample.status = number()?,
                PORT => sample.server_port = number()?,
                _ => {
                    sample.texts.insert(field, plain(&value));
                }
            }
        }
        Ok(sample)
    }
}

fn constants(annotation: &wire::Annotation) -> Said {
    let severity = if annotation.severity == 255 {
        String::new()
    } else {
        annotation.severity.to_string()
    };
    let fields = [
        ("event.action", annotation.action.clone()),
        ("event.category", annotation.category.join(",")),
        ("event.type", annotation.kinds.join(",")),
        ("event.outcome", annotation.outcome.clone()),
        ("event.code", annotation.code.clone()),
        ("sidewatch.name", annotation.name.clone()),
        ("event.severity", severity),
        ("observer.product", annotation.product.clone()),
        ("suppress", annotation.suppress.to_string()),
    ];
    let given = fields.into_iter().filter(|(_, text)| !text.is_empty());
    given
        .map(|(field, text)| (field.to_owned(), text))
        .collect()
}

/// Nested tables as dotted names.
fn flatten(value: &Value) -> BTreeMap<String, Value> {
    fn collect(start: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
        match value {
            Value::Object(inner) => {
                for (name, value) in inner {
                    let dot = if start.is_empty() { "" } else { "." };
                    collect(&format!("{start}{dot}{name}"), value, fields);
                }
            }
            Value::Null => {}
            other => {
                fields.insert(start.to_owned(), other.clone());
            }
        }
    }
    let mut fields = BTreeMap::new();
    collect("", value, &mut fields);
    fields
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// Frames of tests stay far below 4 GiB.
fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(ABSENT)
}
