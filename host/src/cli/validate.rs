//! `sidewatch validate FILE`: everything that can be wrong with a
//! configuration, found without binding a socket.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;

use super::terminal;
use crate::config::ConfigFile;
use crate::config::control::read_token;
use crate::pipeline::check::check;

/// What to check.
#[derive(Debug, Args)]
pub(crate) struct ValidateArguments {
    /// The configuration file
    file: PathBuf,
    /// Check the text only: open no database, load no rule
    #[arg(long)]
    no_environment: bool,
}

pub(super) fn run(arguments: &ValidateArguments) -> Result<u8> {
    let config = ConfigFile::load(&arguments.file)?;
    if !arguments.no_environment {
        let summary =
            check(&config).context("the configuration is well formed, but cannot be used here")?;
        terminal::print(&summary)?;
        if let Some(token_file) = &config.control.token_file {
            read_token(token_file)?;
        }
    }
    terminal::print(&format!(
        "{} is valid: {} sources, {} sinks\n",
        arguments.file.display(),
        config.sources.len(),
        config.sinks.len()
    ))?;
    Ok(0)
}
