//! `sidewatch rule sign FILE.wasm`: a detached signature beside the component.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use minisign::{PublicKey, SecretKey, SecretKeyBox};
use sidewatch_engine::signature::{SignaturePolicy, Trust, signature_path};
use sidewatch_engine::{Engine, RuleLimits};

use super::build::write;
use super::engine;
use crate::cli::terminal;
use crate::cli::usage::{one_line, usage};

/// What to sign, and with which key.
#[derive(Debug, Args)]
pub(crate) struct SignArguments {
    /// The components
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The secret key, as `sidewatch rule keygen` or minisign wrote it
    #[arg(long, short, value_name = "FILE")]
    key: PathBuf,
    #[command(flatten)]
    password: Password,
    /// Comment the signature covers [default: the rule's name and version]
    #[arg(long, value_name = "TEXT", value_parser = one_line)]
    comment: Option<String>,
}

/// Where the secret key's password comes from.
#[derive(Debug, Args)]
pub(crate) struct Password {
    /// File with the secret key's password [default: asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Password {
    /// The first line of the file; without a file it has to be asked for,
    /// on a terminal. `instead` is what else may be done without one.
    pub(super) fn read(&self, instead: &str) -> Result<Option<String>> {
        let Some(path) = &self.password_file else {
            // Where the password would be asked for.
            return match File::open("/dev/tty") {
                Ok(_) => Ok(None),
                Err(_) => Err(usage(format!(
                    "there is no terminal to ask for the password on; give --password-file FILE{instead}"
                ))),
            };
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Some(text.lines().next().unwrap_or_default().to_owned()))
    }
}

pub(super) fn run(arguments: &SignArguments) -> Result<u8> {
    let secret = secret_key(&arguments.key, &arguments.password)?;
    let public = PublicKey::from_secret_key(&secret)?;
    let engine = engine(false)?;
    for file in &arguments.files {
        let bytes = engine
            .read(file)
            .with_context(|| file.display().to_string())?;
        let comment = match &arguments.comment {
            Some(text) => text.clone(),
            None => describe(&engine, &bytes).with_context(|| file.display().to_string())?,
        };
        let signature = minisign::sign(
            Some(&public),
            &secret,
            bytes.as_slice(),
            Some(&comment),
            Some("signature by sidewatch rule sign"),
        );
        let text = signature?.into_string();
        // Whoever signs should hear now that nobody could check it.
        Trust::new(SignaturePolicy::Required, &[public.to_base64()])?.check(&bytes, Some(&text))?;
        let path = signature_path(file);
        write(&path, text.as_bytes())?;
        terminal::print(&format!("{} ({comment})\n", path.display()))?;
    }
    Ok(0)
}

fn secret_key(path: &Path, password: &Password) -> Result<SecretKey> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let boxed = SecretKeyBox::from_string(&text)?;
    let unprotected = SecretKeyBox::from_string(&text)?;
    let key = match unprotected.into_unencrypted_secret_key() {
        Ok(key) => Ok(key),
        Err(_) => boxed.into_secret_key(password.read("")?),
    };
    key.with_context(|| format!("cannot use the secret key {}", path.display()))
}

/// Name and version, so that people see what a signature is for.
fn describe(engine: &Engine, bytes: &[u8]) -> Result<String> {
    let loaded = engine.load(bytes)?;
    let none = serde_json::Value::Object(serde_json::Map::new());
    let described = loaded
        .detection(&none, RuleLimits::default())
        .map(|rule| format!("{} {}", rule.descriptor.id, rule.descriptor.version));
    let fits = |text: &String| !text.chars().any(char::is_control);
    Ok(described
        .ok()
        .filter(fits)
        .unwrap_or_else(|| format!("a {} rule", loaded.kind.as_str())))
}
