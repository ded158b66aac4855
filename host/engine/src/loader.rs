//! From a file to a rule that can be configured.
//!
//! A component is checked before it is compiled: its size, that it imports
//! nothing, and that it exports a rule interface of the version this host
//! speaks. Each digest is compiled once per host and version and then read
//! from the authenticated cache.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use wasmtime::Engine as Wasmtime;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use crate::bindings;
use crate::cache::{CompiledCache, RuleDigest, digest, hexadecimal};
use crate::compile_worker::{CompileError, CompileWorker, configuration};
use crate::detection::DetectionRule;
use crate::fault::Fault;
use crate::limits::{EpochClock, RuleLimits};
use crate::mapping::MappingRule;
use crate::regular_file;
use crate::signature::{Provenance, SignatureError, Trust, read_signature, signature_path};

/// Interface version this host speaks.
pub const INTERFACE_VERSION: &str = "0.1.0";
pub(crate) const DETECTION: &str = "sidewatch:rule/detection@0.1.0";
pub(crate) const MAPPING: &str = "sidewatch:rule/mapping@0.1.0";

/// How the engine is set up.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Directory for compiled rules; without one, rules are compiled at every
    /// start.
    pub cache_directory: Option<PathBuf>,
    /// Largest component accepted, in bytes.
    pub largest_component: u64,
    /// Key of the hashes rules see; stable over restarts.
    pub hash_key: [u8; 16],
    /// Whose rules are loaded.
    pub trust: Trust,
    /// Counts the instructions rules execute, which slows them down.
    pub count_instructions: bool,
    /// Compiles in a process of its own; without one, in this process.
    pub compile_worker: Option<CompileWorker>,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            cache_directory: None,
            largest_component: 10 << 20,
            hash_key: [0; 16],
            trust: Trust::default(),
            count_instructions: false,
            compile_worker: None,
        }
    }
}

/// The engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The runtime refuses its settings.
    #[error("the WebAssembly runtime cannot start: {0}")]
    Runtime(String),
    /// The directory for compiled rules is unusable.
    #[error("cannot use {path} for compiled rules: {source}")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The clock thread cannot start.
    #[error("cannot start the deadline clock: {0}")]
    Clock(#[source] std::io::Error),
}

/// A file that is no usable rule.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Nobody trusted has signed it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The file is larger than a rule may be.
    #[error("the component is {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// The bytes are a core module.
    #[error(
        "this is a core WebAssembly module, not a component; build it with `sidewatch rule build` or wrap it with sidewatch-componentize"
    )]
    CoreModule,
    /// The bytes are no component.
    #[error("this is no WebAssembly component: {0}")]
    Malformed(String),
    /// Compiling it takes too much.
    #[error(transparent)]
    Compile(CompileError),
    /// The component wants something from its host.
    #[error(
        "the component imports `{0}`; rules import nothing (build for wasm32-unknown-unknown, not for WASI)"
    )]
    Import(String),
    /// The component speaks another version of the interface.
    #[error(
        "the component exports `{found}`, this host speaks version {INTERFACE_VERSION}; rebuild it with the matching rule-sdk"
    )]
    InterfaceVersion {
        /// What it exports.
        found: String,
    },
    /// The component exports no rule interface.
    #[error("the component exports neither `{DETECTION}` nor `{MAPPING}`, so it is no rule")]
    NoRule,
    /// The exports do not have the types of the interface.
    #[error("the component's exports do not match the interface: {0}")]
    Mismatch(String),
}

/// A rule that cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// A parameter is wrong.
    #[error("parameter `{parameter}`: {message}")]
    Parameter {
        /// Its name.
        parameter: String,
        /// What is wrong with it.
        message: String,
    },
    /// The rule describes itself in a way the host cannot accept.
    #[error("the rule's description is unusable: {0}")]
    Description(String),
    /// The rule broke while being configured.
    #[error("the rule failed while being configured: {0}")]
    Fault(#[from] Fault),
    /// A detection rule was asked for and this is a mapping, or the reverse.
    #[error("this is a {0} rule")]
    Kind(&'static str),
}

/// Kind of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleKind {
    /// `(state, event) -> (state', findings)`.
    Detection,
    /// `event -> annotation`.
    Mapping,
}

impl RuleKind {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Mapping => "mapping",
        }
    }
}

pub(crate) enum Prepared {
    Detection(bindings::detection::DetectionRulePre<crate::limits::Guard>),
    Mapping(bindings::mapping::MappingRulePre<crate::limits::Guard>),
}

/// A component that is a rule; cheap to clone.
#[derive(Clone)]
pub struct LoadedRule {
    pub(crate) prepared: Arc<Prepared>,
    pub(crate) engine: Engine,
    /// SHA-256 of the component.
    pub digest: RuleDigest,
    /// Size of the component in bytes.
    pub size: usize,
    /// Kind of rule.
    pub kind: RuleKind,
    /// Whether the compiled form came from the cache.
    pub cached: bool,
    /// What its signature proves.
    pub provenance: Provenance,
}

impl std::fmt::Debug for LoadedRule {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("LoadedRule")
            .field("digest", &hexadecimal(&self.digest))
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// The runtime all rules share; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) wasmtime: Wasmtime,
    pub(crate) clock: Arc<EpochClock>,
    cache: Option<CompiledCache>,
    largest_component: u64,
    trust: Arc<Trust>,
    compile_worker: Option<CompileWorker>,
    pub(crate) hash_key: [u8; 16],
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("cache", &self.cache.is_some())
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts the runtime and its deadline clock.
    ///
    /// # Errors
    /// Fails when the cache directory is unusable.
    pub fn new(settings: &EngineSettings) -> Result<Self, EngineError> {
        let config = configuration(settings.count_instructions);
        let wasmtime =
            Wasmtime::new(&config).map_err(|error| EngineError::Runtime(format!("{error:#}")))?;
        let cache = settings
            .cache_directory
            .as_deref()
            .map(|path| {
                CompiledCache::open(path).map_err(|source| EngineError::Cache {
                    path: path.to_owned(),
                    source,
                })
            })
            .transpose()?;
        let clock = EpochClock::start(wasmtime.clone()).map_err(EngineError::Clock)?;
        Ok(Self {
            wasmtime,
            clock: Arc::new(clock),
            cache,
            largest_component: settings.largest_component,
            trust: Arc::new(settings.trust.clone()),
            compile_worker: settings
                .compile_worker
                .clone()
                .filter(|_| !settings.count_instructions),
            hash_key: settings.hash_key,
        })
    }

    /// The same engine, compiling what it does not know in a process of its
    /// own.
    #[must_use]
    pub fn compiling_in(&self, worker: Option<CompileWorker>) -> Self {
        Self {
            compile_worker: worker,
            ..self.clone()
        }
    }

    /// Reads a component with its signature and loads it, if whoever signed
    /// it is trusted.
    ///
    /// # Errors
    /// Says why the file is no usable rule.
    pub fn load_file(&self, path: &Path) -> Result<LoadedRule, LoadError> {
        let bytes = self.read(path)?;
        let signature = read_signature(path).map_err(|source| LoadError::Read {
            path: signature_path(path),
            source,
        })?;
        self.load_signed(&bytes, signature.as_deref())
    }

    /// The bytes of a component's file.
    ///
    /// # Errors
    /// It cannot be read, or is larger than a rule may be.
    pub fn read(&self, path: &Path) -> Result<Vec<u8>, LoadError> {
        use std::io::Read as _;
        let read = |source| LoadError::Read {
            path: path.to_owned(),
            source,
        };
        let file = regular_file::open(path).map_err(read)?;
        let mut bytes = Vec::new();
        file.take(self.largest_component + 1)
            .read_to_end(&mut bytes)
            .map_err(read)?;
        self.fits(&bytes)?;
        Ok(bytes)
    }

    /// Loads a component from its bytes, if its signature (the text of its
    /// `.minisig` file) proves what the policy wants.
    ///
    /// # Errors
    /// Says why the bytes are no usable rule.
    pub fn load_signed(
        &self,
        bytes: &[u8],
        signature: Option<&str>,
    ) -> Result<LoadedRule, LoadError> {
        self.fits(bytes)?;
        let provenance = self.trust.check(bytes, signature)?;
        let mut loaded = self.load(bytes)?;
        if let Provenance::Unproven(reason) = &provenance {
            let digest = hexadecimal(&loaded.digest);
            tracing::warn!(digest, %reason, "rule is loaded although nobody trusted has signed it");
        }
        loaded.provenance = provenance;
        Ok(loaded)
    }

    fn fits(&self, bytes: &[u8]) -> Result<(), LoadError> {
        let (size, limit) = (bytes.len() as u64, self.largest_component);
        if size > limit {
            return Err(LoadError::TooLarge { size, limit });
        }
        Ok(())
    }

    /// Loads a component from its bytes, whoever made them.
    ///
    /// # Errors
    /// Says why the bytes are no usable rule.
    pub fn load(&self, bytes: &[u8]) -> Result<LoadedRule, LoadError> {
        self.fits(bytes)?;
        // Preamble: magic, then version 1 layer 0 for a core module.
        if bytes.starts_with(b"\0asm\x01\0\0\0") {
            return Err(LoadError::CoreModule);
        }
        let digest = digest(bytes);
        let (component, cached) = self.component(bytes, &digest)?;
        let kind = self.check(&component)?;
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch(format!("{error:#}"));
        let prepared = Linker::new(&self.wasmtime)
            .instantiate_pre(&component)
            .map_err(mismatch)?;
        let prepared = match kind {
            RuleKind::Detection => Prepared::Detection(
                bindings::detection::DetectionRulePre::new(prepared).map_err(mismatch)?,
            ),
            RuleKind::Mapping => Prepared::Mapping(
                bindings::mapping::MappingRulePre::new(prepared).map_err(mismatch)?,
            ),
        };
        Ok(LoadedRule {
            prepared: Arc::new(prepared),
            engine: self.clone(),
            digest,
            size: bytes.len(),
            kind,
            cached,
            provenance: Provenance::Unchecked,
        })
    }

    fn component(&self, bytes: &[u8], digest: &RuleDigest) -> Result<(Component, bool), LoadError> {
        let compiler = self.compiler();
        if let Some(artifact) = self
            .cache
            .as_ref()
            .and_then(|cache| cache.read(digest, compiler))
        {
            #[expect(
                unsafe_code,
                reason = "the artifact carries this host's authentication code over exactly these bytes"
            )]
            // SAFETY: only bytes that this host's compiler produced pass the cache's check.
            let component = unsafe { Component::deserialize(&self.wasmtime, &artifact) };
            if let Ok(component) = component {
                return Ok((component, true));
            }
        }
        let component = self.compile(bytes)?;
        if let Some(cache) = &self.cache {
            let kept = component.serialize().map_err(std::io::Error::other);
            if let Err(error) = kept.and_then(|artifact| cache.write(digest, compiler, &artifact)) {
                tracing::warn!(%error, "cannot keep the compiled rule; it will be compiled again at the next start");
            }
        }
        Ok((component, false))
    }

    fn compile(&self, bytes: &[u8]) -> Result<Component, LoadError> {
        let malformed = |error: wasmtime::Error| LoadError::Malformed(format!("{error:#}"));
        let Some(worker) = &self.compile_worker else {
            return Component::new(&self.wasmtime, bytes).map_err(malformed);
        };
        let artifact = match worker.compile(bytes) {
            Ok(artifact) => artifact,
            Err(CompileError::Malformed(message)) => return Err(LoadError::Malformed(message)),
            // Nor is it compiled here, without limits, when there is no child.
            Err(error) => return Err(LoadError::Compile(error)),
        };
        #[expect(
            unsafe_code,
            reason = "the artifact comes straight from this program's own compiler"
        )]
        // SAFETY: this very program made it, in a child that knew nothing but
        // the component; a compiler that is led astray by one would be so here.
        unsafe { Component::deserialize(&self.wasmtime, &artifact) }.map_err(malformed)
    }

    /// Number of the compiler's version and settings.
    fn compiler(&self) -> u64 {
        use std::hash::{Hash as _, Hasher as _};
        let mut hasher = siphasher::sip::SipHasher13::new();
        self.wasmtime
            .precompile_compatibility_hash()
            .hash(&mut hasher);
        hasher.finish()
    }

    fn check(&self, component: &Component) -> Result<RuleKind, LoadError> {
        let types = component.component_type();
        if let Some((name, _)) = types.imports(&self.wasmtime).next() {
            return Err(LoadError::Import(name.to_owned()));
        }
        let mut other_version = None;
        for (name, item) in types.exports(&self.wasmtime) {
            if !matches!(item.ty, ComponentItem::ComponentInstance(_)) {
                continue;
            }
            match name {
                DETECTION => return Ok(RuleKind::Detection),
                MAPPING => return Ok(RuleKind::Mapping),
                _ if name.starts_with("sidewatch:rule/detection@")
                    || name.starts_with("sidewatch:rule/mapping@") =>
                {
                    other_version = Some(name.to_owned());
                }
                _ => {}
            }
        }
        Err(
            other_version.map_or(LoadError::NoRule, |found| LoadError::InterfaceVersion {
                found,
            }),
        )
    }
}

impl LoadedRule {
    /// Configures a detection rule.
    ///
    /// # Errors
    /// Names the parameter the rule refuses, or says what is wrong with the
    /// rule.
    pub fn detection(
        &self,
        parameters: &Value,
        limits: RuleLimits,
    ) -> Result<DetectionRule, ConfigureError> {
        DetectionRule::new(self, parameters, limits)
    }

    /// Configures a mapping rule.
    ///
    /// # Errors
    /// Names the parameter the rule refuses, or says what is wrong with the
    /// rule.
    pub fn mapping(
        &self,
        parameters: &Value,
        limits: RuleLimits,
    ) -> Result<MappingRule, ConfigureError> {
        MappingRule::new(self, parameters, limits)
    }
}
