//! Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics`.
//!
//! Read-only and without secrets, but for the operator's eyes: listens on
//! loopback unless told otherwise.

pub mod control;
mod metrics;
mod readiness;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::pipeline::Status;
use readiness::Readiness;

/// Connections served at a time.
const CONNECTIONS: usize = 32;

/// The admin address cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("admin address {address}: {source}; choose another `listen` under `[admin]`")]
pub struct AdminError {
    address: SocketAddr,
    source: std::io::Error,
}

/// Opens the admin socket.
///
/// # Errors
/// The address is in use or not ours.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, AdminError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| AdminError { address, source })
}

/// Answers until the future is dropped.
pub async fn serve(listener: TcpListener, status: Arc<Status>) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "cannot accept an admin connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let status = Arc::clone(&status);
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| {
                let response = answer(&request, &status);
                async { Ok::<_, Infallible>(response) }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = serving.await {
                tracing::debug!(%error, "admin connection ended");
            }
        });
    }
}

fn answer(request: &Request<Incoming>, status: &Status) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match request.uri().path() {
        "/livez" if status.alive.load(Ordering::Acquire) => text(StatusCode::OK, "alive\n"),
        "/livez" => text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the folding thread does not run\n",
        ),
        "/readyz" => {
            let (code, page) = readiness::page(&Readiness::of(status));
            text(code, page)
        }
        "/metrics" => match metrics::exposition(status) {
            Ok(body) => {
                let mut response = text(StatusCode::OK, body);
                let kind = HeaderValue::from_static(
                    "application/openmetrics-text; version=1.0.0; charset=utf-8",
                );
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        _ => text(
            StatusCode::NOT_FOUND,
            "there are /livez, /readyz and /metrics\n",
        ),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
