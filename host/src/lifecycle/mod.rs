//! Changing rules while traffic flows: what is in force, what wants to be, and
//! what became of it.
//!
//! One thread decides; it compiles, checks and tries beside the traffic and
//! hands what passed to the folding thread between two frames
//! ([`sidewatch_engine::Exchange`]). Whatever fails leaves the version in force
//! as it is and says why: in the log, in a metric, in `sidewatch rules list`,
//! as an event.
//!
//! Invariant: nothing here is ever waited for by the folding thread.

mod aside;
pub mod audit;
pub mod board;
pub mod compiling;
pub mod gate;
mod kept;
mod look;
mod mappings;
mod names;
pub mod recent;
mod reload;
mod report;
pub mod request;
pub mod start;
mod versions;
mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use sidewatch_engine::cache::RuleDigest;
use sidewatch_engine::{Announcement, Engine, Exchange, LoadedRule, RuleLimits};
use sidewatch_sources::{Intake, identity};

use crate::config::rules::PackInUse;
use crate::config::trust::OlderVersions;
use crate::config::{ConfigFile, RuleEntry};
use aside::Postponed;
use audit::Audit;
use board::Board;
use kept::{Identity, Kept};
use look::Looks;
use recent::Recent;
use request::{Asked, RulesHandle};
use start::{Begun, Fallen};
use versions::Versions;

/// Requests that may wait.
const REQUESTS: usize = 16;
/// How often automatic changes are looked for at least.
const TICK: Duration = Duration::from_millis(500);

/// `[lifecycle]`: how rules are changed while traffic flows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LifecycleSettings {
    /// Whether changed files of the rules directory are taken by themselves.
    pub watch: bool,
    /// How often is looked, in milliseconds.
    pub interval_ms: u64,
    /// Largest component taken, in bytes; read at the start only.
    pub largest_component_bytes: u64,
}

impl Default for LifecycleSettings {
    fn default() -> Self {
        Self {
            watch: true,
            interval_ms: 1_000,
            largest_component_bytes: 10 << 20,
        }
    }
}

/// What the folding thread shares with the one that decides.
#[derive(Debug, Clone, Default)]
pub struct Shared {
    /// Where changes wait to be made.
    pub exchange: Arc<Exchange>,
    /// Traffic to try versions on.
    pub recent: Arc<Recent>,
    /// What is in force.
    pub board: Arc<Board>,
    /// Where changes are told.
    pub audit: Arc<Audit>,
}

/// A version in force.
#[derive(Debug)]
struct InForce {
    loaded: LoadedRule,
    parameters: Value,
    limits: RuleLimits,
    version: String,
}

impl InForce {
    fn identity(&self) -> Identity {
        Identity::new(&self.loaded.digest, &self.parameters, self.limits)
    }
}

/// Decides about the rules in force.
#[derive(Debug)]
pub struct Lifecycle {
    engine: Engine,
    shared: Shared,
    config_path: Option<PathBuf>,
    config: ConfigFile,
    directory: PathBuf,
    packs: Vec<PackInUse>,
    entries: Vec<RuleEntry>,
    /// By name, with the version before where one is kept.
    in_force: BTreeMap<String, (InForce, Option<InForce>)>,
    /// Digest and version of the mapping rule.
    mapping: Option<(RuleDigest, String)>,
    kept: Kept,
    /// By name, what is not taken by itself.
    left: BTreeMap<String, Vec<Identity>>,
    /// Rules somebody switched off.
    off: BTreeSet<String>,
    postponed: Postponed,
    looks: Looks,
    versions: Versions,
    requests: Receiver<Asked>,
    handle: RulesHandle,
}

/// What a lifecycle starts from.
#[derive(Debug)]
pub struct Beginning<'a> {
    /// The engine.
    pub engine: Engine,
    /// The configuration.
    pub config: &'a ConfigFile,
    /// Its file, to be read again on request.
    pub config_path: Option<&'a Path>,
    /// The rules directory.
    pub directory: &'a Path,
    /// The packs in use.
    pub packs: &'a [PackInUse],
    /// Entries of configuration and manifests.
    pub entries: Vec<RuleEntry>,
    /// Tells what is done.
    pub own: Intake,
}

impl Lifecycle {
    /// Takes note of what is in force.
    #[must_use]
    pub fn new(beginning: Beginning<'_>, begun: &Begun) -> Self {
        let (sender, requests) = sync_channel(REQUESTS);
        let Beginning {
            engine,
            config,
            config_path,
            directory,
            packs,
            entries,
            own,
        } = beginning;
        let shared = Shared {
            audit: Arc::new(Audit::to(own)),
            ..Shared::default()
        };
        let mut lifecycle = Self {
            handle: RulesHandle::new(sender, Arc::clone(&shared.board)),
            engine,
            shared,
            config_path: config_path.map(Path::to_owned),
            config: config.clone(),
            directory: directory.to_owned(),
            packs: packs.to_vec(),
            entries,
            in_force: BTreeMap::new(),
            mapping: None,
            kept: Kept::in_directory(config.directory()),
            left: begun.left.clone(),
            off: BTreeSet::new(),
            postponed: Postponed::new(),
            looks: Looks::default(),
            versions: match config.trust.older_versions {
                OlderVersions::Refuse => Versions::open(config.directory()),
                OlderVersions::Allow => Versions::default(),
            },
            requests,
        };
        for rule in &begun.rules.detections {
            let in_force = InForce {
                loaded: rule.loaded().clone(),
                parameters: rule.parameters(),
                limits: rule.limits(),
                version: rule.descriptor.version.to_string(),
            };
            lifecycle
                .versions
                .note(&rule.descriptor.id, &in_force.version, false);
            let notes = begun.notes.get(&*rule.descriptor.id);
            let notes = notes.map_or("", String::as_str);
            lifecycle.show(&rule.descriptor.id, &in_force, notes);
            let counters = Arc::clone(&rule.counters);
            let board = &lifecycle.shared.board;
            board.update(&rule.descriptor.id, |entry| entry.counters = counters);
            let id = rule.descriptor.id.to_string();
            lifecycle.in_force.insert(id, (in_force, None));
        }
        if let Some(routed) = begun.rules.mappings.first() {
            let version = routed.rule.descriptor.version.to_string();
            lifecycle.show_mapping(routed.rule.loaded(), &version, "");
        }
        for fallen in &begun.fallen {
            lifecycle.tell_fallen(fallen);
        }
        lifecycle.note_files();
        lifecycle
    }

    /// A file that is not in force at the start.
    fn tell_fallen(&mut self, fallen: &Fallen) {
        let Fallen {
            id,
            refusal,
            instead,
        } = fallen;
        self.refused(id, refusal);
        // Nothing is wrong with a file that was left on purpose.
        if *refusal != gate::Refusal::left(id) {
            let swaps = &self.shared.board.swaps;
            swaps.refused.fetch_add(1, Ordering::Relaxed);
        }
        let version = instead.as_deref().unwrap_or_default();
        let message = match instead {
            Some(version) => format!(
                "rule {id}: its file is not taken, the last good version {version} runs instead: {refusal}"
            ),
            None => format!("rule {id} stays out: {refusal}"),
        };
        tracing::error!(rule = id, "{message}");
        self.shared.audit.tell(&audit::Action {
            action: "rule-refused",
            rule: id,
            version,
            by: "start",
            failure: Some(&refusal.to_string()),
            message: &message,
        });
    }

    /// The file to read rules and tables from again on request.
    pub fn read_again_from(&mut self, config: &Path) {
        self.config_path = Some(config.to_owned());
    }

    /// How others ask.
    #[must_use]
    pub fn handle(&self) -> RulesHandle {
        self.handle.clone()
    }

    /// What the folding thread needs.
    #[must_use]
    pub fn shared(&self) -> Shared {
        self.shared.clone()
    }

    /// Decides until nobody can ask any more.
    pub fn run(mut self) {
        // Ends when the last handle elsewhere is gone.
        let (sender, _) = sync_channel(1);
        self.handle = RulesHandle::new(sender, Arc::default());
        let interval = Duration::from_millis(self.config.lifecycle.interval_ms.max(10));
        let mut looked = Instant::now();
        loop {
            let patience = TICK.min(interval.saturating_sub(looked.elapsed()));
            let next = match self.postponed.pop_front() {
                Some(asked) => Ok(asked),
                None => self.requests.recv_timeout(patience),
            };
            match next {
                Ok(asked) => self.serve(asked),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.tell_announcements();
            if self.config.lifecycle.watch && looked.elapsed() >= interval {
                self.look(false, work::BY_FILE);
                looked = Instant::now();
            }
        }
    }

    /// Shows a version as the one in force.
    fn show(&self, id: &str, in_force: &InForce, notes: &str) {
        let state = if self.off.contains(id) {
            "off"
        } else {
            "in force"
        };
        let digest = sidewatch_engine::cache::hexadecimal(&in_force.loaded.digest);
        self.shared.board.update(id, |entry| {
            let line = &mut entry.line;
            state.clone_into(&mut line.state);
            line.version.clone_from(&in_force.version);
            line.digest = digest;
            line.signature = in_force.loaded.provenance.to_string();
            line.since = identity::now();
            notes.clone_into(&mut line.notes);
        });
    }

    /// What the rules in force did of themselves.
    fn tell_announcements(&mut self) {
        for told in self.shared.exchange.announcements() {
            self.tell_announcement(&told);
        }
    }

    fn tell_announcement(&mut self, told: &Announcement) {
        let id = &*told.rule;
        let message = format!(
            "failed on {} of {} events ({})",
            told.failed, told.events, told.reason
        );
        let swaps = &self.shared.board.swaps;
        let action = if let Some(restored) = &told.restored {
            swaps.rolled_back.fetch_add(1, Ordering::Relaxed);
            self.restored(id, restored);
            audit::ROLLED_BACK
        } else {
            swaps.switched_off.fetch_add(1, Ordering::Relaxed);
            self.shared
                .board
                .update(id, |entry| "off".clone_into(&mut entry.line.state));
            audit::SWITCHED_OFF
        };
        self.refused(id, &gate::Refusal::new("failures", &message));
        let outcome = told.restored.as_deref().map_or_else(
            || format!("rule {id} {} was switched off: it {message}", told.version),
            |restored| {
                format!(
                    "rule {id} {} was taken back to {restored}: it {message}",
                    told.version
                )
            },
        );
        self.shared.audit.tell(&audit::Action {
            action,
            rule: id,
            version: &told.version,
            by: audit::BY_ITSELF,
            failure: None,
            message: &outcome,
        });
    }

    /// The version before is in force again; the one that was stays left.
    fn restored(&mut self, id: &str, version: &str) {
        let Some((in_force, before)) = self.in_force.get_mut(id) else {
            return;
        };
        if let Some(before) = before.take() {
            let gone = std::mem::replace(in_force, before).identity();
            let now = in_force.identity();
            self.leave(id, gone, &now);
            let left = self.left.get(id).map(Vec::as_slice).unwrap_or_default();
            self.kept.go_back(id, &now, left);
        }
        if let Some((in_force, _)) = self.in_force.get(id) {
            self.show(id, in_force, "brought back");
        }
        self.shared.board.update(id, |entry| {
            entry.line.before = None;
            version.clone_into(&mut entry.line.version);
        });
    }

    /// A version is not taken by itself any more.
    fn leave(&mut self, id: &str, version: Identity, in_force: &Identity) {
        let left = self.left.entry(id.to_owned()).or_default();
        kept::leave(left, version);
        left.retain(|one| one != in_force);
    }

    /// Shows and counts a version that was not put in force.
    fn refused(&self, id: &str, refusal: &gate::Refusal) {
        self.shared.board.update(id, |entry| {
            if entry.line.state.is_empty() {
                "refused".clone_into(&mut entry.line.state);
            }
            entry.line.refused = Some(board::Refused {
                time: identity::now(),
                stage: refusal.stage.to_owned(),
                reason: refusal.reason.clone(),
            });
        });
    }
}
