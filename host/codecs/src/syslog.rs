//! Syslog, both RFC 3164 and RFC 5424, read and written.
//!
//! What is written never holds a control character, so it stays one record
//! under octet counting, line framing and in a datagram alike: such bytes
//! become `#ooo` (octal), as rsyslog writes them.

mod framing;
mod read;
mod write;

pub use framing::{Split, Splitter, frame_octet_counted};
pub use read::{SyslogError, decode, structured_params};
pub use write::{encode_3164, encode_5424, severity_of};

#[cfg(test)]
mod tests;

/// What precedes a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyslogHeader<'a> {
    /// 0 (kern) to 23 (local7).
    pub facility: u8,
    /// 0 (emergency) to 7 (debug).
    pub severity: u8,
    /// Milliseconds since the Unix epoch, UTC.
    pub time: i64,
    /// Sender; empty is written as `-`.
    pub hostname: &'a str,
    /// Program; empty is written as `-`.
    pub app_name: &'a str,
    /// Process id; empty is written as `-`.
    pub process_id: &'a str,
    /// Kind of message; empty is written as `-`. RFC 5424 only.
    pub message_id: &'a str,
    /// Structured data. RFC 5424 only.
    pub structured_data: &'a [SdElement<'a>],
}

/// One element of structured data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SdElement<'a> {
    /// Name, `sidewatch@32473` and the like.
    pub id: &'a str,
    /// Names and values.
    pub params: &'a [(&'a str, &'a str)],
}

/// A syslog message taken apart, borrowing from the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyslogMessage<'a> {
    /// 0 (kern) to 23 (local7).
    pub facility: u8,
    /// 0 (emergency) to 7 (debug).
    pub severity: u8,
    /// Milliseconds since the Unix epoch, UTC; absent when unknown.
    pub time: Option<i64>,
    /// Sender; empty when absent.
    pub hostname: &'a str,
    /// Program or tag; empty when absent.
    pub app_name: &'a str,
    /// Process id; empty when absent.
    pub process_id: &'a str,
    /// RFC 5424 MSGID; empty when absent.
    pub message_id: &'a str,
    /// RFC 5424 structured data as received; empty when absent.
    pub structured_data: &'a str,
    /// The message, without byte-order mark and trailing line end or NUL.
    pub message: &'a [u8],
}
