//! What is sent on, and how.

use sidewatch_codecs::{json, tirreno};
use sidewatch_event::{Activity, Delivery, Field};

use crate::settings::{Destination, Selection};

/// Media type of records one a line.
pub const LINES: &str = "application/x-ndjson";
/// Media type of Tirreno's form.
pub const FORM: &str = "application/x-www-form-urlencoded";

/// A request to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `X-Request-Id`, where the receiver keeps one.
    pub request_id: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Whether a record is wanted.
#[must_use]
pub fn is_wanted(selection: Selection, delivery: &Delivery) -> bool {
    let Delivery::Event(event) = delivery else {
        return true;
    };
    match selection {
        Selection::All => true,
        Selection::Findings => false,
        Selection::Security => {
            let categories = event.get(Field::EventCategory).unwrap_or_default();
            event.status >= 400
                || event.activity != Activity::Other
                || categories
                    .split(',')
                    .any(|one| matches!(one, "authentication" | "session" | "iam"))
        }
    }
}

/// A body is ended before it grows longer than receivers take.
const LONGEST_BODY: usize = 48 << 10;

fn lines(deliveries: &[Delivery]) -> Vec<Outgoing> {
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for delivery in deliveries {
        let mut line = Vec::with_capacity(1024);
        json::encode(delivery, &mut line);
        line.push(b'\n');
        match bodies.last_mut() {
            Some(body) if body.len() + line.len() <= LONGEST_BODY => body.append(&mut line),
            _ => bodies.push(line),
        }
    }
    let request = |body| Outgoing {
        content_type: LINES,
        request_id: None,
        body,
    };
    bodies.into_iter().map(request).collect()
}

/// The requests that carry the records, in order. `now` is in milliseconds.
/// Records a receiver cannot take are left out and noted.
#[must_use]
pub fn requests(
    destination: Destination,
    deliveries: &[Delivery],
    now: i64,
    notes: &mut Vec<String>,
) -> Vec<Outgoing> {
    match destination {
        Destination::Nowhere => Vec::new(),
        Destination::Sidewatch | Destination::Webhook => lines(deliveries),
        Destination::Tirreno => {
            let mut requests = Vec::with_capacity(deliveries.len());
            for delivery in deliveries {
                let mut form = String::new();
                match tirreno::encode_form(delivery, now, &mut form) {
                    Ok(()) => requests.push(Outgoing {
                        content_type: FORM,
                        request_id: tirreno::request_id(delivery).map(str::to_owned),
                        body: form.into_bytes(),
                    }),
                    Err(error) => notes.push(error.to_string()),
                }
            }
            requests
        }
    }
}
