//! Tirreno's ingest form at `/sensor/`, so that a sender set up for Tirreno
//! needs a new address only.
//!
//! Answers follow Tirreno 0.10 as observed: 204 taken, 200 refused for good
//! (wrong key, no form, a required field missing), 429 come back later. Unlike
//! there, a form cut to a bound is refused, multipart is not read, and 204 is
//! said when the event is in safety, not before: a sender that gets no answer
//! may send again.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderName};
use hyper::http::request::Parts;
use sidewatch_codecs::tirreno;
use sidewatch_event::Field;
use tokio::time::timeout;

use super::connection::Connection;
use super::request::{Answer, answer};
use super::settings::MirrorSettings;
use crate::Secret;
use crate::body::CappedBody;
use crate::counters::one;

const API_KEY: HeaderName = HeaderName::from_static("api-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// How long a sender waits for its event to be in safety.
pub(super) const SAFE_WITHIN: Duration = Duration::from_secs(10);

/// Longest request id kept, in bytes.
const REQUEST_ID_LIMIT: usize = 128;

/// Whether the request is a form for us.
pub(super) fn is_for(settings: &MirrorSettings, parts: &Parts) -> bool {
    !settings.sensor_keys.is_empty() && matches!(parts.uri.path(), "/sensor/" | "/sensor")
}

impl Connection {
    /// Takes one form and answers as Tirreno would.
    pub(super) async fn take_form(
        &self,
        parts: &Parts,
        body: &CappedBody,
        received: i64,
    ) -> Answer {
        let intake = &self.server.intake;
        let key = parts
            .headers
            .get(API_KEY)
            .map_or(&b""[..], |key| key.as_bytes());
        if !Secret::any_matches(&self.server.settings.sensor_keys, key) {
            one(&intake.counters().unauthenticated);
            return answer(StatusCode::OK);
        }
        let number = self.begun.load(std::sync::atomic::Ordering::Relaxed);
        if let Some(reason) = refusal(parts, body) {
            intake.reject(number, &reason);
            return answer(StatusCode::OK);
        }
        let mut event = intake.blank(received);
        let id = event.id;
        if let Err(error) = tirreno::decode_form(&body.bytes, &mut event) {
            intake.reject(number, &error);
            return answer(StatusCode::OK);
        }
        event.id = id;
        event.peer_ip = event.peer_ip.or(self.peer);
        self.server.codec.clean(&mut event);
        let request_id = parts
            .headers
            .get(REQUEST_ID)
            .and_then(|header| header.to_str().ok());
        if let Some(text) = request_id.filter(|text| text.len() <= REQUEST_ID_LIMIT) {
            event.set(Field::HttpRequestId, text);
        }
        let taken = intake.offer_numbered(event);
        self.server.wakes.request();
        let Ok(number) = taken else {
            return answer(StatusCode::TOO_MANY_REQUESTS);
        };
        answer(match timeout(SAFE_WITHIN, intake.is_safe(number)).await {
            Ok(()) => StatusCode::NO_CONTENT,
            // It is taken and may yet be kept: the sender cannot know.
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        })
    }
}

/// Why a form of a known sender is not read.
fn refusal(parts: &Parts, body: &CappedBody) -> Option<&'static str> {
    if parts.method != hyper::Method::POST {
        return Some("not a POST request");
    }
    let content_type = parts
        .headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], |value| value.as_bytes());
    let is_form = content_type
        .split_at_checked(FORM.len())
        .is_some_and(|(start, _)| start.eq_ignore_ascii_case(FORM));
    if !is_form {
        return Some("content type is not application/x-www-form-urlencoded");
    }
    body.truncated
        .then_some("form longer than `max_body_bytes`")
}
