//! Which running sidecar a command is for: the one on this configuration's data
//! directory, or the one that listens on a TCP port of this machine.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::Value;

use super::store_access;
use crate::admin::control::{self, ControlRequest};
use crate::config::ConfigFile;
use crate::config::control::read_token;

/// Which sidecar.
#[derive(Debug, Args)]
pub(crate) struct Reach {
    /// The running sidecar's configuration file
    #[arg(
        long,
        short,
        global = true,
        default_value = "/etc/sidewatch/sidewatch.toml",
        value_name = "FILE"
    )]
    config: PathBuf,
    /// Ask over TCP instead: the address the sidecar has in control.listen
    #[arg(long, global = true, value_name = "ADDRESS", requires = "token_file", value_parser = own_address)]
    control: Option<SocketAddr>,
    /// The file with the token of control.token_file
    #[arg(long, global = true, value_name = "FILE", requires = "control")]
    token_file: Option<PathBuf>,
}

/// A port of this machine.
fn own_address(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "it is not ADDRESS:PORT, such as 127.0.0.1:9181".to_owned())?;
    if !address.ip().is_loopback() {
        return Err(
            "it is another machine, and the token would travel in the clear; go through an SSH tunnel"
                .to_owned(),
        );
    }
    Ok(address)
}

/// Either kind of connection.
trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

impl Reach {
    /// Asks the sidecar.
    ///
    /// # Errors
    /// None runs there, or the request was refused.
    pub(super) fn ask(&self, request: &ControlRequest) -> Result<Value> {
        if self.control.is_none() {
            return store_access::ask(&ConfigFile::load(&self.config)?, request);
        }
        let stream = self.connect(Some(store_access::PATIENCE))?;
        let answer =
            store_access::converse(stream, request).context("the sidecar does not answer")?;
        store_access::refused(answer)
    }

    /// Asks the sidecar and calls `take` with every line of its answer, until
    /// it says no more.
    ///
    /// # Errors
    /// None runs there, or `take` failed.
    pub(super) fn follow(
        &self,
        request: &ControlRequest,
        mut take: impl FnMut(&str) -> Result<bool>,
    ) -> Result<()> {
        let mut stream = self.connect(None)?;
        let mut line = serde_json::to_string(request)?;
        line.push('\n');
        stream.write_all(line.as_bytes())?;
        for line in BufReader::new(stream).lines() {
            if !take(&line?)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn connect(&self, patience: Option<Duration>) -> Result<Box<dyn Connection>> {
        let (Some(address), Some(token_file)) = (self.control, &self.token_file) else {
            let path = control::socket(ConfigFile::load(&self.config)?.directory());
            let stream = UnixStream::connect(&path)
                .with_context(|| format!("no sidecar answers at {}", path.display()))?;
            return Ok(Box::new(stream));
        };
        let token = read_token(token_file)?;
        let mut stream = TcpStream::connect(address)
            .with_context(|| format!("no sidecar answers at {address}"))?;
        stream.set_read_timeout(patience)?;
        stream.write_all(format!("{token}\n").as_bytes())?;
        Ok(Box::new(stream))
    }
}
