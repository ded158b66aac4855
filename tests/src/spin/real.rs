//! A real `spin`, named by `SPIN_BIN`: the same suite runs on it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use sidewatch_sources::body::read_capped;
use tokio::net::TcpStream;

use super::serve::Answer;
use super::{KeyValues, Surroundings};
use crate::process::{Process, free_address};
use crate::receiver::MOST;
use crate::wait::until;

/// The program, when the suite is to run on it.
pub(super) fn program() -> Option<OsString> {
    std::env::var_os("SPIN_BIN").filter(|program| !program.is_empty())
}

/// A running application.
#[derive(Debug)]
pub(super) struct RealSpin {
    address: SocketAddr,
    _process: Process,
    _scratch: tempfile::TempDir,
}

impl RealSpin {
    /// `spin up` in surroundings of its own.
    pub(super) fn start(
        program: &OsString,
        directory: &Path,
        surroundings: &Surroundings,
    ) -> Result<Self, String> {
        let scratch = tempfile::tempdir().map_err(|error| error.to_string())?;
        let address = free_address();
        let configuration = scratch.path().join("runtime.toml");
        let stores = surroundings.stores.iter();
        let text: String = stores
            .map(|(label, store)| {
                let path = store.file();
                format!("[key_value_store.{label}]\ntype = \"spin\"\npath = {path:?}\n")
            })
            .collect();
        std::fs::write(&configuration, text).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command
            .args(["up", "--quiet", "--listen"])
            .arg(address.to_string())
            .arg("--from")
            .arg(directory.join("spin.toml"))
            .arg("--state-dir")
            .arg(scratch.path().join("state"))
            .arg("--runtime-config-file")
            .arg(configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        for name in ["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "SPIN_DATA_DIR"] {
            command.env(name, scratch.path());
        }
        for (name, value) in &surroundings.variables {
            command.arg("--variable").arg(format!("{name}={value}"));
        }
        let mut process = Process::start("spin", &mut command);
        let started = until("spin to listen", || {
            if let Some(status) = process.ended() {
                return Some(Err(format!(
                    "spin ended with {status}; its message is above"
                )));
            }
            std::net::TcpStream::connect(address).ok().map(|_| Ok(()))
        });
        started?;
        Ok(Self {
            address,
            _process: process,
            _scratch: scratch,
        })
    }

    /// Sends a request on a connection of its own.
    pub(super) async fn send(
        &self,
        request: hyper::Request<Full<Bytes>>,
    ) -> Result<Answer, String> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| error.to_string())?;
        let connection = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = connection.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(connection);
        let answer = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let (parts, body) = answer.into_parts();
        let bytes = read_capped(body, MOST, MOST)
            .await
            .map_err(|error| error.to_string())?
            .bytes;
        driver.abort();
        Ok(Answer {
            status: parts.status.as_u16(),
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }
}

/// The values in a store's file, by Python's SQLite.
pub(super) fn values(store: &KeyValues) -> Vec<(String, String)> {
    const DUMP: &str = "import sqlite3,sys\nfor k,v in sqlite3.connect(sys.argv[1]).execute('select key, hex(value) from spin_key_value'): print(k, v)";
    let output = Command::new("python3")
        .args(["-c", DUMP])
        .arg(store.file())
        .output();
    let output = output.expect("python3, to read Spin's store");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
