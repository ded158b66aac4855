//! One mirrored request: authenticated, bounded, decoded, handed over,
//! answered.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Version};
use sidewatch_codecs::RequestView;
use sidewatch_event::Field;

use super::connection::Connection;
use super::{events, sensor};
use crate::body::{CappedBody, read_capped};
use crate::counters::{add, one};
use crate::identity;

/// An answer without a body.
pub(super) type Answer = Response<Empty<Bytes>>;

pub(super) fn answer(status: StatusCode) -> Answer {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

impl Connection {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let intake = &self.server.intake;
        one(&intake.counters().received);
        let received = identity::now();
        let (parts, body) = request.into_parts();
        let body = match self.read(body).await {
            Ok(body) => body,
            Err(error) => {
                intake.reject(self.begun.load(Ordering::Relaxed), &error);
                return closing(answer(StatusCode::BAD_REQUEST));
            }
        };
        add(&intake.counters().bytes, body.bytes.len() as u64);
        let answer = if sensor::is_for(&self.server.settings, &parts) {
            self.take_form(&parts, &body, received).await
        } else if let Some(refusal) = self.refusal(&parts, received) {
            refusal
        } else if events::is_for(&parts) {
            self.take_events(&body, received).await
        } else {
            self.take_request(&parts, &body, received)
        };
        if body.complete {
            answer
        } else {
            closing(answer)
        }
    }

    async fn read(&self, body: Incoming) -> Result<CappedBody, hyper::Error> {
        if body.is_end_stream() {
            return Ok(CappedBody {
                bytes: Bytes::new(),
                truncated: false,
                complete: true,
            });
        }
        self.reading_body.store(true, Ordering::Relaxed);
        let settings = &self.server.settings;
        let read = read_capped(body, settings.max_body_bytes, settings.max_drain_bytes).await;
        self.reading_body.store(false, Ordering::Relaxed);
        read
    }

    /// The answer to somebody who may not hand requests in.
    fn refusal(&self, parts: &Parts, received: i64) -> Option<Answer> {
        let server = &*self.server;
        if server
            .authentication
            .admits(&parts.method, &parts.uri, &parts.headers, received)
        {
            return None;
        }
        one(&server.intake.counters().unauthenticated);
        server
            .authentication
            .note_refusal(server.intake.source(), &parts.headers);
        let status = StatusCode::from_u16(server.settings.unauthenticated_status);
        Some(answer(status.unwrap_or(StatusCode::NO_CONTENT)))
    }

    fn take_request(&self, parts: &Parts, body: &CappedBody, received: i64) -> Answer {
        let server = &*self.server;
        let intake = &server.intake;
        let mut event = intake.blank(received);
        let id = event.id;
        let mut headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()));
        let target = parts
            .uri
            .path_and_query()
            .map_or(parts.uri.path(), |target| target.as_str());
        server.codec.decode(
            RequestView {
                method: parts.method.as_str(),
                target,
                version: version(parts.version),
                headers: &mut headers,
                body: &body.bytes,
                body_truncated: body.truncated,
                peer: self.peer,
                received,
            },
            &mut event,
        );
        event.id = id;
        if event.peer_ip.is_none() && event.own(Field::SourceAddress).is_none() {
            one(&intake.counters().without_address);
        }
        if body.truncated {
            event.truncated = true;
            one(&intake.counters().truncated);
        }
        // A refusal has been counted as shed; nginx is not to notice.
        drop(intake.offer_quietly(event));
        server.wakes.request();
        answer(StatusCode::NO_CONTENT)
    }
}

/// Ends the connection after this answer.
fn closing(mut answer: Answer) -> Answer {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    answer
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    }
}
