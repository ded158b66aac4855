//! Tirreno's ingest form (`POST /sensor/`), written and read.
//!
//! Written for what Tirreno 0.10 does rather than what it says: limits are in
//! bytes and a text cut inside a character loses the event, the referrer is
//! decoded twice, a status of 400 or more turns every event into a page error
//! and so hides failed logins, an empty or missing user name collects
//! everything in one account.

mod read;
mod write;

pub use read::decode_form;
pub use write::{UnsendableError, encode_form, request_id};

#[cfg(test)]
mod tests;
