//! The rule `impossible-travel` behind form (a), a record of strings per
//! event, or form (c), an opaque block; form (b) is the real interface.
#![allow(clippy::all, reason = "a measuring fixture")]

#[cfg(feature = "block")]
mod block;
#[cfg(feature = "record")]
mod record;
