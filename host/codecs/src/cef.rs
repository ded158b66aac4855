//! Common Event Format, version 0.
//!
//! Header fields escape `\` and `|`, extension values `\`, `=`, CR and LF.
//! Any other character that ends lines or drives terminals is replaced
//! visibly (`#007`, `<U+2028>`), so a record is one line to every reader. Keys
//! come from a fixed list; what an event holds can never become one.

mod read;
mod request;
mod write;

pub use read::{CefError, decode};
pub use write::{encode, encode_event};

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
    /// Which keys an event has.
    pub layout: Layout,
}

/// Which extension keys are written for an event. Findings have their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Everything the key dictionary has a place for.
    #[default]
    Full,
    /// Client, time, request, address, user and message only, in the order
    /// consumers of auditmatica's records know.
    Request,
}

impl Default for CefSettings {
    fn default() -> Self {
        Self {
            vendor: "Sidewatch".into(),
            product: "Sidewatch".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            layout: Layout::Full,
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

#[cfg(test)]
mod tests;
