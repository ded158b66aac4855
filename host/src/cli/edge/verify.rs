//! `sidewatch edge verify DIRECTORY`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cli::terminal;

/// What to verify.
#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The application, as `sidewatch edge build` wrote it
    directory: PathBuf,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<u8> {
    let listing = sidewatch_edge::verify(&arguments.directory)?;
    terminal::print(&super::build::summary(&listing))?;
    Ok(0)
}
