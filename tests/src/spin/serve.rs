//! Handing requests to instances: the handler Spin uses, with Spin's numbers.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use sidewatch_sources::body::read_capped;
use tokio::time::{Sleep, sleep};
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ProxyHandler, ShouldAccept, WorkerExpiration, WorkerState,
    WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::{Granted, Guest, RealSpin};
use crate::receiver::MOST;

/// Requests an instance serves at the same time.
const CONCURRENT: usize = 16;

/// Takes the requests of one application.
pub struct Server(pub(super) Taking);

/// Who takes them.
pub(super) enum Taking {
    /// Instances in this process.
    StandIn(ProxyHandler<Serving>),
    /// A real Spin.
    Real(RealSpin),
}

/// An application as its handler keeps it.
pub(super) struct Serving {
    prepared: ServicePre<Guest>,
    granted: Arc<Granted>,
    reuse: usize,
}

pub(super) fn stand_in(prepared: ServicePre<Guest>, granted: Granted, reuse: usize) -> Server {
    Server(Taking::StandIn(ProxyHandler::new(Serving {
        prepared,
        granted: Arc::new(granted),
        reuse,
    })))
}

/// How many requests an instance serves.
#[derive(Debug)]
pub(super) struct Reuse(usize);

impl WorkerState for Reuse {
    type StoreData = Guest;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.0 {
            ShouldAccept::Never
        } else if concurrent >= CONCURRENT {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, Guest>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(pending())
    }

    fn drop(&self, _: Store<Guest>, _: wasmtime::Result<()>) {}
}

/// How long an instance that has nothing to do is kept, as in Spin.
const IDLE: Duration = Duration::from_secs(1);

/// Ends an instance that has had nothing to do for a while.
#[derive(Debug, Default)]
pub(super) struct Idle(Option<Pin<Box<Sleep>>>);

impl WorkerExpiration for Idle {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        _: Instant,
    ) -> Poll<()> {
        if status != WorkerStatus::Idle {
            self.0 = None;
            return Poll::Pending;
        }
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep(IDLE)));
        sleep.as_mut().poll(context)
    }
}

impl HandlerState for Serving {
    type StoreData = Guest;
    type WorkerExpiration = Idle;
    type WorkerState = Reuse;

    async fn instantiate(&self) -> wasmtime::Result<Instance<Guest, Idle, Reuse>> {
        let guest = Guest::new(&self.granted);
        let mut store = Store::new(self.prepared.engine(), guest);
        let service = self.prepared.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: <Guest as WasiHttpView>::http,
            expiration: Idle::default(),
            state: Reuse(self.reuse),
        })
    }
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Server {
    /// Sends a request, as Spin would hand it on.
    ///
    /// # Errors
    /// The component trapped.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, String> {
        let mut request = hyper::Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Full::new(body.into());
        let handler = match &self.0 {
            Taking::Real(spin) => {
                let request = request.uri(path).header("host", "edge.test").body(body);
                return spin.send(request.map_err(|error| error.to_string())?).await;
            }
            Taking::StandIn(handler) => handler,
        };
        let request = request
            .uri(format!("http://edge.test{path}"))
            .header("spin-client-addr", "127.0.0.1:4711")
            .body(body.map_err(|never| match never {}).boxed_unsync())
            .map_err(|error| error.to_string())?;
        let answer = handler.handle((), request).await;
        let (parts, body) = answer.map_err(|error| format!("{error:#}"))?.into_parts();
        let body = read_capped(body, MOST, MOST).await;
        let body = body.map_err(|error| format!("{error:?}"))?.bytes;
        Ok(Answer {
            status: parts.status.as_u16(),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}
