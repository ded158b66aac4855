//! From a configured format to the codec that reads it.

use std::sync::Arc;

use sidewatch_codecs::mattermost::TableError;
use sidewatch_codecs::redact::{SecretPathError, SecretPaths};
use sidewatch_codecs::{
    AuditCodec, AuditOrAccess, AuditTable, DecodeError, Decoder, LogFormat, LogFormatError,
};
use sidewatch_event::Event;

use super::Pack;

/// Why a format cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The text is no `log_format`.
    #[error(transparent)]
    Access(#[from] LogFormatError),
    /// The table of audit events.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The pack's or the site's paths with secrets.
    #[error("secret_paths: {0}")]
    SecretPath(#[from] SecretPathError),
}

/// A codec whose events lose what a site says is secret in paths.
struct Cleaned {
    decoder: Arc<dyn Decoder>,
    secret_paths: SecretPaths,
}

impl Decoder for Cleaned {
    fn decode(&self, record: &[u8], event: &mut Event) -> Result<(), DecodeError> {
        self.decoder.decode(record, event)?;
        self.secret_paths.clean(event);
        Ok(())
    }
}

/// The codec for the text of a `log_format`, a preset's name, or
/// `mattermost-audit`; of `pack` when there is no text. A pack with an audit
/// log reads its records whatever the format of the access log is.
///
/// # Errors
/// The text is none of these.
pub fn decoder(
    text: Option<&str>,
    pack: &Pack,
    keep_original: bool,
) -> Result<Arc<dyn Decoder>, FormatError> {
    let decoder = plain(text, pack, keep_original)?;
    if pack.request.secret_paths.is_empty() {
        return Ok(decoder);
    }
    let secret_paths = SecretPaths::new(&pack.request.secret_paths)?;
    Ok(Arc::new(Cleaned {
        decoder,
        secret_paths,
    }))
}

fn plain(
    text: Option<&str>,
    pack: &Pack,
    keep_original: bool,
) -> Result<Arc<dyn Decoder>, FormatError> {
    let text = text.unwrap_or(&pack.format).trim();
    let named = AuditCodec::FORMATS.contains(&text);
    if !named && !pack.audit {
        return Ok(Arc::new(access(text, pack)?));
    }
    let table = Arc::new(AuditTable::built_in()?);
    if let Some(audit) = AuditCodec::named(text, Arc::clone(&table)) {
        return Ok(Arc::new(audit.with_original(keep_original)));
    }
    let audit = AuditCodec::new(table).with_original(keep_original);
    Ok(Arc::new(AuditOrAccess::new(audit, access(text, pack)?)))
}

fn access(text: &str, pack: &Pack) -> Result<LogFormat, LogFormatError> {
    let format = match LogFormat::preset(text) {
        Some(format) => format,
        None => LogFormat::compile(text)?,
    };
    Ok(format.with_dataset(&pack.dataset))
}

#[cfg(test)]
mod tests {
    use sidewatch_event::Field;

    use super::*;

    fn dataset(text: Option<&str>, pack: &str, line: &str) -> Option<String> {
        let pack = Pack::load(pack).unwrap();
        let mut event = Event::new();
        decoder(text, &pack, false)
            .unwrap()
            .decode(line.as_bytes(), &mut event)
            .ok()?;
        event.get(Field::EventDataset).map(str::to_owned)
    }

    #[test]
    fn secrets_a_site_names_leave_paths_and_referrers_of_a_log() {
        let mut pack = Pack::load("nginx").unwrap();
        pack.hide_paths(&["/reset/{token}".to_owned()]);
        let line = r#"192.0.2.1 - - [21/Nov/2026:01:02:03 +0000] "GET /reset/hush?a=b HTTP/1.1" 200 5 "https://a.example/reset/hush" "curl/8""#;
        let mut event = Event::new();
        let decoder = decoder(None, &pack, false).unwrap();
        decoder.decode(line.as_bytes(), &mut event).unwrap();
        assert_eq!(event.get(Field::UrlPath), Some("/reset/REDACTED"));
        assert!(event.fields().all(|(_, text)| !text.contains("hush")));
        pack.hide_paths(&["/{token}".to_owned()]);
        let refused = super::decoder(None, &pack, false).err().unwrap();
        assert!(refused.to_string().contains("`/{token}`"), "{refused}");
    }

    #[test]
    fn the_mattermost_pack_reads_both_logs_and_others_one() {
        let audit = r#"{"event_name":"login","status":"success"}"#;
        let access =
            r#"192.0.2.1 - - [21/Nov/2026:01:02:03 +0000] "GET / HTTP/1.1" 200 5 "-" "curl/8""#;
        let both = |line| dataset(None, "mattermost", line).unwrap();
        assert_eq!(both(audit), "mattermost.audit");
        assert_eq!(both(access), "mattermost.access");
        assert_eq!(
            dataset(Some("mattermost-audit"), "nginx", audit).unwrap(),
            "mattermost.audit"
        );
        assert_eq!(dataset(Some("mattermost-audit"), "nginx", access), None);
        assert_eq!(dataset(None, "nginx", audit), None);
    }
}
