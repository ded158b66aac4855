//! `sidewatch doctor FILE`: is everything as it should be, here and now?
//!
//! Each line is one check: `ok`, `warn` (works, but look at it) or `fail`.

mod files;
mod nginx;
mod store;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use clap::Args;
use sidewatch_sources::SourceSettings;

use super::rules::lines;
use super::store_access::{ask, is_running};
use super::terminal;
use crate::admin::control::ControlRequest;
use crate::config::ConfigFile;
use crate::lifecycle::request::RulesRequest;
use crate::pipeline::check::check;
use crate::pipeline::durable;

/// Clocks of file systems and ours may differ by so much.
const CLOCK_SLACK: Duration = Duration::from_secs(60);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// The configuration file
    file: PathBuf,
}

/// What was found so far.
#[derive(Default)]
struct Findings {
    text: String,
    failed: bool,
}

impl Findings {
    fn say(&mut self, verdict: &str, what: &str, detail: &str) {
        self.text.push_str(&format!(
            "{verdict:<5} {what:<12} {}\n",
            terminal::visible(detail)
        ));
    }

    fn ok(&mut self, what: &str, detail: &str) {
        self.say("ok", what, detail);
    }

    fn warn(&mut self, what: &str, detail: &str) {
        self.say("warn", what, detail);
    }

    fn fail(&mut self, what: &str, detail: &str) {
        self.failed = true;
        self.say("fail", what, detail);
    }

    fn judge(&mut self, what: &str, result: Result<String, String>) {
        match result {
            Ok(detail) => self.ok(what, &detail),
            Err(detail) => self.fail(what, &detail),
        }
    }
}

pub(super) fn run(arguments: &DoctorArguments) -> Result<u8> {
    let config = ConfigFile::load(&arguments.file)?;
    let mut findings = Findings::default();
    findings.ok(
        "config",
        &format!("{} is well formed", arguments.file.display()),
    );
    findings.judge(
        "environment",
        check(&config)
            .map(|found| format!("databases and rules load: {} parts", found.lines().count()))
            .map_err(|error| error.to_string()),
    );
    files::permissions(&mut findings, &config);
    files::logs(&mut findings, &config);
    clock(&mut findings, &config);
    let running = is_running(&config);
    if running {
        findings.ok("sidecar", "runs");
    } else {
        findings.warn("sidecar", "does not run: inputs are not checked");
    }
    store::check(&mut findings, &config, running);
    if running {
        rules(&mut findings, &config);
        inputs(&mut findings, &config);
        nginx::check(&mut findings, &config);
    }
    terminal::print(&findings.text)?;
    Ok(u8::from(findings.failed))
}

/// Files of the future mean that the clock went back.
fn clock(findings: &mut Findings, config: &ConfigFile) {
    let now = SystemTime::now();
    let newest = newest_file(&durable::directory(config.directory()));
    match newest {
        Some(newest) if newest > now + CLOCK_SLACK => findings.fail(
            "clock",
            "the store was written in the future: the clock went back; is it synchronised?",
        ),
        _ if now < SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000) => {
            findings.fail("clock", "it stands years in the past; is it synchronised?");
        }
        _ => findings.ok("clock", "plausible"),
    }
}

fn newest_file(directory: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(directory).ok()?;
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok()?.modified().ok())
        .max()
}

/// Rules that are out, or not what lies in the rules directory.
fn rules(findings: &mut Findings, config: &ConfigFile) {
    let answer = ask(config, &ControlRequest::Rules(RulesRequest::List));
    let lines = match answer.and_then(|answer| lines(&answer)) {
        Ok(lines) => lines,
        Err(error) => return findings.fail("rules", &error.to_string()),
    };
    for line in &lines {
        let Some(refused) = &line.refused else {
            continue;
        };
        let reason = format!("{}: {}", refused.stage, refused.reason);
        if line.version.is_empty() {
            findings.fail("rules", &format!("{} is out: {reason}", line.id));
        } else {
            let (id, version) = (&line.id, &line.version);
            findings.warn("rules", &format!("{id} stays {version}; refused: {reason}"));
        }
    }
    if lines.iter().all(|line| line.refused.is_none()) {
        findings.ok("rules", &format!("{} in force", lines.len()));
    }
}

/// Whether nginx, or we in its place, can reach the mirror.
fn inputs(findings: &mut Findings, config: &ConfigFile) {
    for source in &config.sources {
        let SourceSettings::Mirror(settings) = &source.settings else {
            continue;
        };
        let what = format!("mirror {}", source.id);
        if let Some(address) = settings.listen.filter(|address| address.port() != 0) {
            findings.judge(
                &what,
                TcpStream::connect_timeout(&address, CONNECT)
                    .map(|_| format!("{address} can be reached, as nginx does"))
                    .map_err(|error| format!("{address}: {error}")),
            );
        }
        if let Some(path) = &settings.socket {
            findings.judge(
                &what,
                std::os::unix::net::UnixStream::connect(path)
                    .map(|_| {
                        format!(
                            "{} can be reached; nginx' user needs to write to it",
                            path.display()
                        )
                    })
                    .map_err(|error| format!("{}: {error}", path.display())),
            );
        }
    }
}
