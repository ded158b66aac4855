//! A web service on loopback that keeps what it is sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use sidewatch_sources::body::read_capped;
use tokio::net::TcpListener;

/// Longest body read of anybody, in bytes.
pub(crate) const MOST: usize = 8 << 20;

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Path and query.
    pub path: String,
    /// The `X-Sidewatch-Token`, `Api-Key` or `Authorization` header.
    pub credential: String,
    /// The body.
    pub body: String,
}

/// The service; it ends with the runtime it was started on.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    status: Arc<AtomicU16>,
}

impl Receiver {
    /// Starts on a port of its own and answers every request with `status`.
    ///
    /// # Panics
    /// There is no port.
    pub async fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            status: Arc::new(status.into()),
        };
        let received = Arc::clone(&receiver.received);
        let status = Arc::clone(&receiver.status);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (received, status) = (Arc::clone(&received), Arc::clone(&status));
                let service = service_fn(move |request| {
                    let received = Arc::clone(&received);
                    let status = status.load(Ordering::Relaxed);
                    async move { keep(request, &received, status).await }
                });
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        receiver
    }

    /// From now on answers with another status.
    pub fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// What has come since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn keep(
    request: Request<Incoming>,
    received: &Mutex<Vec<Received>>,
    status: u16,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = read_capped(body, MOST, MOST).await?.bytes;
    let credential = ["x-sidewatch-token", "api-key", "authorization"]
        .into_iter()
        .find_map(|name| parts.headers.get(name)?.to_str().ok());
    received
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Received {
            path: parts.uri.to_string(),
            credential: credential.unwrap_or_default().to_owned(),
            body: String::from_utf8_lossy(&body).into_owned(),
        });
    let mut answer = Response::new(Empty::new());
    *answer.status_mut() = status.try_into().unwrap_or_default();
    Ok(answer)
}
