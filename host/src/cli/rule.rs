//! `sidewatch rule …`: writing and looking into rules.

mod bench;
mod build;
mod inspect;
mod keygen;
mod new;
mod sign;

use anyhow::Result;
pub(super) use build::crate_name;
use clap::{Args, Subcommand};
use sidewatch_engine::{Engine, EngineSettings, RuleLimits};

/// What to do with rules.
#[derive(Debug, Args)]
pub(crate) struct RuleArguments {
    #[command(subcommand)]
    verb: RuleVerb,
}

#[derive(Debug, Subcommand)]
enum RuleVerb {
    /// Write a new detection rule: a crate that builds, with a test
    New(new::NewArguments),
    /// Build a rule crate into a component
    Build(build::BuildArguments),
    /// Show what a component is: interface, imports, size, digest, signature, description
    Inspect(inspect::InspectArguments),
    /// Measure what an event costs, against another version if there is one
    Bench(bench::BenchArguments),
    /// Make a pair of keys for signing rules
    Keygen(keygen::KeygenArguments),
    /// Sign components, so that sidecars know who made them
    Sign(sign::SignArguments),
}

/// What a rule may use while it is tried on the command line.
#[derive(Debug, Args)]
pub(super) struct LimitArguments {
    /// MiB of memory the rule may have; rules in Python or JavaScript need more
    #[arg(long, default_value_t = 16, value_name = "NUMBER")]
    memory_mib: usize,
    /// Milliseconds a frame may take
    #[arg(long, default_value_t = 10, value_name = "NUMBER")]
    frame_ms: u64,
}

impl LimitArguments {
    pub(super) fn limits(&self) -> RuleLimits {
        RuleLimits {
            memory_bytes: self.memory_mib << 20,
            frame_milliseconds: self.frame_ms,
            // What it costs is to be seen, not to be judged.
            event_microseconds: u64::MAX,
            ..RuleLimits::default()
        }
    }
}

/// An engine for looking at components, whatever their size.
pub(super) fn engine(count_instructions: bool) -> Result<Engine> {
    Ok(Engine::new(&EngineSettings {
        largest_component: 128 << 20,
        count_instructions,
        ..EngineSettings::default()
    })?)
}

pub(super) fn run(arguments: &RuleArguments) -> Result<u8> {
    match &arguments.verb {
        RuleVerb::New(arguments) => new::run(arguments),
        RuleVerb::Build(arguments) => build::run(arguments),
        RuleVerb::Inspect(arguments) => inspect::run(arguments),
        RuleVerb::Bench(arguments) => bench::run(arguments),
        RuleVerb::Keygen(arguments) => keygen::run(arguments),
        RuleVerb::Sign(arguments) => sign::run(arguments),
    }
}
