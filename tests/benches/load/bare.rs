//! The bare server: hyper answering 204, in a process of its own.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use integration_tests::process::Process;
use integration_tests::until;
use tokio::net::UnixListener;

/// The running server; killed when dropped.
pub(crate) struct Bare(Process);

impl Bare {
    pub(crate) fn start(socket: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let process = Process::start("the bare server", command.arg("--bare").arg(socket));
        until("the bare server", || {
            std::os::unix::net::UnixStream::connect(socket).ok()
        });
        Self(process)
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.0.id()
    }
}

/// Serves until killed: reads the request, answers 204.
pub(crate) fn serve(socket: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = UnixListener::bind(socket).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let service = service_fn(|_: Request<hyper::body::Incoming>| async {
                    let mut response = Response::new(Empty::<Bytes>::new());
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    Ok::<_, Infallible>(response)
                });
                // A client that hangs up is no fault of this server.
                drop(
                    http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    });
}
