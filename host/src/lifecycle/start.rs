//! The rules a sidecar begins with: the same gate as for a swap, except the
//! trial, for which there is no traffic yet.
//!
//! A file that fails is no reason to do without the rule, or to stay down: the
//! last component that passed runs instead ([`super::kept`]), said aloud. Only
//! where there is none a rule stays out. What `sidewatch.toml` itself says
//! wrongly ends the start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use sidewatch_engine::cache::digest;
use sidewatch_engine::signature::read_signature;
use sidewatch_engine::{Engine, RuleSet};

use super::gate::{
    Candidate, Mapped, Passed, Refusal, Surroundings, check, check_mappings, vectors_of,
};
use super::kept::{Identity, Kept, Passport};
use super::versions::Versions;
use crate::config::rules::{
    Entries, MAPPING_RULE, PackInUse, RulesError, component_path, detections, settings, unknown,
};
use crate::config::trust::OlderVersions;
use crate::config::{ConfigFile, RuleEntry};

/// Rules checked at a time.
const AT_A_TIME: usize = 4;

/// What the rules are made from.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The engine; it should compile in a process of its own.
    pub engine: &'a Engine,
    /// The configuration.
    pub config: &'a ConfigFile,
    /// The rules directory.
    pub directory: &'a Path,
    /// The packs in use.
    pub packs: &'a [PackInUse],
    /// Entries of configuration and manifests.
    pub entries: &'a Entries,
}

/// A file that is not in force.
#[derive(Debug)]
pub(super) struct Fallen {
    pub(super) id: String,
    pub(super) refusal: Refusal,
    /// The version that runs instead, if there is one.
    pub(super) instead: Option<String>,
}

/// The rules, and what became of them.
#[derive(Debug, Default)]
pub struct Begun {
    /// The rules in force.
    pub rules: RuleSet,
    /// What the checks showed, by rule.
    pub(super) notes: BTreeMap<String, String>,
    pub(super) fallen: Vec<Fallen>,
    /// Versions left on purpose, by rule.
    pub(super) left: BTreeMap<String, Vec<Identity>>,
}

/// A version that passed, with what it was made of.
struct Judged<T> {
    passed: T,
    passport: Passport,
    component: Vec<u8>,
}

/// Rules for a run: what fails is replaced by what was good before.
///
/// # Errors
/// The configuration names a rule there is not, gives it parameters it
/// refuses or a file that is none; or there are no mappings.
pub fn begin(ground: Ground<'_>) -> Result<Begun, RulesError> {
    let kept = Kept::in_directory(ground.config.directory());
    let wanted = detections(ground.packs, &ground.entries.entries);
    let wanted = with_broken(wanted, ground.entries);
    let left: BTreeMap<String, Vec<Identity>> = wanted
        .iter()
        .map(|(id, _)| id.clone())
        .chain([MAPPING_RULE.to_owned()])
        .filter_map(|id| Some((kept.read(&id)?.0.left, id)))
        .filter(|(left, _)| !left.is_empty())
        .map(|(left, id)| (id, left))
        .collect();
    let (mapping, judged) = ground.judge_all(&wanted, &left);
    let mut begun = Begun::default();
    let mut keep = Vec::new();
    let mapping = match mapping {
        Ok(mapping) => mapping,
        Err(refusal) => {
            let instead = ground.last_mapping(&kept);
            let path = component_path(ground.directory, MAPPING_RULE, None);
            let instead =
                instead.ok_or_else(|| ground.refused(MAPPING_RULE, path, refusal.clone()))?;
            begun.fallen.push(Fallen {
                id: MAPPING_RULE.to_owned(),
                refusal,
                instead: Some(instead.passed.version.clone()),
            });
            instead
        }
    };
    keep.push((mapping.passport, mapping.component));
    begun.rules.mappings = mapping.passed.mappings;
    for ((id, entry), judged) in wanted.iter().zip(judged) {
        let judged = match judged {
            Ok(judged) => Some(judged),
            Err(refusal) => {
                let instead = ground.last_good(&kept, id, *entry, &refusal);
                if instead.is_none()
                    && let Some(error) = ground.is_mistake(id, *entry, &refusal)
                {
                    return Err(error);
                }
                let version =
                    |judged: &Judged<Passed>| judged.passed.rule.descriptor.version.to_string();
                begun.fallen.push(Fallen {
                    id: id.clone(),
                    refusal,
                    instead: instead.as_ref().map(version),
                });
                instead
            }
        };
        if let Some(Judged {
            passed,
            passport,
            component,
        }) = judged
        {
            begun.notes.insert(id.clone(), passed.notes);
            begun.rules.detections.push(*passed.rule);
            keep.push((passport, component));
        }
    }
    for (mut passport, component) in keep {
        passport.left = left.get(&passport.rule).cloned().unwrap_or_default();
        kept.put(&passport, &component);
    }
    let mut known: Vec<String> = wanted.into_iter().map(|(id, _)| id).collect();
    known.extend(ground.entries.entries.iter().map(|entry| entry.id.clone()));
    known.push(MAPPING_RULE.to_owned());
    kept.retain(&known);
    begun.left = left;
    Ok(begun)
}

/// Rules for a look at them: whatever fails is an error.
///
/// # Errors
/// Names the first rule that fails and why.
pub fn check_all(ground: Ground<'_>) -> Result<RuleSet, RulesError> {
    let wanted = detections(ground.packs, &ground.entries.entries);
    let wanted = with_broken(wanted, ground.entries);
    let (mapping, judged) = ground.judge_all(&wanted, &BTreeMap::new());
    let path = |id: &str, entry| component_path(ground.directory, id, entry);
    let mapping = mapping
        .map_err(|refusal| ground.refused(MAPPING_RULE, path(MAPPING_RULE, None), refusal))?;
    let mut rules = RuleSet::default();
    rules.mappings = mapping.passed.mappings;
    for ((id, entry), judged) in wanted.iter().zip(judged) {
        let judged = judged.map_err(|refusal| ground.refused(id, path(id, *entry), refusal))?;
        rules.detections.push(*judged.passed.rule);
    }
    Ok(rules)
}

type Wanted<'a> = Vec<(String, Option<&'a RuleEntry>)>;
type All = (
    Result<Judged<Mapped>, Refusal>,
    Vec<Result<Judged<Passed>, Refusal>>,
);

/// Those with a wrong manifest are wanted, too: nobody said otherwise.
fn with_broken<'a>(mut wanted: Wanted<'a>, entries: &'a Entries) -> Wanted<'a> {
    for (id, _) in &entries.broken {
        if !wanted.iter().any(|(known, _)| known == id) {
            wanted.push((id.clone(), None));
        }
    }
    wanted
}

impl Ground<'_> {
    /// Takes all through the gate, several at a time.
    fn judge_all(&self, wanted: &Wanted<'_>, left: &BTreeMap<String, Vec<Identity>>) -> All {
        let versions = match self.config.trust.older_versions {
            OlderVersions::Refuse => Versions::open(self.config.directory()),
            OlderVersions::Allow => Versions::default(),
        };
        let left_of = |id: &str| left.get(id).map(Vec::as_slice).unwrap_or_default();
        let next = AtomicUsize::new(0);
        let judge_some = || {
            let mut judged = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((id, entry)) = wanted.get(at) else {
                    return judged;
                };
                judged.push((at, self.judge(id, *entry, left_of(id), &versions)));
            }
        };
        let broke = || Refusal::new("check", "checking it broke");
        std::thread::scope(|scope| {
            let of_mapping = left_of(MAPPING_RULE);
            let mapping = scope.spawn(move || self.judge_mapping(of_mapping));
            let workers: Vec<_> = (0..AT_A_TIME.min(wanted.len()))
                .map(|_| scope.spawn(judge_some))
                .collect();
            let mut judged: BTreeMap<usize, _> = workers
                .into_iter()
                .filter_map(|worker| worker.join().ok())
                .flatten()
                .collect();
            let judged = (0..wanted.len())
                .map(|at| judged.remove(&at).unwrap_or_else(|| Err(broke())))
                .collect();
            let mapping = mapping.join().unwrap_or_else(|_| Err(broke()));
            (mapping, judged)
        })
    }

    fn judge(
        &self,
        id: &str,
        entry: Option<&RuleEntry>,
        left: &[Identity],
        versions: &Versions,
    ) -> Result<Judged<Passed>, Refusal> {
        if let Some((_, error)) = self.entries.broken.iter().find(|(broken, _)| broken == id) {
            return Err(Refusal::new("manifest", error));
        }
        let (component, signature) = self.read(&component_path(self.directory, id, entry))?;
        let (parameters, limits) = settings(entry);
        let identity = Identity::new(&digest(&component), &parameters, limits);
        if left.contains(&identity) {
            return Err(Refusal::left(id));
        }
        let passport = Passport {
            rule: id.to_owned(),
            identity,
            signature,
            left: Vec::new(),
        };
        let vectors = Some(vectors_of(self.directory, id));
        self.pass(passport, component, vectors, Some(versions))
    }

    fn pass(
        &self,
        passport: Passport,
        component: Vec<u8>,
        vectors: Option<PathBuf>,
        versions: Option<&Versions>,
    ) -> Result<Judged<Passed>, Refusal> {
        let passed = check(
            &Candidate {
                id: &passport.rule,
                component: &component,
                signature: passport.signature.as_deref(),
                parameters: &passport.identity.parameters,
                limits: passport.identity.limits,
                vectors,
            },
            &Surroundings {
                engine: self.engine,
                in_force: None,
                highest: versions.and_then(|versions| versions.highest(&passport.rule)),
                recent: &[],
                states: &[],
            },
        )?;
        Ok(Judged {
            passed,
            passport,
            component,
        })
    }

    fn judge_mapping(&self, left: &[Identity]) -> Result<Judged<Mapped>, Refusal> {
        let (component, signature) =
            self.read(&component_path(self.directory, MAPPING_RULE, None))?;
        let identity = Identity::of_mapping(&digest(&component));
        if left.contains(&identity) {
            return Err(Refusal::left(MAPPING_RULE));
        }
        let passport = Passport {
            rule: MAPPING_RULE.to_owned(),
            identity,
            signature,
            left: Vec::new(),
        };
        self.map(passport, component)
    }

    fn map(&self, passport: Passport, component: Vec<u8>) -> Result<Judged<Mapped>, Refusal> {
        let signature = passport.signature.as_deref();
        let passed = check_mappings(self.engine, &component, signature, self.packs, &mut [])?;
        Ok(Judged {
            passed,
            passport,
            component,
        })
    }

    fn read(&self, path: &Path) -> Result<(Vec<u8>, Option<String>), Refusal> {
        let component = self
            .engine
            .read(path)
            .map_err(|error| Refusal::new("file", error))?;
        let signature = read_signature(path).map_err(|error| Refusal::new("file", error))?;
        Ok((component, signature))
    }

    /// The last component that passed; with today's parameters if it takes
    /// them, else with its own, unless these are what is wrong.
    fn last_good(
        &self,
        kept: &Kept,
        id: &str,
        entry: Option<&RuleEntry>,
        refusal: &Refusal,
    ) -> Option<Judged<Passed>> {
        let (passport, component) = kept.read(id)?;
        let mut attempts = Vec::new();
        if refusal.stage != "manifest" {
            let (parameters, limits) = settings(entry);
            let mut passport = passport.clone();
            passport.identity.parameters = parameters;
            passport.identity.limits = limits;
            attempts.push(passport);
        }
        if refusal.stage != "parameters" || !self.is_configured(id) {
            attempts.push(passport);
        }
        for passport in attempts {
            match self.pass(passport, component.clone(), None, None) {
                Ok(mut judged) => {
                    judged.passed.notes =
                        "the last good version, kept in the data directory".to_owned();
                    return Some(judged);
                }
                Err(error) => {
                    tracing::error!(rule = id, %error, "the last good version cannot be used either");
                }
            }
        }
        None
    }

    fn last_mapping(&self, kept: &Kept) -> Option<Judged<Mapped>> {
        let (passport, component) = kept.read(MAPPING_RULE)?;
        self.map(passport, component).ok()
    }

    fn is_configured(&self, id: &str) -> bool {
        self.config.rules.iter().any(|entry| entry.id == id)
    }

    /// What `sidewatch.toml` says wrongly, or a pack's rule that is not there.
    fn is_mistake(
        &self,
        id: &str,
        entry: Option<&RuleEntry>,
        refusal: &Refusal,
    ) -> Option<RulesError> {
        let path = component_path(self.directory, id, entry);
        let named = entry.is_some_and(|entry| entry.file.is_some());
        let said = self.is_configured(id) && (named || refusal.stage == "parameters");
        (said || !path.is_file()).then(|| self.refused(id, path, refusal.clone()))
    }

    fn refused(&self, id: &str, path: PathBuf, refusal: Refusal) -> RulesError {
        if !path.is_file() {
            return unknown(self.directory, id, path);
        }
        RulesError::Refused {
            id: id.to_owned(),
            path,
            reason: refusal.reason,
        }
    }
}
