//! nginx access logs, read by the user's own `log_format`.
//!
//! A line is taken apart by the literal text of the format, in one pass and
//! without allocating; JSON formats are read by their keys. The line must
//! match as a whole: an empty value stays empty and never shifts another one
//! into its place, and a line that departs from the format is an error that
//! names the column.

mod directive;
mod line;
mod object;
mod template;
mod variable;

use std::sync::Arc;

use sidewatch_event::Event;

use crate::pseudonym::PseudonymKey;
use crate::text::{Escape, lossy};
use crate::{DecodeError, Decoder};

use line::Line;
use object::ObjectFormat;
use template::{Slot, Template};
use variable::Meaning;

/// Longest line read, in bytes.
pub const MAX_LINE: usize = 256 * 1024;

const COMBINED: &str = concat!(
    "$remote_addr - $remote_user [$time_local] \"$request\" ",
    "$status $body_bytes_sent \"$http_referer\" \"$http_user_agent\""
);

#[derive(Debug, Clone)]
enum Form {
    /// Literal text between the values; tried in order.
    Lines(Vec<Template>),
    Object(ObjectFormat),
}

/// A reader of access-log lines, compiled from a `log_format`.
#[derive(Debug, Clone)]
pub struct LogFormat {
    form: Form,
    escape: Escape,
    dataset: Arc<str>,
    key: Option<PseudonymKey>,
}

/// Why a `log_format` cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogFormatError {
    /// No variable in the text.
    #[error(
        "the format holds no variable; paste nginx' `log_format` directive or its text, or name one of {}",
        LogFormat::PRESETS.join(", ")
    )]
    NoVariable,
    /// `escape=` names none of nginx' kinds.
    #[error("unknown `escape={0}`; nginx knows default, json and none")]
    Escape(Box<str>),
    /// A quote is not closed.
    #[error("a quote is not closed")]
    Quote,
    /// `${` without `}`.
    #[error("`${{` is not closed")]
    Brace,
    /// A `$` that starts no name.
    #[error("`$` without a variable name")]
    EmptyName,
    /// Two variables with nothing between them.
    #[error(
        "nothing tells where `${0}` ends and `${1}` begins; put a blank or quotes between them"
    )]
    Adjacent(Box<str>, Box<str>),
    /// More variables than a line is read for.
    #[error("more than {0} variables")]
    TooManyVariables(usize),
    /// Something follows the directive.
    #[error("text after the `;`; paste one directive")]
    AfterEnd,
}

impl LogFormat {
    /// Names accepted by [`LogFormat::preset`].
    pub const PRESETS: &[&str] = &["combined", "archivematica", "archivematica-xff", "json"];

    /// Compiles a pasted `log_format name escape=json '…' '…';` directive, or
    /// just the format text.
    ///
    /// # Errors
    /// Says what in the text cannot be understood.
    pub fn compile(text: &str) -> Result<Self, LogFormatError> {
        let directive = directive::read(text)?;
        let (form, escape) = match ObjectFormat::compile(&directive.format)? {
            Some(object) => (Form::Object(object), Escape::Json),
            None => (
                Form::Lines(vec![Template::compile(
                    &directive.format,
                    directive.escape,
                )?]),
                directive.escape,
            ),
        };
        let format = Self {
            form,
            escape,
            dataset: "nginx.access".into(),
            key: None,
        };
        if format.slots().next().is_none() {
            return Err(LogFormatError::NoVariable);
        }
        Ok(format)
    }

    /// A format known by name, see [`LogFormat::PRESETS`]. `archivematica` is
    /// `combined` with `"$http_x_forwarded_for" user=$upstream_http_x_username`
    /// and reads lines without either too.
    #[must_use]
    pub fn preset(name: &str) -> Option<Self> {
        let forwarded = format!("{COMBINED} \"$http_x_forwarded_for\"");
        let user = format!("{forwarded} user=$upstream_http_x_username");
        let texts: &[&str] = match name {
            "combined" => &[COMBINED],
            "archivematica" => &[&user, &forwarded, COMBINED],
            "archivematica-xff" => &[&forwarded, COMBINED],
            "json" => {
                let form = Form::Object(ObjectFormat::open());
                return Some(Self {
                    form,
                    escape: Escape::Json,
                    dataset: "nginx.access".into(),
                    key: None,
                });
            }
            _ => return None,
        };
        let templates: Result<_, _> = texts
            .iter()
            .map(|text| Template::compile(text, Escape::Default))
            .collect();
        let form = Form::Lines(templates.ok()?);
        Some(Self {
            form,
            escape: Escape::Default,
            dataset: "nginx.access".into(),
            key: None,
        })
    }

    /// Sets `event.dataset` of the events; `nginx.access` when not called.
    #[must_use]
    pub fn with_dataset(mut self, dataset: &str) -> Self {
        self.dataset = dataset.into();
        self
    }

    /// Makes the keyed hash of a variable (say `cookie_sessionid`) the
    /// session. Without this, cookies are dropped. Check the name with
    /// [`LogFormat::has_variable`] first.
    #[must_use]
    pub fn with_session(mut self, variable: &str, key: PseudonymKey) -> Self {
        self.key = Some(key);
        self.assign(variable, &Meaning::Session);
        self
    }

    /// Makes a variable (say `upstream_http_x_user`) the user name, before
    /// any other that holds one.
    #[must_use]
    pub fn with_user(mut self, variable: &str) -> Self {
        self.assign(variable, &Meaning::ChosenUser);
        self
    }

    /// Whether the format holds a variable of that name (without `$`).
    #[must_use]
    pub fn has_variable(&self, name: &str) -> bool {
        self.slots().any(|slot| *slot.name == *name)
    }

    /// Whether a client can choose its values so that they are read as other
    /// fields (`escape=none`, or free text with nothing but blanks around
    /// it). Events of such a format carry `sidewatch.trust` = `low`.
    #[must_use]
    pub fn is_forgeable(&self) -> bool {
        match &self.form {
            Form::Lines(templates) => templates.iter().any(|template| template.forgeable),
            Form::Object(object) => object.forgeable(),
        }
    }

    fn slots(&self) -> Box<dyn Iterator<Item = &Slot> + '_> {
        match &self.form {
            Form::Lines(templates) => {
                Box::new(templates.iter().flat_map(|template| template.slots.iter()))
            }
            Form::Object(object) => Box::new(object.slots()),
        }
    }

    fn assign(&mut self, name: &str, meaning: &Meaning) {
        let slots: Box<dyn Iterator<Item = &mut Slot>> = match &mut self.form {
            Form::Lines(templates) => Box::new(
                templates
                    .iter_mut()
                    .flat_map(|template| template.slots.iter_mut()),
            ),
            Form::Object(object) => Box::new(object.slots_mut()),
        };
        for slot in slots.filter(|slot| *slot.name == *name) {
            slot.meaning = meaning.clone();
        }
    }

    fn read_template(
        &self,
        template: &Template,
        text: &str,
        event: &mut Event,
    ) -> Result<(), DecodeError> {
        let mut line = Line::new(event, self.escape, self.key.as_ref());
        template.read(text, &mut |slot, value, column| {
            line.take(&slot.meaning, &slot.name, value, column)
        })?;
        line.finish(&self.dataset, template.forgeable);
        Ok(())
    }

    fn read_object(
        &self,
        object: &ObjectFormat,
        text: &str,
        event: &mut Event,
    ) -> Result<(), DecodeError> {
        let mut line = Line::new(event, Escape::Json, self.key.as_ref());
        object.read(text, &mut line)?;
        line.finish(&self.dataset, object.forgeable());
        Ok(())
    }
}

impl Decoder for LogFormat {
    fn decode(&self, record: &[u8], event: &mut Event) -> Result<(), DecodeError> {
        if record.len() > MAX_LINE {
            return Err(DecodeError::TooLong {
                length: record.len(),
                limit: MAX_LINE,
            });
        }
        let record = record.strip_suffix(b"\n").unwrap_or(record);
        let record = record.strip_suffix(b"\r").unwrap_or(record);
        let mut flag = false;
        let text = lossy(record, &mut flag);
        let result = match &self.form {
            Form::Object(object) => self.read_object(object, &text, event),
            Form::Lines(templates) => {
                let mut first = None;
                for template in templates {
                    match self.read_template(template, &text, event) {
                        Ok(()) => {
                            first = None;
                            break;
                        }
                        Err(error) => {
                            reset(event);
                            first.get_or_insert(error);
                        }
                    }
                }
                first.map_or(Ok(()), Err)
            }
        };
        event.lossy |= flag;
        result
    }
}

/// Clears what a format that did not match has set.
fn reset(event: &mut Event) {
    let (id, received, source) = (event.id, event.received, event.source.take());
    event.clear();
    (event.id, event.received, event.source) = (id, received, source);
}

#[cfg(test)]
mod tests;
