//! `sidewatch rule new NAME`: a crate that builds, with a test that passes.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::cli::terminal;
use crate::cli::usage::rule_name;

/// What to write.
#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// Name of the rule, kebab-case: crate, file and metric label
    #[arg(value_parser = rule_name)]
    name: String,
    /// Where to make the crate's directory
    #[arg(long, default_value = ".", value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Path of rule-sdk [default: searched for upwards as guest-rules/rule-sdk]
    #[arg(long, value_name = "DIRECTORY")]
    sdk: Option<PathBuf>,
}

const MANIFEST: &str = include_str!("template/Cargo.toml.in");
const SOURCE: &str = include_str!("template/lib.rs.in");

pub(super) fn run(arguments: &NewArguments) -> Result<u8> {
    let name = arguments.name.as_str();
    let sdk = match &arguments.sdk {
        Some(path) => path.clone(),
        None => find_sdk(&arguments.directory)?,
    };
    let sdk = sdk
        .canonicalize()
        .with_context(|| format!("cannot find rule-sdk at {}", sdk.display()))?;
    let directory = arguments.directory.join(name);
    if directory.exists() {
        bail!("{} exists already", directory.display());
    }
    std::fs::create_dir_all(directory.join("src"))
        .with_context(|| format!("cannot make {}", directory.display()))?;
    let type_name: String = name.split('-').map(capitalised).collect();
    let fill = |template: &str| {
        template
            .replace("{{name}}", name)
            .replace("{{type}}", &type_name)
            .replace("{{sdk}}", &sdk.display().to_string())
    };
    for (file, template) in [("Cargo.toml", MANIFEST), ("src/lib.rs", SOURCE)] {
        let path = directory.join(file);
        std::fs::write(&path, fill(template))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    terminal::print(&format!(
        "made {directory}\n  test it    cargo test --manifest-path {directory}/Cargo.toml\n  build it   sidewatch rule build {directory}\n  look       sidewatch rule inspect {directory}/target/{name}.wasm\n",
        directory = directory.display()
    ))?;
    Ok(0)
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + letters.as_str()
    })
}

fn find_sdk(from: &Path) -> Result<PathBuf> {
    let start = from
        .canonicalize()
        .with_context(|| format!("cannot find {}", from.display()))?;
    start
        .ancestors()
        .map(|parent| parent.join("guest-rules/rule-sdk"))
        .find(|path| path.join("Cargo.toml").is_file())
        .context("rule-sdk is not above this directory; name it with --sdk")
}
