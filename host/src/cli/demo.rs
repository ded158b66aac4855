//! `sidewatch demo`: five days of an invented site, played through the real
//! inputs, and what was found.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use sidewatch_event::Finding;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::{show, terminal};
use crate::admin;
use crate::config::ConfigFile;
use crate::demo::player::{self, Played, Target};
use crate::demo::{Outcome, SEED, Setup, Story, outcome, setup, story, tap};
use crate::pipeline::{Pipeline, Status};

/// How to show it.
#[derive(Debug, Args)]
#[command(after_help = "\
Nothing leaves this machine: everything listens on loopback, and all addresses in the story are
documentation addresses. Every detection rule in the rules directory takes part. The directory keeps the configuration, the outputs and nginx snippets
with which your own nginx can send to this very process while it runs.")]
pub(super) struct DemoArguments {
    /// Where configuration and outputs go [default: target/demo of the build, else a temporary directory]
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// Where the mirror listens; another port is chosen when this one is in use. Port 0 takes free ports throughout
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8787")]
    listen: SocketAddr,
    /// Fewer or more people at the site
    #[arg(long, value_name = "NUMBER", default_value_t = story::PEOPLE, value_parser = clap::value_parser!(u8).range(24..=250))]
    people: u8,
    /// End after the report instead of waiting for your own traffic; fails when something was lost or missed
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &DemoArguments) -> Result<u8> {
    let directory = arguments
        .directory
        .clone()
        .unwrap_or_else(setup::default_directory);
    let setup = Setup::prepare(&directory, arguments.listen)?;
    let mut config = ConfigFile::load(&setup.config)?;
    // A new story each time: nothing of the last one is to be remembered.
    config.store.enabled = false;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let good = runtime.block_on(serve(&setup, &config, arguments))?;
    Ok(u8::from(!good))
}

/// Whether nothing was lost or missed.
async fn serve(setup: &Setup, config: &ConfigFile, arguments: &DemoArguments) -> Result<bool> {
    let (tap, mut findings) = tap::findings();
    let pipeline = Pipeline::build_with(config, vec![tap])?;
    let status = Arc::clone(&pipeline.status);
    introduce(setup, &status)?;
    let admin = match config.admin.listen {
        Some(address) => Some(tokio::spawn(admin::serve(
            admin::bind(address).await?,
            Arc::clone(&status),
        ))),
        None => None,
    };
    let (stop, mut stopped) = watch::channel(false);
    let running =
        tokio::spawn(pipeline.run(async move { drop(stopped.wait_for(|stop| *stop).await) }));
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let good = tokio::select! {
        good = demonstrate(setup, &status, &mut findings, arguments) => good?,
        _ = interrupt.recv() => true,
        _ = terminate.recv() => true,
    };
    stop.send_replace(true);
    findings.close();
    running.await.context("the pipeline broke")??;
    if let Some(admin) = admin {
        admin.abort();
    }
    terminal::note(&format!(
        "ended; the outputs stay in {}",
        setup.directory.display()
    ));
    Ok(good)
}

/// Plays, reports, and, unless once, shows what else is found until stopped.
async fn demonstrate(
    setup: &Setup,
    status: &Status,
    findings: &mut mpsc::Receiver<Arc<Finding>>,
    arguments: &DemoArguments,
) -> Result<bool> {
    let story = Story::tell(SEED, arguments.people, sidewatch_sources::identity::now());
    let played = play(setup, status, &story).await?;
    let found: Vec<_> = std::iter::from_fn(|| findings.try_recv().ok()).collect();
    let outcome = Outcome::new(&story.incidents, &found, status);
    terminal::print(&report(&played, status, &outcome)?)?;
    terminal::print(&whereabouts(setup, arguments)?)?;
    let good = outcome.is_good() && played.refused == 0;
    if !arguments.once {
        while let Some(finding) = findings.recv().await {
            terminal::print(&format!("\n{}\n", show::finding(&finding)))?;
        }
    }
    Ok(good)
}

async fn play(setup: &Setup, status: &Status, story: &Story) -> Result<Played> {
    let total = story.requests.len() as u64;
    let style = ProgressStyle::with_template("playing {bar:40} {pos}/{len} requests");
    let bar =
        ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    if bar.is_hidden() {
        terminal::note(&format!("playing {total} requests"));
    }
    let mut said = 0;
    let target = Target {
        mirror: setup.mirror,
        syslog: setup.syslog,
        token: &setup.token,
    };
    let played = player::play(&story.requests, &target, status, |sent| {
        bar.set_position(sent);
        let quarter = sent * 4 / total.max(1);
        if bar.is_hidden() && quarter > said {
            said = quarter;
            terminal::note(&format!("  {sent} of {total}"));
        }
    })
    .await
    .context("cannot play to the mirror")?;
    bar.finish_and_clear();
    Ok(played)
}

fn introduce(setup: &Setup, status: &Status) -> Result<()> {
    let mut text = String::new();
    writeln!(text, "configuration  {}", setup.config.display())?;
    writeln!(
        text,
        "mirror         http://{} (nginx mirrors requests here)",
        setup.mirror
    )?;
    writeln!(
        text,
        "access log     udp {} (nginx logs here by syslog)",
        setup.syslog
    )?;
    for rule in &status.rules {
        writeln!(text, "rule           {} {}", rule.id, rule.version)?;
    }
    for note in &setup.notes {
        writeln!(text, "note           {note}")?;
    }
    terminal::print(&text)?;
    Ok(())
}

fn report(played: &Played, status: &Status, outcome: &Outcome<'_>) -> Result<String> {
    let mut text = format!("\n{}", outcome::traffic(played, status, outcome));
    if played.refused > 0 {
        writeln!(
            text,
            "  {} requests were not answered with 204",
            played.refused
        )?;
    }
    let kinds = outcome.by_kind();
    let table = show::summary(
        kinds
            .iter()
            .map(|(kind, (incidents, users))| (*kind, *incidents, *users)),
    );
    writeln!(
        text,
        "\nfindings by kind\n{table}\n{}",
        outcome.comparison()
    )?;
    for (title, finding) in outcome.most_telling() {
        writeln!(text, "{title}\n{}\n", show::finding(finding))?;
    }
    Ok(text)
}

fn whereabouts(setup: &Setup, arguments: &DemoArguments) -> Result<String> {
    let mut text = String::new();
    let nginx = setup.directory.join("nginx");
    writeln!(text, "findings       {}", setup.findings.display())?;
    writeln!(text, "all events     {}", setup.events.display())?;
    if arguments.once {
        return Ok(text);
    }
    writeln!(
        text,
        "metrics        http://{}/metrics /readyz /livez",
        setup.admin
    )?;
    writeln!(text, "\nyour own nginx: in `http`")?;
    for name in ["sidewatch-upstream.conf", "sidewatch-log-format.conf"] {
        writeln!(text, "    include {};", nginx.join(name).display())?;
    }
    writeln!(text, "and in a `server`")?;
    writeln!(
        text,
        "    include {};",
        nginx.join("sidewatch-mirror.conf").display()
    )?;
    writeln!(
        text,
        "    mirror /sidewatch-mirror; mirror_request_body off;"
    )?;
    writeln!(
        text,
        "    access_log syslog:server={},tag=nginx sidewatch;",
        setup.syslog
    )?;
    writeln!(
        text,
        "\nrunning; findings about your traffic appear here. Ctrl-C ends it."
    )?;
    Ok(text)
}
