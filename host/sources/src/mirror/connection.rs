//! One connection: hyper with bounds, and a watch for slow peers.
//!
//! The watch is a coarse tick per connection that looks whether anything
//! moved. A timer per request would cost more than the request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sidewatch_codecs::RequestCodec;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::authentication::Authentication;
use super::settings::{HEADERS_INLINE, MirrorSettings};
use super::wake::Wakes;
use crate::counters::one;
use crate::intake::Intake;
use crate::shutdown::Shutdown;
use crate::stream::Stream;

/// What every connection shares.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) authentication: Authentication,
    pub(super) settings: MirrorSettings,
    pub(super) codec: Arc<RequestCodec>,
    pub(super) intake: Intake,
    pub(super) wakes: Arc<Wakes>,
    pub(super) shutdown: Shutdown,
}

/// One connection as its requests see it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) server: Arc<Server>,
    /// Absent on a unix socket.
    pub(super) peer: Option<IpAddr>,
    /// Requests begun.
    pub(super) begun: AtomicU64,
    /// A request's body is being read.
    pub(super) reading_body: AtomicBool,
}

/// Serves one connection until it closes, is too slow, or shutdown.
pub(super) async fn serve(server: Arc<Server>, stream: Stream, peer: Option<IpAddr>) {
    if !is_allowed(&server, &stream) {
        one(&server.intake.counters().connections_refused);
        return;
    }
    let connection = Arc::new(Connection {
        server: Arc::clone(&server),
        peer,
        begun: AtomicU64::new(0),
        reading_body: AtomicBool::new(false),
    });
    let service = {
        let connection = Arc::clone(&connection);
        service_fn(move |request| {
            let connection = Arc::clone(&connection);
            async move { Ok::<_, Infallible>(connection.answer(request).await) }
        })
    };
    let http = builder(&server.settings).serve_connection(TokioIo::new(stream), service);
    let mut http = std::pin::pin!(http);
    let mut watch = Watch::new(&server.settings);
    let mut tick = interval_at(Instant::now() + watch.tick, watch.tick);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shutdown = server.shutdown.clone();
    let mut ended = std::pin::pin!(shutdown.triggered());
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            result = http.as_mut() => {
                if let Err(error) = result {
                    note(&connection, &error);
                }
                return;
            }
            _ = tick.tick() => {
                if watch.is_too_slow(&connection) {
                    one(&server.intake.counters().connections_timed_out);
                    return;
                }
            }
            () = ended.as_mut(), if !ending => {
                ending = true;
                http.as_mut().graceful_shutdown();
            }
        }
    }
}

fn builder(settings: &MirrorSettings) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .auto_date_header(false)
        .pipeline_flush(true)
        .max_header_size(settings.max_header_bytes)
        .max_buf_size(settings.max_header_bytes);
    // Setting a number, even this one, costs two allocations a request.
    if settings.max_headers != HEADERS_INLINE {
        builder.max_headers(settings.max_headers);
    }
    builder
}

fn is_allowed(server: &Server, stream: &Stream) -> bool {
    let allowed = &server.settings.allowed_uids;
    match stream {
        Stream::Unix(stream) if !allowed.is_empty() => stream
            .peer_cred()
            .is_ok_and(|peer| allowed.contains(&peer.uid())),
        _ => true,
    }
}

/// Counts what HTTP itself forbids; hyper has answered it where it could.
fn note(connection: &Connection, error: &hyper::Error) {
    if error.is_parse() {
        let intake = &connection.server.intake;
        intake.arrived(0);
        intake.reject(connection.begun.load(Ordering::Relaxed) + 1, error);
    } else {
        tracing::debug!(%error, "mirror connection ended");
    }
}

/// Sees whether a connection still moves.
struct Watch {
    tick: Duration,
    idle: Duration,
    request: Duration,
    still: Duration,
    begun: u64,
    in_body: bool,
}

impl Watch {
    fn new(settings: &MirrorSettings) -> Self {
        let idle = Duration::from_millis(settings.idle_timeout_ms);
        let request = Duration::from_millis(settings.request_timeout_ms);
        let tick = (idle.min(request) / 4).clamp(Duration::from_millis(5), Duration::from_secs(2));
        Self {
            tick,
            idle,
            request,
            still: Duration::ZERO,
            begun: 0,
            in_body: false,
        }
    }

    fn is_too_slow(&mut self, connection: &Connection) -> bool {
        let begun = connection.begun.load(Ordering::Relaxed);
        let in_body = connection.reading_body.load(Ordering::Relaxed);
        if (begun, in_body) != (self.begun, self.in_body) {
            (self.begun, self.in_body) = (begun, in_body);
            self.still = Duration::ZERO;
            return false;
        }
        self.still += self.tick;
        // A connection owes its first request soon; later it may rest.
        let limit = if in_body || begun == 0 {
            self.request
        } else {
            self.idle
        };
        self.still >= limit
    }
}
