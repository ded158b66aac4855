//! `sidewatch rule keygen NAME`: a pair of keys for signing rules.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use minisign::KeyPair;

use super::sign::Password;
use crate::cli::terminal;

/// Where to write the keys.
#[derive(Debug, Args)]
pub(crate) struct KeygenArguments {
    /// Name of the files: NAME.key is the secret one, NAME.pub the public one
    #[arg(default_value = "sidewatch-rules", value_name = "NAME")]
    name: PathBuf,
    #[command(flatten)]
    password: Password,
    /// Protect the secret key with nothing but its file's mode
    #[arg(long, conflicts_with = "password_file")]
    no_password: bool,
}

pub(super) fn run(arguments: &KeygenArguments) -> Result<u8> {
    let file = |extension: &str| {
        let mut path = arguments.name.as_os_str().to_owned();
        path.push(extension);
        PathBuf::from(path)
    };
    let (secret, public) = (file(".key"), file(".pub"));
    let pair = if arguments.no_password {
        KeyPair::generate_unencrypted_keypair()
    } else {
        // Without a file, the password is asked for on the terminal.
        let password = arguments.password.read(", or --no-password")?;
        KeyPair::generate_encrypted_keypair(password)
    };
    let pair = pair.context("no keys were made")?;
    let comment = Some("secret key for rules, made by sidewatch");
    let secret_text = pair.sk.to_box(comment)?;
    let public_text = pair.pk.to_box()?;
    write_new(&secret, &secret_text.into_string(), 0o600)?;
    write_new(&public, &public_text.into_string(), 0o644)?;
    terminal::print(&format!(
        "{} (keep it secret)\n{}\n\nTrust it in the sidecar's configuration:\n\n[trust]\nkeys = [\"{}\"]\n",
        secret.display(),
        public.display(),
        pair.pk.to_base64()
    ))?;
    Ok(0)
}

/// Never over an existing file: a key that is gone cannot be made again.
fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let write = || options.open(path)?.write_all(text.as_bytes());
    write().with_context(|| format!("cannot write {}", path.display()))
}
