//! Spin in small: loads an application the way `spin up` does, from its
//! `spin.toml`, and serves it with the same HTTP handler from the same engine.
//!
//! What it takes over from Spin as observed in its source: components are
//! composed by the manifest, each dependency instantiated and its export
//! aliased into the slot; 32 linear memories at most; one instance serves up
//! to 128 requests, 16 at a time; the key-value store behaves as Spin's SQLite
//! back-end, including that a swap from an absent value compares nothing.
//!
//! Invariants: only the hosts, stores and variables the manifest grants exist;
//! everything is in memory.

mod keyvalue;
mod manifest;
mod outbound;
mod real;
mod serve;
mod variables;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidewatch_edge::compose::{Plug, plug};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, OptLevel};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::p3::bindings::ServicePre;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

pub use keyvalue::KeyValues;
pub use manifest::Manifest;
use real::RealSpin;
use serve::Taking;
pub use serve::{Answer, Server};

/// Linear memories Spin gives a component.
const MEMORIES: usize = 32;

/// Requests one instance serves.
const REUSE: usize = 128;

/// What the runtime is given from outside: `--variable`, the runtime
/// configuration's store.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Values for variables.
    pub variables: BTreeMap<String, String>,
    /// The stores there are, by label.
    pub stores: BTreeMap<String, KeyValues>,
    /// Requests one instance serves; 128 unless given.
    pub reuse: Option<usize>,
}

/// A loaded application.
pub struct Spin {
    server: Server,
    /// What it was loaded from; nothing when it is a bare component.
    source: Option<(PathBuf, Manifest)>,
    prepared: Option<ServicePre<Guest>>,
    /// The component as it was composed.
    pub composed: Vec<u8>,
    /// Time to compile the composition.
    pub compiled_in: Duration,
}

impl std::fmt::Debug for Spin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Spin").finish_non_exhaustive()
    }
}

/// What a store carries for the component in it.
struct Guest {
    wasi: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    outbound: outbound::Outbound,
    granted: Arc<Granted>,
}

/// What the manifest grants.
#[derive(Debug)]
struct Granted {
    stores: BTreeMap<String, KeyValues>,
    /// Stores that exist but are not granted.
    denied: Vec<String>,
    variables: BTreeMap<String, String>,
    hosts: Vec<String>,
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}

impl Guest {
    fn new(granted: &Arc<Granted>) -> Self {
        Self {
            wasi: WasiCtx::builder().inherit_stderr().build(),
            table: ResourceTable::new(),
            http: WasiHttpCtx::new(),
            outbound: outbound::Outbound::new(&granted.hosts),
            granted: Arc::clone(granted),
        }
    }
}

/// The engine as Spin configures it, as far as it matters here.
fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    if cfg!(debug_assertions) {
        // Tests load many applications and send each few requests.
        config.cranelift_opt_level(OptLevel::None);
    }
    Engine::new(&config)
}

/// Whether the suite runs on a real Spin.
#[must_use]
pub fn is_real() -> bool {
    real::program().is_some()
}

impl Spin {
    /// Loads the application in a directory.
    ///
    /// # Errors
    /// Says why Spin would refuse it.
    pub fn load(directory: &Path, surroundings: &Surroundings) -> Result<Self, String> {
        let manifest = Manifest::read(&directory.join("spin.toml"))?;
        let read = |file: &str| {
            std::fs::read(directory.join(file)).map_err(|error| format!("{file}: {error}"))
        };
        let mut plugs = Vec::new();
        for (slot, dependency) in &manifest.dependencies {
            plugs.push(Plug {
                rule: slot.clone(),
                slot: slot.clone(),
                export: dependency.export.clone(),
                component: read(&dependency.path)?,
            });
        }
        let composed = plug(&read(&manifest.source)?, &plugs).map_err(|error| error.to_string())?;
        let granted = manifest.grant(surroundings)?;
        let mut spin = match real::program() {
            Some(program) => Self {
                server: Server(Taking::Real(RealSpin::start(
                    &program,
                    directory,
                    surroundings,
                )?)),
                source: None,
                prepared: None,
                composed,
                compiled_in: Duration::ZERO,
            },
            None => Self::serve(composed, granted, surroundings.reuse)?,
        };
        spin.source = Some((directory.to_owned(), manifest));
        Ok(spin)
    }

    /// The same application, not compiled again, in other surroundings.
    ///
    /// # Errors
    /// Says why Spin would refuse it.
    pub fn again(&self, surroundings: &Surroundings) -> Result<Server, String> {
        let (directory, manifest) = self.source.as_ref().ok_or("it has no manifest")?;
        if let Some(program) = real::program() {
            return RealSpin::start(&program, directory, surroundings)
                .map(|spin| Server(Taking::Real(spin)));
        }
        let prepared = self.prepared.clone().ok_or("it was not compiled")?;
        Ok(serve::stand_in(
            prepared,
            manifest.grant(surroundings)?,
            surroundings.reuse.unwrap_or(REUSE),
        ))
    }

    /// Serves one component that is granted nothing, to compare with; an
    /// instance takes `reuse` requests.
    ///
    /// # Errors
    /// It cannot be compiled or linked.
    pub fn bare(component: Vec<u8>, reuse: usize) -> Result<Self, String> {
        let granted = Granted {
            stores: BTreeMap::new(),
            denied: Vec::new(),
            variables: BTreeMap::new(),
            hosts: Vec::new(),
        };
        Self::serve(component, granted, Some(reuse))
    }

    /// Sends a request, as Spin would hand it on.
    ///
    /// # Errors
    /// The component trapped.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<bytes::Bytes>,
    ) -> Result<Answer, String> {
        self.server.send(method, path, headers, body).await
    }

    fn serve(composed: Vec<u8>, granted: Granted, reuse: Option<usize>) -> Result<Self, String> {
        let told = |error: wasmtime::Error| format!("{error:#}");
        let engine = engine().map_err(told)?;
        let started = Instant::now();
        let component = Component::new(&engine, &composed).map_err(told)?;
        let compiled_in = started.elapsed();
        let memories = component
            .resources_required()
            .map_or(0, |needs| needs.num_memories);
        if memories as usize > MEMORIES {
            return Err(format!(
                "the component transitively contains {memories} Wasm linear memories, which exceeds the configured maximum of {MEMORIES}"
            ));
        }
        let prepared = link(&engine, &component).map_err(told)?;
        Ok(Self {
            server: serve::stand_in(prepared.clone(), granted, reuse.unwrap_or(REUSE)),
            source: None,
            prepared: Some(prepared),
            composed,
            compiled_in,
        })
    }
}

fn link(engine: &Engine, component: &Component) -> wasmtime::Result<ServicePre<Guest>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    keyvalue::add_to_linker(&mut linker)?;
    variables::add_to_linker(&mut linker)?;
    ServicePre::new(linker.instantiate_pre(component)?)
}
