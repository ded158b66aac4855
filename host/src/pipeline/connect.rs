//! What a configuration names, made ready: packs, codecs, sinks, sources.
//!
//! Everything here says what is wrong before anything runs.

use std::sync::Arc;

use sidewatch_codecs::RequestCodec;
use sidewatch_sinks::{Filter, QueueReceiver, RecordQueue as _, Sink, queue};
use sidewatch_sources::file::MemoryPositions;
use sidewatch_sources::settings::Codecs;
use sidewatch_sources::{Intake, IntakeReceiver, Source, SourceSettings};
use sidewatch_store::Store;

use super::durable::Address;
use super::fold::Outlet;
use super::lanes::outboxes;
use super::outbox::DurableQueue;
use super::{Aliases, PipelineError, Tap, report};
use crate::config::format::decoder;
use crate::config::pack::PackError;
use crate::config::rules::PackInUse;
use crate::config::secrets::Keys;
use crate::config::{ConfigFile, JoinSettings, Pack, SinkEntry, SourceEntry};

/// Events that may wait between sources and folding.
const INTAKE_CAPACITY: usize = 65_536;
/// Records that may wait for a tap.
const TAP_QUEUE: usize = 65_536;

/// The packs of a configuration with their sources.
pub(crate) fn packs(config: &ConfigFile) -> Result<Vec<PackInUse>, PackError> {
    let mut packs: Vec<PackInUse> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for source in &config.sources {
        let name = source.pack.as_deref().unwrap_or("nginx");
        let id = Arc::from(source.id.as_str());
        let known = names.iter().position(|known| *known == name);
        match known.and_then(|at| packs.get_mut(at)) {
            Some((_, sources)) => sources.push(id),
            None => {
                let mut pack = Pack::load(name)?;
                pack.configure(config)?;
                names.push(name);
                packs.push((pack, vec![id]));
            }
        }
    }
    Ok(packs)
}

/// The codecs of a source: its own settings, else its pack's.
pub(super) fn codecs(
    entry: &SourceEntry,
    pack: &Pack,
    keys: &Keys,
) -> Result<Codecs, PipelineError> {
    let request = pack.request_settings(entry.request.as_ref());
    // What the entry itself calls secret is so in its log lines, too.
    let mut own = pack.clone();
    own.hide_paths(&request.secret_paths);
    let records =
        decoder(entry.format.as_deref(), &own, entry.keep_original).map_err(|source| {
            PipelineError::Format {
                id: entry.id.clone(),
                source,
            }
        })?;
    let request = RequestCodec::new(&request, keys.pseudonym.clone()).map_err(|source| {
        PipelineError::Request {
            id: entry.id.clone(),
            source,
        }
    })?;
    Ok(Codecs::new(records, Arc::new(request)))
}

/// Names are only learnt where there may be an audit log.
pub fn aliases<'a>(mut packs: impl Iterator<Item = &'a Pack>, keys: &Keys) -> Aliases {
    Aliases::new(packs.any(|pack| pack.audit).then(|| keys.pseudonym.clone()))
}

/// Joining, when there is something to join, with the names of the mirrors.
pub(super) fn join_of(config: &ConfigFile) -> Option<(&JoinSettings, Vec<Arc<str>>)> {
    let mirrors: Vec<Arc<str>> = config
        .sources
        .iter()
        .filter(|entry| matches!(entry.settings, SourceSettings::Mirror(_)))
        .map(|entry| Arc::from(entry.id.as_str()))
        .collect();
    let joins = config.join.enabled && !mirrors.is_empty() && mirrors.len() < config.sources.len();
    joins.then_some((&config.join, mirrors))
}

/// The sinks with what feeds them.
pub(super) struct Connected {
    /// Fed from memory.
    pub(super) sinks: Vec<(Box<dyn Sink>, QueueReceiver)>,
    pub(super) outlets: Vec<Outlet>,
    /// Fed from the store.
    pub(super) kept: Vec<(Address, Box<dyn Sink>, DurableQueue)>,
}

pub(super) fn connect_sinks(
    config: &ConfigFile,
    store: Option<&Arc<Store>>,
    taps: Vec<Tap>,
) -> Result<Connected, PipelineError> {
    let mut connected = Connected {
        sinks: Vec::new(),
        outlets: Vec::new(),
        kept: Vec::new(),
    };
    let in_memory = |name: &str, capacity, filter, sink, connected: &mut Connected| {
        let (sender, receiver) = queue(name, capacity);
        connected.outlets.push(Outlet { filter, sender });
        connected.sinks.push((sink, receiver));
    };
    for (at, (entry, filter, sink)) in build_sinks(config)?.into_iter().enumerate() {
        let Some(store) = store else {
            in_memory(&entry.id, entry.queue, filter, sink, &mut connected);
            continue;
        };
        let queue = DurableQueue::new(outboxes(store, at), store.dead_letters());
        let counters = Arc::clone(queue.counters());
        connected
            .kept
            .push((Address { filter, counters }, sink, queue));
    }
    for Tap { name, filter, sink } in taps {
        in_memory(&name, TAP_QUEUE, filter, sink, &mut connected);
    }
    Ok(connected)
}

pub(super) type BuiltSink<'a> = (&'a SinkEntry, Filter, Box<dyn Sink>);

pub(super) fn build_sinks(config: &ConfigFile) -> Result<Vec<BuiltSink<'_>>, PipelineError> {
    let mut sinks = Vec::new();
    for entry in &config.sinks {
        let sink = entry
            .settings
            .build()
            .map_err(|source| PipelineError::Sink {
                id: entry.id.clone(),
                source,
            })?;
        // The filter was checked with the file; a default admits everything.
        let filter = entry.filter.build().unwrap_or_default();
        sinks.push((entry, filter, sink));
    }
    Ok(sinks)
}

pub(super) type BoundSources = (Vec<(Box<dyn Source>, Intake)>, IntakeReceiver, Intake);

pub(super) fn bind_sources(
    config: &ConfigFile,
    packs: &[PackInUse],
    keys: &Keys,
    positions: &Arc<MemoryPositions>,
) -> Result<BoundSources, PipelineError> {
    let (first, receiver) = Intake::channel(Arc::from(report::SOURCE), INTAKE_CAPACITY);
    let mut sources = Vec::new();
    let followed = Arc::default();
    for entry in &config.sources {
        let id: Arc<str> = Arc::from(entry.id.as_str());
        let Some((pack, _)) = packs.iter().find(|(_, sources)| sources.contains(&id)) else {
            continue;
        };
        let mut codecs = codecs(entry, pack, keys)?;
        codecs.positions = Arc::clone(positions) as _;
        codecs.followed = Arc::clone(&followed);
        let source =
            entry
                .settings
                .bind(&entry.id, &codecs)
                .map_err(|source| PipelineError::Source {
                    id: entry.id.clone(),
                    source,
                })?;
        sources.push((source, first.for_source(id)));
    }
    Ok((sources, receiver, first))
}

#[cfg(test)]
mod tests {
    use sidewatch_codecs::PseudonymKey;
    use sidewatch_event::{Event, Field};

    use super::*;

    #[test]
    fn paths_an_entry_calls_secret_are_so_in_its_log_lines() {
        let text = "[[sources]]\nid = \"access\"\ntype = \"syslog\"\nudp = \"127.0.0.1:0\"\nrequest.secret_paths = [\"/reset/{token}\"]\n";
        let config = ConfigFile::parse("x", text).unwrap();
        let keys = Keys {
            pseudonym: PseudonymKey::new([5; 32]),
            hash: [0; 16],
        };
        let packs = packs(&config).unwrap();
        let codecs = codecs(&config.sources[0], &packs[0].0, &keys).unwrap();
        let line = r#"192.0.2.1 - - [21/Nov/2026:01:02:03 +0000] "GET /reset/hush?a=b HTTP/1.1" 200 5 "https://a.example/reset/hush" "curl/8""#;
        let mut event = Event::new();
        codecs.records.decode(line.as_bytes(), &mut event).unwrap();
        assert_eq!(event.get(Field::UrlPath), Some("/reset/REDACTED"));
        assert!(event.fields().all(|(_, text)| !text.contains("hush")));
    }
}
