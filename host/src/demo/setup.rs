//! The demonstration's directory: configuration, databases, nginx snippets.
//!
//! Invariants: only files of known names in it are replaced, nothing is ever
//! removed at the end, and the secret in it is new at each start.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::world;
use crate::config::Pack;
use crate::config::pack::PackError;
use crate::config::rules::{MAPPING_RULE, RulesError, rules_directory};

const TEMPLATE: &str = include_str!("sidewatch.toml.in");
const MIRROR: &str = include_str!("../../../deploy/nginx/sidewatch-mirror.conf");
const UPSTREAM: &str = include_str!("../../../deploy/nginx/sidewatch-upstream.conf");
const LOG_FORMAT: &str = include_str!("../../../deploy/nginx/sidewatch-log-format.conf");

/// Where nginx' access log goes when the port is free.
const SYSLOG: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8514);
/// Health and metrics when the port is free.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9180);

/// The demonstration cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The directory or a file in it.
    #[error("cannot write {path}: {source}; choose another `--directory`")]
    Write {
        /// What was written.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// No port.
    #[error("cannot listen on {address}: {source}; choose another address with `--listen`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why it failed.
        source: io::Error,
    },
    /// No secret.
    #[error("cannot read random bytes: {0}")]
    Random(#[source] io::Error),
    /// The databases.
    #[error(transparent)]
    Databases(#[from] sidewatch_enrich::mmdb_writer::WriteError),
    /// The rules.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// The pack.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// A directory ready to run from.
#[derive(Debug)]
pub struct Setup {
    /// The directory, absolute.
    pub directory: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// Findings, JSON lines.
    pub findings: PathBuf,
    /// Every event and finding, CEF.
    pub events: PathBuf,
    /// Secret the mirror asks for.
    pub token: String,
    /// Where the mirror listens.
    pub mirror: SocketAddr,
    /// Where access-log lines are taken.
    pub syslog: SocketAddr,
    /// Health and metrics.
    pub admin: SocketAddr,
    /// What the user should know: ports in use, rules not built.
    pub notes: Vec<String>,
}

impl Setup {
    /// Prepares a directory. A port in use is replaced by a free one; port 0
    /// in `listen` takes free ports for all inputs.
    ///
    /// # Errors
    /// Says what cannot be written or opened.
    pub fn prepare(directory: &Path, listen: SocketAddr) -> Result<Self, SetupError> {
        let failed = |source| SetupError::Write {
            path: directory.to_owned(),
            source,
        };
        make_directory(directory).map_err(failed)?;
        let directory = directory.canonicalize().map_err(failed)?;
        make_directory(&directory.join("nginx")).map_err(failed)?;
        let mut notes = Vec::new();
        let mirror = free(listen, "mirror", &mut notes, |address| {
            TcpListener::bind(address)?.local_addr()
        })?;
        let other = |address: SocketAddr| match listen.port() {
            0 => SocketAddr::new(address.ip(), 0),
            _ => address,
        };
        let syslog = free(other(SYSLOG), "access log", &mut notes, |address| {
            UdpSocket::bind(address)?.local_addr()
        })?;
        let admin = free(other(ADMIN), "admin", &mut notes, |address| {
            TcpListener::bind(address)?.local_addr()
        })?;
        let token = token().map_err(SetupError::Random)?;
        let rules = rules_directory(None)?;
        let rule_entries = rule_entries(&rules, &mut notes)?;
        let at = |name: &str| directory.join(name);
        let setup = Self {
            config: at("sidewatch.toml"),
            findings: at("findings.json"),
            events: at("events.cef"),
            token,
            mirror,
            syslog,
            admin,
            notes,
            directory: directory.clone(),
        };
        let rules = rules.canonicalize().unwrap_or(rules);
        let text = fill(
            TEMPLATE,
            &[
                ("data", &quoted(&at("data"))),
                ("rules", &quoted(&rules)),
                ("admin", &admin.to_string()),
                ("mirror", &mirror.to_string()),
                ("token", &setup.token),
                ("syslog", &syslog.to_string()),
                ("city", &quoted(&at("city.mmdb"))),
                ("asn", &quoted(&at("asn.mmdb"))),
                ("networks", world::OPERATOR_NETWORKS),
                ("rule_entries", &rule_entries),
                ("findings", &quoted(&setup.findings)),
                ("events", &quoted(&setup.events)),
            ],
        );
        let (city, asn) = world::databases()?;
        for (path, bytes) in [
            (&setup.config, text.as_bytes()),
            (&setup.findings, b"".as_slice()),
            (&setup.events, b""),
            (&at("city.mmdb"), &city),
            (&at("asn.mmdb"), &asn),
            (&at("nginx/sidewatch-mirror.conf"), MIRROR.as_bytes()),
            (
                &at("nginx/sidewatch-log-format.conf"),
                LOG_FORMAT.as_bytes(),
            ),
            (
                &at("nginx/sidewatch-upstream.conf"),
                upstream(mirror, &setup.token).as_bytes(),
            ),
        ] {
            write(path, bytes).map_err(|source| SetupError::Write {
                path: path.clone(),
                source,
            })?;
        }
        Ok(setup)
    }
}

/// `target/demo` where the program was built, else a new directory for
/// temporary files.
#[must_use]
pub fn default_directory() -> PathBuf {
    let program = std::env::current_exe().ok();
    let built = program
        .iter()
        .flat_map(|program| program.ancestors().skip(1).take(3));
    let target = built
        .into_iter()
        .find(|directory| directory.join("CACHEDIR.TAG").is_file());
    match target {
        Some(target) => target.join("demo"),
        None => std::env::temp_dir().join(format!("sidewatch-demo-{}", std::process::id())),
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Replaces a file. It is removed first, so that a link is not followed.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    io::Write::write_all(&mut file, bytes)
}

/// The wanted address, or one with another port when that is taken.
fn free(
    wanted: SocketAddr,
    what: &str,
    notes: &mut Vec<String>,
    open: impl Fn(SocketAddr) -> io::Result<SocketAddr>,
) -> Result<SocketAddr, SetupError> {
    let listen = |address| open(address).map_err(|source| SetupError::Listen { address, source });
    match open(wanted) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let other = listen(SocketAddr::new(wanted.ip(), 0))?;
            notes.push(format!(
                "{what}: {wanted} is in use, {other} is used instead"
            ));
            Ok(other)
        }
        Ok(address) => Ok(address),
        Err(source) => Err(SetupError::Listen {
            address: wanted,
            source,
        }),
    }
}

fn token() -> io::Result<String> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    }))
}

/// The pack's rules that are not there are switched off; all further ones
/// that are there take part.
fn rule_entries(directory: &Path, notes: &mut Vec<String>) -> Result<String, PackError> {
    let pack = Pack::load("mattermost")?;
    let there = components(directory);
    let mut text = String::new();
    for id in pack.detections.iter().filter(|id| !there.contains(*id)) {
        notes.push(format!("rule {id} is not built and is left out"));
        writeln!(text, "[[rules]]\nid = \"{id}\"\nenabled = false\n").ok();
    }
    let known = |id: &String| id == MAPPING_RULE || pack.detections.contains(id);
    for id in there.iter().filter(|id| !known(id)) {
        let id = toml::Value::String(id.clone());
        writeln!(text, "[[rules]]\nid = {id}\n").ok();
    }
    Ok(text)
}

/// Names of the rules in a directory.
fn components(directory: &Path) -> BTreeSet<String> {
    let files = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let name = |file: std::fs::DirEntry| {
        Some(file.file_name().to_str()?.strip_suffix(".wasm")?.to_owned())
    };
    files.filter_map(name).collect()
}

/// The text with `{name}` replaced, in one pass over the places known.
fn fill(template: &str, values: &[(&str, &str)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

/// Our upstream snippet with the demonstration's address and secret.
fn upstream(mirror: SocketAddr, token: &str) -> String {
    UPSTREAM
        .replace(
            "server unix:/run/sidewatch/mirror.sock",
            &format!("server {mirror}"),
        )
        .replace("default \"\";", &format!("default \"{token}\";"))
}

#[cfg(test)]
mod tests;
