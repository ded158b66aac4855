//! The HTTP side: from a request to a status.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::form::Form;
use super::record::{Fate, store};
use super::{Mode, Shared, WebServer};

/// PHP's `post_max_size`: a longer body is treated as an empty one.
const LONGEST_BODY: usize = 8 * 1024 * 1024;

pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    shared.lock().tally.connections += 1;
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let Ok(socket) = stream.as_fd().try_clone_to_owned() else {
        return;
    };
    let answering = service_fn(|request| answer(request, &shared, &socket));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), answering);
    // A broken connection is the tests' daily business.
    serving.await.ok();
}

async fn answer(
    request: Request<Incoming>,
    shared: &Shared,
    socket: &OwnedFd,
) -> io::Result<Response<Empty<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = read(body).await;
    let mode = {
        let mut state = shared.lock();
        state.tally.requests += 1;
        state.mode
    };
    match mode {
        Mode::Hang => return pending().await,
        Mode::Reset => return Err(reset(socket)),
        Mode::Status(status) => return Ok(response(status)),
        Mode::Normal | Mode::StoreAndHang | Mode::StoreAndReset => {}
    }
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    let status = match head.uri.path() {
        "/sensor/" | "/sensor/index.php" if header(CONTENT_ENCODING.as_str()).is_some() => 500,
        "/sensor/" | "/sensor/index.php" => {
            let form = header(CONTENT_TYPE.as_str())
                .filter(|kind| {
                    head.method == Method::POST
                        && kind.starts_with("application/x-www-form-urlencoded")
                })
                .map_or_else(Form::default, |_| Form::parse(&body));
            receive(shared, &form, header("api-key"), header("x-request-id"))
        }
        "/sensor" => 403,
        _ => 404,
    };
    match mode {
        Mode::StoreAndHang => pending().await,
        Mode::StoreAndReset => Err(reset(socket)),
        _ => {
            let mut response = response(status);
            if status == 204 && shared.settings.web_server == WebServer::Apache {
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    }
}

/// Judges a form: required fields, then the key, then the limit. The status.
fn receive(shared: &Shared, form: &Form, key: Option<&str>, request_id: Option<&str>) -> u16 {
    let mut state = shared.lock();
    let known = key == Some(shared.settings.api_key.as_str());
    if !(known && form.has("ipAddress") && form.has("url")) {
        state.tally.refused += 1;
        if known {
            state.counted.push(Instant::now());
        }
        return 200;
    }
    let (limit, span) = shared.settings.rate_limit;
    state.counted.retain(|at| at.elapsed() < span);
    if limit > 0 && state.counted.len() >= limit {
        state.tally.limited += 1;
        return 429;
    }
    state.counted.push(Instant::now());
    state.tally.accepted += 1;
    match store(form, request_id) {
        Fate::Stored(record) => state.records.push(*record),
        Fate::Lost(why) => state.lost.push(why),
    }
    204
}

async fn read(mut body: Incoming) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > LONGEST_BODY {
            return Vec::new();
        }
    }
    bytes
}

/// Makes closing the socket a reset; the error makes the server close it.
fn reset(socket: &OwnedFd) -> io::Error {
    socket2::SockRef::from(socket)
        .set_linger(Some(std::time::Duration::ZERO))
        .err()
        .unwrap_or_else(|| io::Error::other("reset on purpose"))
}

fn response(status: u16) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
