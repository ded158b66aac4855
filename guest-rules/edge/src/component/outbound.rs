//! Sending on, to the one receiver the application was built for.

use bytes::Bytes;
use spin_sdk::http::{FullBody, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, send};
use spin_sdk::wasip3::http::types::RequestOptions;
use spin_sdk::wasip3::http_compat::RequestOptionsExtension;

use crate::deliver::Outgoing;

/// Nanoseconds until a receiver that says nothing is given up.
const PATIENCE: u64 = 10_000_000_000;

/// Where to, and how it knows us.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) uri: Uri,
    pub(super) credential: Option<(HeaderName, HeaderValue)>,
}

/// Sends requests one after the other, so that a user's records stay in order.
/// The first that is not taken ends it.
///
/// The text says why and names no secret; the number says how many were taken.
pub(super) async fn send_all(
    receiver: &Option<Receiver>,
    outgoing: &[Outgoing],
) -> Result<(), (usize, String)> {
    let Some(receiver) = receiver else {
        return Ok(());
    };
    for (taken, request) in outgoing.iter().enumerate() {
        let answer = send(assemble(receiver, request))
            .await
            .map_err(|error| (taken, format!("the receiver cannot be reached: {error}; spin.toml must list it in `allowed_outbound_hosts`")))?;
        let status = answer.status();
        // Tirreno answers 200 to what it refuses.
        if !status.is_success() || (status == StatusCode::OK && receiver.is_tirreno()) {
            return Err((taken, format!("the receiver answered {status}")));
        }
    }
    Ok(())
}

impl Receiver {
    fn is_tirreno(&self) -> bool {
        self.credential
            .as_ref()
            .is_some_and(|(name, _)| name == "api-key")
    }
}

fn assemble(receiver: &Receiver, outgoing: &Outgoing) -> Request<FullBody<Bytes>> {
    let length = outgoing.body.len();
    let mut request = Request::new(FullBody::new(Bytes::from(outgoing.body.clone())));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = receiver.uri.clone();
    let headers = request.headers_mut();
    headers.insert(
        "content-type",
        HeaderValue::from_static(outgoing.content_type),
    );
    headers.insert("content-length", HeaderValue::from(length));
    if let Some(id) = outgoing
        .request_id
        .as_deref()
        .and_then(|id| HeaderValue::from_str(id).ok())
    {
        headers.insert("x-request-id", id);
    }
    if let Some((name, value)) = &receiver.credential {
        headers.insert(name.clone(), value.clone());
    }
    let options = RequestOptions::new();
    // A runtime without timeouts says so; its own apply then.
    drop(options.set_connect_timeout(Some(PATIENCE)));
    drop(options.set_first_byte_timeout(Some(PATIENCE)));
    request
        .extensions_mut()
        .insert(RequestOptionsExtension(options));
    request
}
