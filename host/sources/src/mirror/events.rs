//! Events and findings of another Sidewatch, such as the edge application, or
//! of anybody who writes ECS: JSON, one record a line.
//!
//! A batch that cannot be read is refused whole: 400 and 413 for good. 204 says
//! that it is safe, 429 and 503 to come back later.

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use serde_json::Value;
use sidewatch_codecs::json;
use tokio::time::timeout;

use super::connection::Connection;
use super::request::{Answer, answer};
use super::sensor::SAFE_WITHIN;
use crate::body::CappedBody;
use crate::counters::one;

/// Where they are taken; the edge application takes them at the same path.
const PATH: &str = "/.well-known/sidewatch/events";

/// Most records of one batch.
const MOST: usize = 1_000;

/// Whether the request is a batch for us.
pub(super) fn is_for(parts: &Parts) -> bool {
    parts.uri.path() == PATH && parts.method == Method::POST
}

impl Connection {
    /// Takes a batch of an authenticated sender.
    pub(super) async fn take_events(&self, body: &CappedBody, received: i64) -> Answer {
        let intake = &self.server.intake;
        let number = self.begun.load(std::sync::atomic::Ordering::Relaxed);
        if body.truncated {
            intake.reject(number, &"batch longer than `max_body_bytes`");
            return answer(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let mut events = Vec::new();
        for value in serde_json::Deserializer::from_slice(&body.bytes).into_iter::<Value>() {
            let mut event = intake.blank(received);
            let key = self.server.codec.pseudonym_key();
            let decoded = match value {
                Ok(value) => {
                    json::decode(&value, key, &mut event).map_err(|error| error.to_string())
                }
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = decoded {
                intake.reject(number, &error);
                return answer(StatusCode::BAD_REQUEST);
            }
            if events.len() == MOST {
                intake.reject(number, &"more than 1000 records in a batch");
                return answer(StatusCode::PAYLOAD_TOO_LARGE);
            }
            self.server.codec.clean(&mut event);
            events.push(event);
        }
        if events.is_empty() {
            intake.reject(number, &"a batch without records");
            return answer(StatusCode::BAD_REQUEST);
        }
        let (mut shed, mut last) = (false, None);
        for (at, event) in events.into_iter().enumerate() {
            if at > 0 {
                // The request itself was counted when it came.
                one(&intake.counters().received);
            }
            match intake.offer_numbered(event) {
                Ok(number) => last = Some(number),
                Err(_) => shed = true,
            }
        }
        self.server.wakes.request();
        if shed {
            return answer(StatusCode::TOO_MANY_REQUESTS);
        }
        // One writer keeps them in order: the last is safe when all are.
        let safe = intake.is_safe(last.unwrap_or_default());
        answer(match timeout(SAFE_WITHIN, safe).await {
            Ok(()) => StatusCode::NO_CONTENT,
            Err(_) => StatusCode::SERVICE_UNAVAILABLE,
        })
    }
}
