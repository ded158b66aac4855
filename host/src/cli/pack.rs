//! `sidewatch pack …`: packs of one's own.

pub(super) mod cases;
mod new;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::config::Pack;

use super::terminal;

/// What to do with packs.
#[derive(Debug, Args)]
pub(crate) struct PackArguments {
    #[command(subcommand)]
    verb: PackVerb,
}

#[derive(Debug, Subcommand)]
enum PackVerb {
    /// Show the packs built into this program
    List,
    /// Write a pack for an application of your own: a table that works, with tests
    New(new::NewArguments),
    /// Run the table tests of a pack: every `tests/*.toml` in its directory
    Test(cases::TestArguments),
}

pub(super) fn run(arguments: &PackArguments) -> Result<u8> {
    match &arguments.verb {
        PackVerb::List => {
            let mut text = String::new();
            for name in Pack::names() {
                let pack = Pack::load(name)?;
                text.push_str(&format!("{name:<16} {}\n", pack.title));
            }
            terminal::print(&text)?;
            Ok(0)
        }
        PackVerb::New(arguments) => new::run(arguments),
        PackVerb::Test(arguments) => cases::run(arguments),
    }
}
