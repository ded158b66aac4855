//! `sidewatch rule …`: writing and looking into rules.

mod build;
mod inspect;
mod new;

use anyhow::Result;
use clap::{Args, Subcommand};

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
    /// Show what a component is: interface, size, digest, description
    Inspect(inspect::InspectArguments),
}

pub(super) fn run(arguments: &RuleArguments) -> Result<u8> {
    match &arguments.verb {
        RuleVerb::New(arguments) => new::run(arguments),
        RuleVerb::Build(arguments) => build::run(arguments),
        RuleVerb::Inspect(arguments) => inspect::run(arguments),
    }
}
