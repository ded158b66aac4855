//! `sidewatch pack new NAME`: a pack that works, to be changed.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::cli::terminal;
use crate::cli::usage::pack_name;

const FILES: [(&str, &str); 3] = [
    ("pack.toml", include_str!("template/pack.toml.in")),
    ("mapping.toml", include_str!("template/mapping.toml.in")),
    (
        "tests/requests.toml",
        include_str!("template/requests.toml.in"),
    ),
];

/// The pack to write.
#[derive(Debug, Args)]
pub(super) struct NewArguments {
    /// Name of the pack, and of the directory it is written to
    #[arg(value_parser = pack_name)]
    name: String,
    /// Directory to write to [default: ./NAME]
    #[arg(long, short, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

pub(super) fn run(arguments: &NewArguments) -> Result<u8> {
    let name = &arguments.name;
    let directory = arguments
        .output
        .clone()
        .unwrap_or_else(|| PathBuf::from(name));
    if directory.exists() {
        bail!("{} exists already", directory.display());
    }
    std::fs::create_dir_all(directory.join("tests"))
        .with_context(|| format!("cannot make {}", directory.display()))?;
    for (file, text) in FILES {
        write(&directory.join(file), &text.replace("{{name}}", name))?;
    }
    let shown = directory.display();
    terminal::print(&format!(
        "written: {shown}\n\
         try it:  sidewatch pack test {shown}\n         \
         sidewatch explain --pack {shown} 'ONE LOG LINE'\n"
    ))?;
    Ok(0)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
