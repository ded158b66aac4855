//! `sidewatch rule build CRATE`: cargo, then the component format.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::cli::terminal;
use crate::config::TextError;

/// What to build.
#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// Directory of the rule's crate
    #[arg(default_value = ".", value_name = "DIRECTORY")]
    directory: PathBuf,
    /// Where to write the component [default: target/<id>.wasm in the crate]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

const TARGET: &str = "wasm32-unknown-unknown";

pub(super) fn run(arguments: &BuildArguments) -> Result<u8> {
    let manifest = arguments.directory.join("Cargo.toml");
    let id = crate_name(&manifest)?;
    let target = arguments.directory.join("target");
    let status = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--features",
            "component",
            "--target",
            TARGET,
            "--manifest-path",
        ])
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()
        .context("cannot run cargo; is Rust installed?")?;
    if !status.success() {
        bail!("cargo failed; if it misses the target, run: rustup target add {TARGET}");
    }
    let module = target
        .join(TARGET)
        .join("release")
        .join(format!("{}.wasm", id.replace('-', "_")));
    let bytes = std::fs::read(&module).with_context(|| {
        format!(
            "cargo built no {}; the crate needs crate-type = [\"cdylib\", \"rlib\"]",
            module.display()
        )
    })?;
    let component = sidewatch_componentize::componentize(&bytes)?;
    let output = arguments
        .output
        .clone()
        .unwrap_or_else(|| target.join(format!("{id}.wasm")));
    write(&output, &component)?;
    terminal::print(&format!(
        "{} ({} bytes)\n",
        output.display(),
        component.len()
    ))?;
    Ok(0)
}

pub(in crate::cli) fn crate_name(manifest: &Path) -> Result<String> {
    let text = std::fs::read_to_string(manifest)
        .with_context(|| format!("cannot read {}", manifest.display()))?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|error| TextError::from_toml(&manifest.display().to_string(), &text, &error))?;
    table
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("{} has no package name", manifest.display()))
}

/// Through a temporary file, so that a running sidecar never sees half of it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".part");
    let temporary = PathBuf::from(temporary);
    std::fs::write(&temporary, bytes)
        .with_context(|| format!("cannot write {}", temporary.display()))?;
    std::fs::rename(&temporary, path).with_context(|| format!("cannot write {}", path.display()))
}
