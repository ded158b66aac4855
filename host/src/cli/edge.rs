//! `sidewatch edge …`: the same rules at the edge, as a Spin application.

mod build;
mod verify;

use anyhow::Result;
use clap::{Args, Subcommand};

/// What to do with the edge application.
#[derive(Debug, Args)]
pub(crate) struct EdgeArguments {
    #[command(subcommand)]
    verb: EdgeVerb,
}

#[derive(Debug, Subcommand)]
enum EdgeVerb {
    /// Write a Spin application with a pack's rules: spin.toml, the edge component, the rules byte for byte
    Build(Box<build::BuildArguments>),
    /// Compare spin.toml and every component of an application with its listing
    Verify(verify::VerifyArguments),
}

pub(super) fn run(arguments: &EdgeArguments) -> Result<u8> {
    match &arguments.verb {
        EdgeVerb::Build(arguments) => build::run(arguments),
        EdgeVerb::Verify(arguments) => verify::run(arguments),
    }
}
