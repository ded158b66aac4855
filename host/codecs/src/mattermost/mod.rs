//! Mattermost's audit log, in every form it has had since v5.22: flat and
//! nested JSON, GELF, plain text, each also behind a syslog header.
//!
//! What a record means is in the pack's table (`rules/packs/mattermost/
//! audit.toml`), not in code. Reset tokens, texts people wrote and whole
//! objects never enter an event. A record of an event nobody knows keeps its
//! name, its actor and its outcome.

mod event;
mod object;
mod plain;
mod record;
mod table;

use std::sync::Arc;

use sidewatch_event::{Event, Field};

use crate::nginx::LogFormat;
use crate::text::lossy;
use crate::{DecodeError, Decoder, syslog};

pub use table::{AuditTable, TableError};

/// Longest record read, in bytes.
pub const MAX_RECORD: usize = 1024 * 1024;

/// `event.dataset` of audit records.
pub const DATASET: &str = "mattermost.audit";

/// Label that names the fields whose text is known from other records.
pub const RESOLVED: &str = "mattermost.audit.resolved";

/// Reads audit records.
#[derive(Debug, Clone)]
pub struct AuditCodec {
    table: Arc<AuditTable>,
    plain: bool,
    original: bool,
}

impl AuditCodec {
    /// Names of formats this codec reads, as configured. The second also takes
    /// plain text, which clients can forge.
    pub const FORMATS: [&str; 2] = ["mattermost-audit", "mattermost-audit-plain"];

    /// A codec for JSON and GELF.
    #[must_use]
    pub fn new(table: Arc<AuditTable>) -> Self {
        Self {
            table,
            plain: false,
            original: false,
        }
    }

    /// The codec of that configured name.
    #[must_use]
    pub fn named(name: &str, table: Arc<AuditTable>) -> Option<Self> {
        let [json, plain] = Self::FORMATS;
        (name == json || name == plain).then(|| Self::new(table).with_plain(name == plain))
    }

    /// Whether plain text is read, too; then every event is of low trust.
    #[must_use]
    pub fn with_plain(mut self, plain: bool) -> Self {
        self.plain = plain;
        self
    }

    /// Whether `event.original` is kept: the record as it came, without the
    /// values of secrets and what people wrote. Not of plain records, whose secrets have no names.
    #[must_use]
    pub fn with_original(mut self, original: bool) -> Self {
        self.original = original;
        self
    }

    fn read(&self, text: &str, event: &mut Event) -> Result<(), DecodeError> {
        let record = if plain::looks_plain(text) {
            if !self.plain {
                return Err(DecodeError::Json {
                    column: 1,
                    expected: "a JSON record; plain ones can be forged by clients: set `format = \"mattermost-audit-plain\"` to read them all the same",
                });
            }
            plain::read(text)?
        } else {
            object::read(text, &self.table)?
        };
        event::write(&record, &self.table, event);
        if self.plain {
            // A line break somebody typed may have begun any line of such a
            // source, one that looks like JSON too.
            event.set(Field::SidewatchTrust, "low");
        }
        if self.original && record.form != record::Form::Plain {
            event.set_with(Field::EventOriginal, |out| {
                object::original(text, &self.table, out)
            });
        }
        Ok(())
    }
}

impl Decoder for AuditCodec {
    fn decode(&self, record: &[u8], event: &mut Event) -> Result<(), DecodeError> {
        if record.len() > MAX_RECORD {
            return Err(DecodeError::TooLong {
                length: record.len(),
                limit: MAX_RECORD,
            });
        }
        let mut record = record.trim_ascii();
        while let [head @ .., 0 | b'\n' | b'\r'] = record {
            record = head;
        }
        let mut header = None;
        if record.first() == Some(&b'<')
            && let Ok(message) = syslog::decode(record, event.received, 0)
        {
            header = Some((message.time, message.hostname));
            record = message.message;
        }
        let mut flag = false;
        let text = lossy(record, &mut flag);
        self.read(&text, event)?;
        event.lossy |= flag;
        if let Some((time, host)) = header {
            if event.time == 0 {
                event.time = time.unwrap_or(0);
            }
            if !host.is_empty() {
                event.set(Field::ObserverHostname, host);
            }
        }
        Ok(())
    }
}

/// Tells audit records from access-log lines, for files of either kind.
#[derive(Debug, Clone)]
pub struct AuditOrAccess {
    audit: AuditCodec,
    access: LogFormat,
    json_access: Option<LogFormat>,
}

impl AuditOrAccess {
    /// Reads audit records with one codec and everything else with the other.
    #[must_use]
    pub fn new(audit: AuditCodec, access: LogFormat) -> Self {
        Self {
            audit,
            access,
            json_access: LogFormat::preset("json"),
        }
    }
}

impl Decoder for AuditOrAccess {
    fn decode(&self, record: &[u8], event: &mut Event) -> Result<(), DecodeError> {
        let start = record.trim_ascii_start();
        if !matches!(start.first(), Some(b'{' | b'<')) && !start.starts_with(b"audit-") {
            return self.access.decode(record, event);
        }
        let (id, received, source) = (event.id, event.received, event.source.clone());
        let refused = match self.audit.decode(record, event) {
            Err(refused) => refused,
            Ok(()) => return Ok(()),
        };
        event.clear();
        (event.id, event.received, event.source) = (id, received, source);
        match &self.json_access {
            Some(access) if matches!(refused, DecodeError::Missing { .. }) => {
                access.decode(record, event)?;
                event.set(Field::EventDataset, "mattermost.access");
                Ok(())
            }
            _ => Err(refused),
        }
    }
}

#[cfg(test)]
mod tests;
