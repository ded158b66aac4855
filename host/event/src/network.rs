//! Kinds of network an address can belong to.
//!
//! A location learnt from a VPN exit, a relay or an aeroplane's satellite link
//! says nothing about where a person is, so rules treat these kinds on purpose.

use serde::{Deserialize, Serialize};

/// Kind of the network behind a source address. The numbers cross the rule
/// boundary (`event.network-kind` in `wit/types.wit`) and are never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum NetworkKind {
    /// Nothing known.
    #[default]
    Unknown = 0,
    /// A fixed line of a household.
    Residential = 1,
    /// A mobile carrier: addresses surface far from the phone.
    Mobile = 2,
    /// A data centre.
    Hosting = 3,
    /// A VPN exit.
    Vpn = 4,
    /// A privacy relay (such as a browser maker's).
    Relay = 5,
    /// A Tor exit.
    Tor = 6,
    /// Satellite or in-flight access.
    Satellite = 7,
    /// The operator's own egress or office.
    Corporate = 8,
    /// Private, loopback, link-local or shared address space.
    Private = 9,
    /// A fixed site with known coordinates (an eduroam institution).
    Site = 10,
}

impl NetworkKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Unknown,
        Self::Residential,
        Self::Mobile,
        Self::Hosting,
        Self::Vpn,
        Self::Relay,
        Self::Tor,
        Self::Satellite,
        Self::Corporate,
        Self::Private,
        Self::Site,
    ];

    /// The name used in configuration, metrics and outputs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Residential => "residential",
            Self::Mobile => "mobile",
            Self::Hosting => "hosting",
            Self::Vpn => "vpn",
            Self::Relay => "relay",
            Self::Tor => "tor",
            Self::Satellite => "satellite",
            Self::Corporate => "corporate",
            Self::Private => "private",
            Self::Site => "site",
        }
    }
}
