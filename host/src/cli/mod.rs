//! The command line: one file per verb.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done but some input could
//! not be read, 78 wrong configuration (`EX_CONFIG` of `sysexits.h`).

mod completions;
mod demo;
mod dlq;
mod doctor;
mod edge;
mod evaluate;
mod explain;
mod feed;
mod output;
mod overview;
mod pack;
pub mod prepare;
mod reach;
pub mod replay;
mod rule;
mod rules;
mod run_verb;
pub mod show;
mod store_access;
mod syslog_output;
pub mod tally;
mod tap;
mod terminal;
mod test_verb;
mod top;
mod usage;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use sidewatch_engine::compile_worker::work;
use sidewatch_enrich::EnrichError;

use crate::config::ConfigError;
use crate::config::format::FormatError;
use crate::config::pack::PackError;
use crate::config::rules::RulesError;
use crate::lifecycle::compiling;
use crate::pipeline::PipelineError;
use crate::telemetry;
use usage::UsageError;

/// Exit code for arguments that make no sense.
const USAGE: u8 = 2;
/// Exit code for input that could not all be read.
pub const INCOMPLETE: u8 = 3;
/// Exit code for a configuration that cannot be used.
pub const CONFIG: u8 = 78;

/// Sidewatch: behaviour analytics beside nginx, without touching the application
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "\
First steps:
  sidewatch demo
      an invented site with planted incidents, and what is found of them
  sidewatch replay --pack nginx --format findings /var/log/nginx/access.log
      who shares an account, who travels too fast, in a log you already have
  sidewatch overview --pack archivematica /var/log/nginx/access.log
      who did what, from where, when; --html PAGE for a page to send on
  sidewatch explain --pack mattermost 'ONE LOG LINE'
      every step: parsed fields, enrichment, mapping, verdict of each rule
  sidewatch validate /etc/sidewatch/sidewatch.toml
  sidewatch run /etc/sidewatch/sidewatch.toml"
)]
pub struct Arguments {
    /// Log filter, such as `debug` or `sidewatch_sinks=debug,info` [default: info; or SIDEWATCH_LOG]
    #[arg(long, global = true, value_name = "FILTER")]
    log: Option<String>,
    /// Log as JSON lines
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play five days of an invented site through the sidecar and show what is found
    Demo(demo::DemoArguments),
    /// Run the sidecar: take events, run rules, deliver findings
    Run(run_verb::RunArguments),
    /// Read log files (plain, .gz, `-` for standard input) through the same pipeline and write the result
    Replay(replay::ReplayArguments),
    /// Show who did what, from where and when, in log files
    Overview(overview::OverviewArguments),
    /// Check a configuration without starting anything
    Validate(validate::ValidateArguments),
    /// Check configuration, databases, store, permissions, clock and whether everything adds up
    Doctor(doctor::DoctorArguments),
    /// Look at records a sink refused for good, offer them again, remove them
    Dlq(dlq::DlqArguments),
    /// Show every step one log line goes through
    Explain(explain::ExplainArguments),
    /// Judge the detection rules by labelled traffic, next to plain ones in use elsewhere
    Evaluate(evaluate::EvaluateArguments),
    /// Write and test packs: what the requests of an application mean
    Pack(pack::PackArguments),
    /// Write, measure, sign and look into rules
    Rule(rule::RuleArguments),
    /// Show and change the rules in force in a running sidecar
    Rules(rules::RulesArguments),
    /// Show the rules of a running sidecar live: rate, cost, failures
    Top(top::TopArguments),
    /// Show live events and findings of a running sidecar
    Tap(tap::TapArguments),
    /// Run the test vectors of rules and the table tests of packs
    Test(test_verb::TestArguments),
    /// Compile the component on standard input: for the sidecar itself
    #[command(hide = true)]
    CompileRule {
        /// Bytes of address space
        memory_bytes: u64,
        /// Seconds of processor time
        seconds: u64,
    },
    /// Write the same rules as an application for the edge (Spin)
    Edge(edge::EdgeArguments),
    /// Write shell completions to standard output
    Completions(completions::CompletionArguments),
}

/// Runs the verb and says how it ended.
#[must_use]
pub fn run(arguments: Arguments) -> ExitCode {
    let Arguments {
        log,
        log_json,
        verb,
    } = arguments;
    if let Err(message) = telemetry::start(log.as_deref(), log_json) {
        terminal::note(&format!("sidewatch: {message}"));
        return ExitCode::from(USAGE);
    }
    compiling::register();
    let ended = match verb {
        Verb::CompileRule {
            memory_bytes,
            seconds,
        } => Ok(work(memory_bytes, seconds)),
        Verb::Demo(arguments) => demo::run(&arguments),
        Verb::Run(arguments) => run_verb::run(&arguments),
        Verb::Replay(arguments) => replay::run(&arguments),
        Verb::Overview(arguments) => overview::run(&arguments),
        Verb::Validate(arguments) => validate::run(&arguments),
        Verb::Doctor(arguments) => doctor::run(&arguments),
        Verb::Dlq(arguments) => dlq::run(&arguments),
        Verb::Explain(arguments) => explain::run(&arguments),
        Verb::Evaluate(arguments) => evaluate::run(&arguments),
        Verb::Pack(arguments) => pack::run(&arguments),
        Verb::Rule(arguments) => rule::run(&arguments),
        Verb::Rules(arguments) => rules::run(&arguments),
        Verb::Top(arguments) => top::run(&arguments),
        Verb::Tap(arguments) => tap::run(&arguments),
        Verb::Test(arguments) => test_verb::run(&arguments),
        Verb::Edge(arguments) => edge::run(&arguments),
        Verb::Completions(arguments) => completions::run(&arguments),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal::complain(&error);
            if error.is::<UsageError>() {
                terminal::note("\nFor more information, try '--help'.");
                return ExitCode::from(USAGE);
            }
            ExitCode::from(if is_configuration(&error) { CONFIG } else { 1 })
        }
    }
}

/// Whether the operator has to change what was configured: a text, a name, a
/// parameter, a file it names. Sockets that are taken and disks that are full
/// are none of it.
fn is_configuration(error: &anyhow::Error) -> bool {
    let broken = |error: &PipelineError| {
        matches!(
            error,
            PipelineError::NoSource
                | PipelineError::Rules(_)
                | PipelineError::Trust(_)
                | PipelineError::Enrich(_)
                | PipelineError::Pack(_)
                | PipelineError::Format { .. }
                | PipelineError::Request { .. }
                | PipelineError::Sink { .. }
        )
    };
    error.is::<ConfigError>()
        || error.is::<PackError>()
        || error.is::<RulesError>()
        || error.is::<EnrichError>()
        || error.is::<FormatError>()
        || error.downcast_ref::<PipelineError>().is_some_and(broken)
}
