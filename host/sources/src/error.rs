//! Why a source cannot be used or had to end. Users see these texts, so each
//! says what to do.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// Why a source cannot be used or had to end.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A setting is missing or contradicts another.
    #[error("`{setting}` {problem}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// What is wrong and how to put it right.
        problem: String,
    },
    /// The address can be reached from other machines and is not protected.
    #[error("{address} can be reached from other machines; {remedy}")]
    Exposed {
        /// The address.
        address: SocketAddr,
        /// What to set.
        remedy: &'static str,
    },
    /// Something listens there already.
    #[error(
        "port {port} is in use by another process; choose another port than in `{address}` or stop that process"
    )]
    PortInUse {
        /// The address.
        address: SocketAddr,
        /// Its port.
        port: u16,
    },
    /// The port needs a privilege.
    #[error(
        "port {port} of {address} needs a privilege; choose a port above 1023 or grant CAP_NET_BIND_SERVICE"
    )]
    PortForbidden {
        /// The address.
        address: SocketAddr,
        /// Its port.
        port: u16,
    },
    /// The address is another machine's.
    #[error("{address} is no address of this machine; use 127.0.0.1 or one shown by `ip addr`")]
    NotLocal {
        /// The address.
        address: IpAddr,
    },
    /// Any other reason why an address cannot be bound.
    #[error("{address} cannot be bound: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A unix socket another process listens on.
    #[error("{} is in use by another process; choose another path or stop that process", path.display())]
    SocketInUse {
        /// Its path.
        path: PathBuf,
    },
    /// A unix socket that cannot be made.
    #[error("{} cannot be bound: {source}; does its directory exist and may this user write to it?", path.display())]
    BindSocket {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The asynchronous runtime or a thread could not take the source.
    #[error("source cannot run: {0}")]
    Runtime(#[source] io::Error),
}
