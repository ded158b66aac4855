//! Common Event Format, version 0.

use sidewatch_event::Delivery;

/// Header constants of the records written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CefSettings {
    /// Device vendor.
    pub vendor: String,
    /// Device product; an event's `observer.product` takes precedence.
    pub product: String,
    /// Device version.
    pub version: String,
}

impl Default for CefSettings {
    fn default() -> Self {
        Self {
            vendor: "Sidewatch".into(),
            product: "Sidewatch".into(),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// A record taken apart and unescaped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CefRecord {
    /// Device vendor.
    pub vendor: String,
    /// Device product.
    pub product: String,
    /// Device version.
    pub version: String,
    /// Device event class id.
    pub class_id: String,
    /// Name.
    pub name: String,
    /// Severity as written.
    pub severity: String,
    /// Extension keys and values in order.
    pub extensions: Vec<(String, String)>,
}

/// Why a line is no CEF record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CefError {
    /// Does not start with `CEF:0|`.
    #[error("the line does not start with `CEF:0|`")]
    Version,
    /// Fewer than seven header fields.
    #[error("the header has fewer than seven fields")]
    Header,
    /// The extension is no list of `key=value`.
    #[error("the extension is no list of key=value")]
    Extension,
}

/// Appends one record, without a line end.
pub fn encode(_delivery: &Delivery, settings: &CefSettings, out: &mut Vec<u8>) {
    out.extend_from_slice(settings.vendor.as_bytes());
}

/// Takes a record apart.
///
/// # Errors
/// The line is no CEF record.
pub fn decode(_line: &str) -> Result<CefRecord, CefError> {
    Err(CefError::Version)
}
