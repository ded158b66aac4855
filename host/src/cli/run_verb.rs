//! `sidewatch run FILE`: the sidecar itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sidewatch_sources::Secret;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::terminal;
use crate::admin;
use crate::admin::control::Subjects;
use crate::config::ConfigFile;
use crate::config::control::read_token;
use crate::config::paths::followed_twice;
use crate::lifecycle::request::{RulesHandle, RulesRequest};
use crate::pipeline::Pipeline;

/// How long answers that are on their way may take when everything has ended.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What to run.
#[derive(Debug, Args)]
#[command(after_help = "\
A small configuration:

  data_directory = \"/var/lib/sidewatch\"

  [[sources]]                      # nginx mirrors requests here (deploy/nginx)
  id = \"mirror\"
  type = \"mirror\"
  pack = \"mattermost\"
  socket = \"/run/sidewatch/mirror.sock\"

  [[sources]]                      # and sends its access log here
  id = \"access\"
  type = \"syslog\"
  pack = \"mattermost\"
  udp = \"127.0.0.1:8514\"

  [enrichment]
  geoip.city = \"/usr/share/GeoIP/GeoLite2-City.mmdb\"

  [[sinks]]
  id = \"findings\"
  type = \"file\"
  path = \"/var/log/sidewatch/findings.json\"
  filter = { findings_only = true }")]
pub(crate) struct RunArguments {
    /// The configuration file
    #[arg(value_name = "FILE")]
    config: PathBuf,
}

/// Takes as many descriptors as the process may have: followed files, the
/// journal and connections share them, and shells give few.
fn take_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard));
    if let Err(error) = raised {
        tracing::debug!(%error, "the limit of descriptors stays as it is");
    }
}

pub(super) fn run(arguments: &RunArguments) -> Result<u8> {
    let config = ConfigFile::load(&arguments.config)?;
    take_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let ended = runtime.block_on(serve(&config, &arguments.config));
    // Whoever waits for the answer to a request about rules waits no longer.
    runtime.shutdown_timeout(LAST_WORDS);
    ended.map(|()| 0)
}

async fn serve(config: &ConfigFile, path: &Path) -> Result<()> {
    // From the first moment on: whoever asks for the rules to be read again
    // while they are compiled must not end the process.
    let hangup = signal(SignalKind::hangup())?;
    let mut pipeline = Pipeline::build(config)?;
    pipeline.read_again_from(path);
    let status = Arc::clone(&pipeline.status);
    summarise(config, &pipeline);
    let admin = match config.admin.listen {
        Some(address) => {
            let listener = admin::bind(address).await?;
            terminal::note(&format!(
                "admin      http://{}/metrics /readyz /livez",
                listener.local_addr()?
            ));
            Some(tokio::spawn(admin::serve(listener, Arc::clone(&status))))
        }
        None => None,
    };
    let subjects = Subjects {
        store: status.store.clone(),
        rules: pipeline.rules.clone(),
        taps: Arc::clone(&status.taps),
    };
    let (control, control_tcp) = control(config, subjects).await?;
    let reloading = tokio::spawn(reload_on_request(hangup, pipeline.rules.clone()));
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("ending: sources stop, sinks drain");
    };
    let ran = pipeline.run(stop).await;
    for task in [admin, control, control_tcp, Some(reloading)]
        .into_iter()
        .flatten()
    {
        task.abort();
    }
    let counters = &status.pipeline;
    let read =
        |counter: &std::sync::atomic::AtomicU64| counter.load(std::sync::atomic::Ordering::Relaxed);
    tracing::info!(
        received = read(&counters.received),
        forwarded = read(&counters.forwarded),
        suppressed = read(&counters.suppressed),
        findings = read(&counters.findings),
        "ended"
    );
    Ok(ran?)
}

type Task = Option<tokio::task::JoinHandle<()>>;

/// Answers operators, where the configuration says so.
async fn control(config: &ConfigFile, subjects: Subjects) -> Result<(Task, Task)> {
    let tcp = match (config.control.listen, &config.control.token_file) {
        (Some(address), Some(token_file)) => {
            let token = Secret::new(&read_token(token_file)?);
            let listener = admin::control::bind_tcp(address)
                .await
                .with_context(|| format!("cannot listen on control.listen = {address}"))?;
            terminal::note(&format!("control    {}", listener.local_addr()?));
            let serving = admin::control::serve_tcp(listener, token, subjects.clone());
            Some(tokio::spawn(serving))
        }
        _ => None,
    };
    let unix = match &config.data_directory {
        Some(directory) => {
            let path = admin::control::socket(directory);
            let listener = admin::control::bind(&path)
                .with_context(|| format!("cannot open {}", path.display()))?;
            Some(tokio::spawn(admin::control::serve(listener, subjects)))
        }
        None => None,
    };
    Ok((unix, tcp))
}

/// Reads rules and tables again on SIGHUP.
async fn reload_on_request(mut hangup: Signal, rules: RulesHandle) {
    while hangup.recv().await.is_some() {
        let rules = rules.clone();
        let asked = tokio::task::spawn_blocking(move || rules.ask(RulesRequest::Reload, "SIGHUP"));
        if let Ok(answer) = asked.await {
            tracing::info!(%answer, "SIGHUP");
        }
    }
}

/// What a person wants to know at the start, most of all what will stay silent.
fn summarise(config: &ConfigFile, pipeline: &Pipeline) {
    for (name, addresses) in pipeline.addresses() {
        terminal::note(&format!("source     {name}: {}", addresses.join(", ")));
    }
    for rule in &pipeline.status.rules {
        terminal::note(&format!("rule       {} {}", rule.id, rule.version));
    }
    for (name, _) in &pipeline.status.sinks {
        terminal::note(&format!("sink       {name}"));
    }
    for twice in followed_twice(config) {
        terminal::note(&format!("warning    {twice}"));
    }
    if config.sinks.is_empty() {
        terminal::note("warning    no sink is configured: findings go nowhere");
    }
    if pipeline.status.store.is_none() {
        terminal::note(
            "warning    no `data_directory`: what waits, states and positions are in memory and end with the process",
        );
    }
    let geoip = &config.enrichment.geoip;
    if geoip.city.is_none() && config.enrichment.sites.is_empty() {
        terminal::note(
            "warning    no `geoip.city` database and no sites: rules that need a place (impossible-travel) stay silent",
        );
    }
    if config.enrichment.trusted_proxies.is_empty() {
        terminal::note("note       no `trusted_proxies`: the client is the address nginx saw");
    }
}
