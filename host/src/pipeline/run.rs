//! Building, running and ending a pipeline.
//!
//! Order at the start: keys, databases, rules, sinks, sockets, then tasks; so
//! whatever is wrong is said before the first event is taken. Order at the
//! end: sources stop, what they handed over is folded, sinks drain within
//! their grace period. A part that breaks is noticed: see [`super::supervision`].

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sidewatch_engine::{Engine, EngineSettings};
use sidewatch_enrich::Enricher;
use sidewatch_sinks::{Filter, QueueReceiver, RecordQueue as _, Sink};
use sidewatch_sources::file::MemoryPositions;
use sidewatch_sources::{Intake, IntakeReceiver, Source, shutdown};
use sidewatch_store::{Parked, Recovered, Running as StoreThreads, Store};
use tokio::sync::watch;

use super::PipelineError;
use super::Processor;
use super::connect::{Connected, aliases, bind_sources, connect_sinks, join_of, packs};
use super::durable::{self, Address, Durable};
use super::fold::Folder;
use super::outbox::DurableQueue;
use super::reload;
use super::report::{self, Reporting};
use super::status::{RuleStatus, Status};
use super::supervision::{self, Named, Running};
use crate::config::rules::{self, PackInUse};
use crate::config::secrets::Keys;
use crate::config::{ConfigFile, RuleEntry};
use crate::lifecycle::request::RulesHandle;
use crate::lifecycle::start::{self, Ground};
use crate::lifecycle::{Beginning, Lifecycle, compiling};

/// A sink of this process, beside those of the configuration.
pub struct Tap {
    /// Names it in logs and metrics.
    pub name: String,
    /// Which records it gets.
    pub filter: Filter,
    /// Takes them.
    pub sink: Box<dyn Sink>,
}

/// The store while the pipeline runs.
struct Kept {
    store: Arc<Store>,
    running: StoreThreads,
    sinks: Vec<(Box<dyn Sink>, DurableQueue)>,
}

/// A pipeline, built and bound but not yet running.
pub struct Pipeline {
    /// Shared with whoever watches.
    pub status: Arc<Status>,
    sources: Vec<(Box<dyn Source>, Intake)>,
    sinks: Vec<(Box<dyn Sink>, QueueReceiver)>,
    kept: Option<Kept>,
    /// Sinks whose records were given up at the start, and how many.
    given_up: Vec<(String, u64)>,
    folder: Folder,
    receiver: IntakeReceiver,
    /// For events about ourselves.
    own: Intake,
    lifecycle: Lifecycle,
    /// Asks about the rules in force, and for changes to them.
    pub rules: RulesHandle,
}

impl std::fmt::Debug for Pipeline {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Pipeline")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

/// The engine of a configuration, compiling in this process: for what the
/// operator reads by hand.
///
/// # Errors
/// The directory for compiled rules or a trusted key cannot be used.
pub fn engine(config: &ConfigFile, keys: &Keys) -> Result<Engine, PipelineError> {
    engine_with(config, keys, Some(config.directory().join("compiled")))
}

pub(super) fn engine_with(
    config: &ConfigFile,
    keys: &Keys,
    cache_directory: Option<PathBuf>,
) -> Result<Engine, PipelineError> {
    Ok(Engine::new(&EngineSettings {
        cache_directory,
        hash_key: keys.hash,
        trust: config.trust.build()?,
        largest_component: config.lifecycle.largest_component_bytes,
        ..EngineSettings::default()
    })?)
}

impl Pipeline {
    /// Builds everything and binds the sources' sockets; nothing runs yet.
    ///
    /// # Errors
    /// Says which part cannot be used and why.
    pub fn build(config: &ConfigFile) -> Result<Self, PipelineError> {
        Self::build_with(config, Vec::new())
    }

    /// As [`Pipeline::build`], with further sinks of this process.
    ///
    /// # Errors
    /// Says which part cannot be used and why.
    pub fn build_with(config: &ConfigFile, taps: Vec<Tap>) -> Result<Self, PipelineError> {
        if config.sources.is_empty() {
            return Err(PipelineError::NoSource);
        }
        let keys = Keys::open(config.directory())?;
        let enricher = Enricher::new(&config.enrichment, keys.hash)?;
        let packs = packs(config)?;
        let engine = engine(config, &keys)?.compiling_in(compiling::worker());
        let directory = rules::rules_directory(config.rules_directory.as_deref())?;
        let entries = rules::read_entries(&directory, &config.rules, &[]);
        let begun = start::begin(Ground {
            engine: &engine,
            config,
            directory: &directory,
            packs: &packs,
            entries: &entries,
        })?;
        let may_come = may_come(&packs, &entries.entries);
        let opened = durable::open(config)?;
        let store = opened.as_ref().map(|(store, _)| store);
        let Connected {
            sinks,
            outlets,
            kept: kept_sinks,
        } = connect_sinks(config, store, taps)?;
        let recovered = opened.as_ref().map(|(_, recovered)| recovered);
        let positions = positions(opened.as_ref());
        let (sources, receiver, own) = bind_sources(config, &packs, &keys, &positions)?;

        let beginning = Beginning {
            engine,
            config,
            config_path: None,
            directory: &directory,
            packs: &packs,
            entries: entries.entries,
            own: own.clone(),
        };
        let lifecycle = Lifecycle::new(beginning, &begun);
        let rules = rule_status(&begun.rules, &packs);
        let mut status = status_of(&sources, &own, &kept_sinks, &sinks, rules);
        status.store = opened.as_ref().map(|(store, _)| Arc::clone(store));
        status.set_databases(enricher.databases());
        status.board = lifecycle.shared().board;
        let status = Arc::new(status);
        let join = join_of(config);
        let aliases = aliases(packs.iter().map(|(pack, _)| pack), &keys);
        let processor = Processor::new(enricher, begun.rules).with_aliases(aliases);
        let mut folder = Folder::new(processor, join, outlets, Arc::clone(&status));
        folder.follow(lifecycle.shared());
        let given_up = recovered.map_or_else(Vec::new, |recovered| recovered.given_up.clone());
        let kept = match opened {
            None => None,
            Some((store, recovered)) => Some(keep(
                &mut folder,
                store,
                recovered.parked,
                kept_sinks,
                (&receiver, positions),
                &may_come,
            )?),
        };
        Ok(Self {
            status,
            sources,
            sinks,
            kept,
            given_up,
            folder,
            receiver,
            own,
            rules: lifecycle.handle(),
            lifecycle,
        })
    }

    /// The file to read rules and tables from again on request.
    pub fn read_again_from(&mut self, config: &Path) {
        self.lifecycle.read_again_from(config);
    }

    /// The addresses the sources listen on, by source.
    #[must_use]
    pub fn addresses(&self) -> Vec<(String, Vec<String>)> {
        self.sources
            .iter()
            .map(|(source, _)| (source.name().to_owned(), source.addresses()))
            .collect()
    }

    /// Runs until `stop` resolves or every source has ended, then drains.
    ///
    /// # Errors
    /// A thread cannot be started, or a part of the pipeline broke.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> Result<(), PipelineError> {
        let Self {
            status,
            sources,
            sinks,
            kept,
            given_up,
            folder,
            receiver,
            own,
            lifecycle,
            rules,
        } = self;
        // Those who asked for one have theirs.
        drop(rules);
        let audit = lifecycle.shared().audit;
        supervision::beside("rules", Arc::clone(&status), move || lifecycle.run())
            .map_err(PipelineError::Thread)?;
        let (trigger, shutdown) = shutdown::channel();
        let (ending, ended) = watch::channel(false);
        let mut running = Running {
            status: Arc::clone(&status),
            reading: Named::default(),
            delivering: Named::default(),
            folding: watch::channel(false).1,
            store: None,
        };
        for (sink, queue) in sinks {
            running.deliver(sink, queue, &ended);
        }
        if let Some(kept) = kept {
            for (sink, queue) in kept.sinks {
                running.deliver(sink, queue, &ended);
            }
            running.store = Some((kept.store, kept.running));
        }
        let reloader = folder.reloader();
        let reloading = tokio::spawn(reload::databases(reloader, Arc::clone(&status)));
        running.folding = supervision::thread("fold", Arc::clone(&status), move || {
            folder.run(receiver);
        })
        .map_err(PipelineError::Thread)?;
        for (source, intake) in sources {
            let name = source.name().to_owned();
            running
                .reading
                .spawn(name, source.run(intake, shutdown.clone()));
        }
        let reporting = Reporting::start(Arc::clone(&status), own, given_up);
        status.ready.store(true, Ordering::Release);
        running.watch(stop).await;
        status.ready.store(false, Ordering::Release);
        trigger.trigger();
        running.end(reporting, || audit.close()).await;
        ending.send_replace(true);
        running.delivering.join_all().await;
        reloading.abort();
        if let Some((store, threads)) = running.store {
            end(&store, threads).await;
        }
        match status.failures().as_slice() {
            [] => Ok(()),
            failures => Err(PipelineError::Broke(failures.join("; "))),
        }
    }
}

/// Rules whose states are kept although they are not in force: they may be
/// again.
fn may_come(packs: &[PackInUse], entries: &[RuleEntry]) -> Vec<String> {
    let detections = packs.iter().flat_map(|(pack, _)| pack.detections.iter());
    let entries = entries.iter().map(|entry| &entry.id);
    detections.chain(entries).cloned().collect()
}

/// How far files were read; the store forgets none that is in use.
fn positions(opened: Option<&(Arc<Store>, Recovered)>) -> Arc<MemoryPositions> {
    let Some((store, recovered)) = opened else {
        return Arc::default();
    };
    let positions = Arc::new(MemoryPositions::of(recovered.positions.clone()));
    let kept = Arc::clone(&positions);
    store.keep_positions(move |file| kept.is_in_use(file));
    positions
}

/// What is counted of every part, for whoever watches.
fn status_of(
    sources: &[(Box<dyn Source>, Intake)],
    own: &Intake,
    kept: &[(Address, Box<dyn Sink>, DurableQueue)],
    taps: &[(Box<dyn Sink>, QueueReceiver)],
    rules: Vec<RuleStatus>,
) -> Status {
    let of_sources = sources
        .iter()
        .map(|(source, intake)| (source.name().to_owned(), Arc::clone(intake.counters())))
        .chain([(report::SOURCE.to_owned(), Arc::clone(own.counters()))]);
    let of_kept = kept
        .iter()
        .map(|(address, _, queue)| (queue.name().to_owned(), Arc::clone(&address.counters)));
    let of_taps = taps
        .iter()
        .map(|(_, queue)| (queue.name().to_owned(), Arc::clone(queue.counters())));
    Status::new(
        of_sources.collect(),
        of_kept.chain(of_taps).collect(),
        rules,
    )
}

/// Connects the folding thread with the store.
fn keep(
    folder: &mut Folder,
    store: Arc<Store>,
    parked: Vec<Parked>,
    sinks: Vec<(Address, Box<dyn Sink>, DurableQueue)>,
    (receiver, positions): (&IntakeReceiver, Arc<MemoryPositions>),
    may_come: &[String],
) -> Result<Kept, PipelineError> {
    durable::restore(&store, folder.processor_mut(), may_come)?;
    let acknowledger = receiver.acknowledger();
    let (committer, running) = store.start(move |safe| acknowledger.acknowledge(safe))?;
    let mut addresses = Vec::new();
    let mut queues = Vec::new();
    for (address, sink, queue) in sinks {
        addresses.push(address);
        queues.push((sink, queue));
    }
    folder.keep_in(Durable {
        committer,
        sinks: addresses,
        batch: Box::default(),
        positions,
    });
    folder.take_up(parked);
    Ok(Kept {
        store,
        running,
        sinks: queues,
    })
}

/// Ends the store: what the sinks finished is written down.
async fn end(store: &Arc<Store>, running: StoreThreads) {
    let store = Arc::clone(store);
    let ending = tokio::task::spawn_blocking(move || {
        store.close();
        running.wait();
        if let Err(error) = store.settle() {
            tracing::warn!(%error, "the next start will take longer");
        }
    });
    if ending.await.is_err() {
        tracing::error!("the store did not end well");
    }
}

pub(super) fn rule_status(
    rules: &sidewatch_engine::RuleSet,
    packs: &[PackInUse],
) -> Vec<RuleStatus> {
    let mappings = rules
        .mappings
        .iter()
        .zip(packs)
        .map(|(routed, (pack, _))| RuleStatus {
            id: format!("{}/{}", routed.rule.descriptor.id, pack.id),
            version: routed.rule.descriptor.version.to_string(),
            counters: Arc::clone(&routed.rule.counters),
        });
    let detections = rules.detections.iter().map(|rule| RuleStatus {
        id: rule.descriptor.id.to_string(),
        version: rule.descriptor.version.to_string(),
        counters: Arc::clone(&rule.counters),
    });
    mappings.chain(detections).collect()
}
