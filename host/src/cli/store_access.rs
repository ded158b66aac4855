//! Reaching a store from the command line: through the running sidecar, or by
//! opening it when none runs.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::admin::control::{self, ControlRequest};
use crate::config::ConfigFile;
use crate::pipeline::durable;

/// How long a running sidecar may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(160);

/// Whether a sidecar runs on this configuration's data directory.
pub(super) fn is_running(config: &ConfigFile) -> bool {
    UnixStream::connect(control::socket(config.directory())).is_ok()
}

/// Asks the running sidecar, else the store itself.
///
/// # Errors
/// Neither can be reached, or the request was refused.
pub(super) fn ask(config: &ConfigFile, request: &ControlRequest) -> Result<Value> {
    let answer = match UnixStream::connect(control::socket(config.directory())) {
        Ok(stream) => {
            stream.set_read_timeout(Some(PATIENCE))?;
            converse(stream, request).context("the running sidecar does not answer")?
        }
        Err(_) => by_ourselves(config, request)?,
    };
    refused(answer)
}

/// A refusal as an error.
///
/// # Errors
/// The answer says why.
pub(super) fn refused(answer: Value) -> Result<Value> {
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        bail!("{error}");
    }
    Ok(answer)
}

/// One request and its answer.
pub(super) fn converse(mut stream: impl Read + Write, request: &ControlRequest) -> Result<Value> {
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

fn by_ourselves(config: &ConfigFile, request: &ControlRequest) -> Result<Value> {
    use std::os::unix::fs::MetadataExt as _;
    if let Some(data) = config
        .data_directory
        .as_deref()
        .filter(|_| config.store.enabled)
    {
        let Ok(found) = std::fs::metadata(durable::directory(data)) else {
            bail!("not run yet: nothing is kept in {} so far", data.display());
        };
        // What we write there the sidecar could not read.
        let owner = nix::unistd::Uid::from_raw(found.uid());
        if owner != nix::unistd::geteuid() {
            let user = nix::unistd::User::from_uid(owner).ok().flatten();
            let user = user.map_or_else(|| format!("#{owner}"), |user| user.name);
            bail!(
                "{} belongs to another user, whom the sidecar runs as; ask as that one: sudo -u {user} sidewatch …",
                data.display()
            );
        }
    }
    let Some((store, _)) = durable::open(config)? else {
        bail!("nothing is kept: set `data_directory` in the configuration");
    };
    let (committer, running) = store.start(|_| {})?;
    let answer = control::answer(&store, request);
    drop(committer);
    store.close();
    running.wait();
    Ok(answer)
}
