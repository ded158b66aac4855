//! Listening sockets: opened before anything runs, with errors that say what
//! to do, and one accept loop for every stream protocol.
//!
//! Invariants:
//! - a unix socket appears under its name only once its mode is set, replaces
//!   one nobody listens on, and never one that is in use;
//! - connections beyond the limit are closed at once and counted.

use std::fs::Permissions;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::SourceError;
use crate::counters::one;
use crate::intake::Intake;
use crate::shutdown::Shutdown;
use crate::stream::Stream;

const BACKLOG: i32 = 1024;

/// How long connections may take to finish once shutdown was asked for.
const GRACE: Duration = Duration::from_secs(2);

/// A bound listener, not yet part of a runtime.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(std::net::TcpListener),
    Unix(unix::UnixListener, SocketFile),
}

/// Removes a unix socket's name when its listener goes.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "socket file could not be removed");
        }
    }
}

impl Bound {
    pub(crate) fn tcp(address: SocketAddr) -> Result<Self, SourceError> {
        let open = || {
            let socket = Socket::new(
                Domain::for_address(address),
                Type::STREAM,
                Some(Protocol::TCP),
            )?;
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        };
        open()
            .map(Self::Tcp)
            .map_err(|error| bind_error(address, error))
    }

    pub(crate) fn unix(path: &Path, mode: u32) -> Result<Self, SourceError> {
        let in_use = || unix::UnixStream::connect(path).is_ok();
        let (listener, file) = bind_unix(path, mode, in_use, |name| {
            let listener = unix::UnixListener::bind(name)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        })?;
        Ok(Self::Unix(listener, file))
    }

    /// The address others connect to, to print at the start and in tests.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|_| "tcp".into(), |at| at.to_string()),
            Self::Unix(_, file) => file.0.display().to_string(),
        }
    }

    fn into_listener(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            Self::Unix(listener, file) => Listener::Unix(UnixListener::from_std(listener)?, file),
        })
    }
}

/// Binds under a temporary name, sets the mode, then gives it its real name.
pub(crate) fn bind_unix<T>(
    path: &Path,
    mode: u32,
    in_use: impl FnOnce() -> bool,
    bind: impl FnOnce(&Path) -> io::Result<T>,
) -> Result<(T, SocketFile), SourceError> {
    let failed = |source| SourceError::BindSocket {
        path: path.to_owned(),
        source,
    };
    if in_use() {
        return Err(SourceError::SocketInUse {
            path: path.to_owned(),
        });
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    if temporary.exists() {
        std::fs::remove_file(&temporary).map_err(failed)?;
    }
    let bound = bind(&temporary).map_err(failed)?;
    let named = std::fs::set_permissions(&temporary, Permissions::from_mode(mode))
        .and_then(|()| std::fs::rename(&temporary, path));
    if let Err(error) = named {
        drop(SocketFile(temporary));
        return Err(failed(error));
    }
    Ok((bound, SocketFile(path.to_owned())))
}

/// Says which address could not be bound, why, and what to do about it.
pub(crate) fn bind_error(address: SocketAddr, source: io::Error) -> SourceError {
    match source.kind() {
        io::ErrorKind::AddrInUse => SourceError::PortInUse {
            address,
            port: address.port(),
        },
        io::ErrorKind::PermissionDenied => SourceError::PortForbidden {
            address,
            port: address.port(),
        },
        io::ErrorKind::AddrNotAvailable => SourceError::NotLocal {
            address: address.ip(),
        },
        _ => SourceError::Bind { address, source },
    }
}

/// Refuses an address others than this machine can reach, unless the operator
/// said that this is meant.
pub(crate) fn require_local(
    address: SocketAddr,
    allowed: bool,
    remedy: &'static str,
) -> Result<(), SourceError> {
    let ip = address.ip().to_canonical();
    if allowed || ip.is_loopback() {
        return Ok(());
    }
    Err(SourceError::Exposed { address, remedy })
}

enum Listener {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "removes the name when dropped")] SocketFile,
    ),
}

impl Listener {
    async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            Self::Unix(listener, _) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// Serves every connection of `bound` in its own task until shutdown.
pub(crate) async fn accept<Serve, Served>(
    bound: Bound,
    slots: Arc<Semaphore>,
    intake: Intake,
    mut shutdown: Shutdown,
    serve: Serve,
) -> Result<(), SourceError>
where
    Serve: Fn(Stream, Option<IpAddr>) -> Served,
    Served: Future<Output = ()> + Send + 'static,
{
    let listener = bound.into_listener().map_err(SourceError::Runtime)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.triggered() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    if let Some(slot) = slot(&slots, &intake) {
                        let served = serve(stream, peer);
                        connections.spawn(async move {
                            served.await;
                            drop(slot);
                        });
                    }
                }
                Err(error) => pause_after(&intake, &error).await,
            },
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, finished).await.is_err() {
        tracing::warn!(source = %intake.source(), connections = connections.len(), "connections were cut at shutdown; what they had sent and we had not taken is lost");
    }
    Ok(())
}

fn slot(slots: &Arc<Semaphore>, intake: &Intake) -> Option<OwnedSemaphorePermit> {
    let slot = Arc::clone(slots).try_acquire_owned().ok();
    one(if slot.is_some() {
        &intake.counters().connections
    } else {
        &intake.counters().connections_refused
    });
    slot
}

/// Out of file descriptors or memory: trying again at once would only burn time.
async fn pause_after(intake: &Intake, error: &io::Error) {
    tracing::warn!(source = %intake.source(), %error, "connection could not be accepted");
    tokio::time::sleep(Duration::from_millis(50)).await;
}
