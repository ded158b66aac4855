//! The component itself: HTTP in, HTTP out, variables and the store.
//!
//! An instance serves several requests, some of them at once; they share the
//! configured application, which keeps nothing of them. A mirrored request is
//! answered once its states are kept, before anything is sent on: nginx does
//! not wait for a receiver. A batch is answered once it was sent on. Findings
//! that were not taken wait in the store: see [`crate::unsent`].

mod bindings;
mod configuration;
mod keyvalue;
mod outbound;
mod sending;
mod slots;

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Either};
use sidewatch_event::{Delivery, Event};
use spin_sdk::http::{
    EmptyBody, FullBody, HeaderMap, HeaderValue, Method, OptionalBody, Request, Response,
    StatusCode,
};
use spin_sdk::http_service;

use crate::application::{Mirrored, Processed};
use crate::authentication::TOKEN_HEADER;
use crate::deliver::{is_wanted, requests};
use crate::paths::{EVENTS, RULES};
use crate::store::StoreError;
use configuration::{Running, running};
use keyvalue::KeyValue;
use sending::Outbox;

type Answer = Response<OptionalBody<Bytes>>;
type Incoming = spin_sdk::wasip3::http_compat::IncomingRequestBody;

#[http_service]
async fn handle(request: Request) -> Answer {
    match running().await {
        Ok(running) => answer(&running, request).await,
        Err(problem) => {
            note(&problem);
            told(StatusCode::INTERNAL_SERVER_ERROR, &problem)
        }
    }
}

async fn answer(running: &Rc<Running>, request: Request) -> Answer {
    let headers = request.headers();
    let token = headers
        .get(TOKEN_HEADER)
        .map_or(&b""[..], HeaderValue::as_bytes);
    if !running.tokens.admit(token) {
        return told(
            StatusCode::FORBIDDEN,
            "X-Sidewatch-Token is missing or wrong",
        );
    }
    match request.uri().path() {
        RULES if request.method() == Method::GET => list(running),
        EVENTS if request.method() == Method::POST => batch(running, request).await,
        RULES | EVENTS => told(
            StatusCode::METHOD_NOT_ALLOWED,
            "use POST for events, GET for rules",
        ),
        _ => mirrored(running, request).await,
    }
}

fn list(running: &Running) -> Answer {
    let listing = serde_json::to_vec(&running.application.settings().rules);
    let mut answer = Response::new(Either::Left(FullBody::new(Bytes::from(
        listing.unwrap_or_default(),
    ))));
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert("content-type", json);
    answer
}

async fn mirrored(running: &Rc<Running>, request: Request) -> Answer {
    let limits = running.application.settings().limits;
    let (parts, body) = request.into_parts();
    let Ok((body, body_truncated)) = read(body, limits.max_body_bytes).await else {
        return told(StatusCode::BAD_REQUEST, "the body broke off");
    };
    let headers: Vec<(&str, &[u8])> = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let target = parts
        .uri
        .path_and_query()
        .map_or(parts.uri.path(), |target| target.as_str());
    let received = now();
    let event = running.application.mirrored(
        &Mirrored {
            method: parts.method.as_str(),
            target,
            version: "1.1",
            headers: &headers,
            body: &body,
            body_truncated,
            peer: peer(&parts.headers),
        },
        received,
    );
    let (outgoing, fault) = process(running, vec![event], received);
    if !outgoing.findings.is_empty() || !outgoing.events.is_empty() {
        let running = Rc::clone(running);
        spin_sdk::wasip3::spawn(async move {
            if let Err(problem) = sending::request(&running, &outgoing).await {
                note(&problem);
            }
        });
    }
    fault.map_or_else(done, |fault| {
        told(StatusCode::SERVICE_UNAVAILABLE, &fault.to_string())
    })
}

async fn batch(running: &Rc<Running>, request: Request) -> Answer {
    let limits = running.application.settings().limits;
    let Ok((body, truncated)) = read(request.into_body(), limits.max_batch_bytes).await else {
        return told(StatusCode::BAD_REQUEST, "the body broke off");
    };
    if truncated {
        let text = format!(
            "more than {} bytes; send smaller batches",
            limits.max_batch_bytes
        );
        return told(StatusCode::PAYLOAD_TOO_LARGE, &text);
    }
    let received = now();
    let events = match running.application.batch(&body, received) {
        Ok(events) => events,
        Err(error) => return told(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let (outgoing, fault) = process(running, events, received);
    let sent = sending::batch(running, &outgoing).await;
    match (fault, sent) {
        (Some(fault), _) => told(StatusCode::SERVICE_UNAVAILABLE, &fault.to_string()),
        (None, Err(problem)) => {
            note(&problem);
            told(StatusCode::BAD_GATEWAY, &problem)
        }
        (None, Ok(())) => done(),
    }
}

/// Folds events and says what is to be sent on.
fn process(running: &Running, events: Vec<Box<Event>>, now: i64) -> (Outbox, Option<StoreError>) {
    let settings = running.application.settings();
    let store = match KeyValue::open(&settings.store) {
        Ok(store) => store,
        Err(fault) => {
            note(&fault.to_string());
            return (Outbox::default(), Some(fault));
        }
    };
    let Processed {
        mut deliveries,
        fault,
        mut notes,
    } = running.application.process(events, &store);
    for delivery in &deliveries {
        if let Delivery::Finding(finding) = delivery {
            notes.push(format!(
                "finding {} incident {:016x} severity {}",
                finding.kind, finding.incident, finding.severity
            ));
        }
    }
    deliveries.retain(|delivery| is_wanted(settings.forward, delivery));
    let (findings, events): (Vec<_>, Vec<_>) = deliveries
        .into_iter()
        .partition(|delivery| matches!(delivery, Delivery::Finding(_)));
    let mut requests =
        |deliveries: &[Delivery]| requests(settings.destination, deliveries, now, &mut notes);
    let outbox = Outbox {
        findings: requests(&findings),
        events: requests(&events),
    };
    for text in notes {
        note(&text);
    }
    (outbox, fault)
}

/// Reads a body to a bound; what follows is not read.
async fn read(mut body: Incoming, limit: usize) -> Result<(Vec<u8>, bool), ()> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(drop)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        let room = limit - bytes.len();
        bytes.extend(data.iter().take(room));
        if data.len() > room {
            return Ok((bytes, true));
        }
    }
    Ok((bytes, false))
}

fn peer(headers: &HeaderMap) -> Option<IpAddr> {
    // Spin adds its own behind what a client may have sent.
    let values = headers.get_all("spin-client-addr");
    let text = values.iter().next_back()?.to_str().ok()?;
    let endpoint = text.parse::<SocketAddr>().map(|endpoint| endpoint.ip());
    endpoint.or_else(|_| text.parse()).ok()
}

/// Milliseconds since the Unix epoch, UTC.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_millis()).ok())
        .unwrap_or(0)
}

fn done() -> Answer {
    with_status(StatusCode::NO_CONTENT, Either::Right(EmptyBody::new()))
}

fn told(status: StatusCode, text: &str) -> Answer {
    with_status(
        status,
        Either::Left(FullBody::new(Bytes::from(format!("{text}\n")))),
    )
}

fn with_status(status: StatusCode, body: OptionalBody<Bytes>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

/// A line in the application's log.
fn note(text: &str) {
    let mut line = String::with_capacity(text.len() + 12);
    line.push_str("sidewatch: ");
    line.extend(
        text.chars()
            .map(|one| if one.is_control() { ' ' } else { one }),
    );
    line.push('\n');
    drop(std::io::stderr().write_all(line.as_bytes()));
}
