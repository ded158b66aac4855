//! `sidewatch completions SHELL`

use anyhow::Result;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Arguments, terminal};

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionArguments {
    /// bash, zsh, fish, elvish or powershell
    shell: Shell,
}

pub(super) fn run(arguments: &CompletionArguments) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut Arguments::command(),
        "sidewatch",
        &mut script,
    );
    terminal::print(&String::from_utf8_lossy(&script))?;
    Ok(0)
}
