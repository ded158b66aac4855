//! Findings, and events on request, for the eyes of a human.
//!
//! Nothing that came from outside reaches the terminal raw: control
//! characters, and those that reorder or hide text, are shown as escapes.

mod line;

use std::io::IsTerminal;

use serde::Deserialize;
use sidewatch_codecs::cef::CefSettings;
use sidewatch_event::Delivery;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::payload::Format;
use crate::sink::{BoxFuture, Outcome, Sink};

/// Where to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
}

/// What a line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsoleFormat {
    /// A line to read.
    #[default]
    Text,
    /// A record in one of the formats of files.
    #[serde(untagged)]
    Record(Format),
}

/// Settings of a console sink.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsoleSettings {
    /// Where to write.
    pub target: Target,
    /// What a line looks like.
    pub format: ConsoleFormat,
    /// Events as well, not findings alone.
    pub events: bool,
    /// Colours; unless given, on a terminal when `NO_COLOR` is not set.
    pub colours: Option<bool>,
}

impl ConsoleSettings {
    /// Prepares the sink.
    #[must_use]
    pub fn build(&self) -> ConsoleSink {
        let Self {
            target,
            format,
            events,
            colours,
        } = self.clone();
        let (out, terminal): (Box<dyn AsyncWrite + Send + Unpin>, bool) = match target {
            Target::Stdout => (
                Box::new(tokio::io::stdout()),
                std::io::stdout().is_terminal(),
            ),
            Target::Stderr => (
                Box::new(tokio::io::stderr()),
                std::io::stderr().is_terminal(),
            ),
        };
        let wanted =
            || terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colours = colours.unwrap_or_else(wanted);
        ConsoleSink {
            out,
            format,
            events,
            colours,
            lines: String::new(),
        }
    }
}

/// Writes records to a terminal or pipe.
pub struct ConsoleSink {
    out: Box<dyn AsyncWrite + Send + Unpin>,
    format: ConsoleFormat,
    events: bool,
    colours: bool,
    lines: String,
}

impl ConsoleSink {
    fn write_line(&mut self, delivery: &Delivery) {
        match self.format {
            ConsoleFormat::Text => line::write(delivery, self.colours, &mut self.lines),
            ConsoleFormat::Record(format) => {
                let mut record = Vec::new();
                format.encode(delivery, &CefSettings::default(), &mut record);
                line::push_json_escaped(&String::from_utf8_lossy(&record), &mut self.lines);
            }
        }
        self.lines.push('\n');
    }
}

impl Sink for ConsoleSink {
    fn deliver<'a>(&'a mut self, batch: &'a [Delivery]) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let mut outcome = Outcome::default();
            self.lines.clear();
            for delivery in batch {
                if self.events || matches!(delivery, Delivery::Finding(_)) {
                    self.write_line(delivery);
                    outcome.finished += 1;
                } else {
                    outcome.filter();
                }
            }
            let written = match self.out.write_all(self.lines.as_bytes()).await {
                Ok(()) => self.out.flush().await,
                failed => failed,
            };
            match written {
                Ok(()) => outcome,
                Err(error) => {
                    Outcome::default().with_retry(format!("cannot write to the console: {error}"))
                }
            }
        })
    }

    fn close(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Err(error) = self.out.flush().await {
                tracing::warn!(%error, "the console could not be flushed");
            }
        })
    }
}

#[cfg(test)]
mod tests;
