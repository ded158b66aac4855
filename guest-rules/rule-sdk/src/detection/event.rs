//! The event as a rule sees it: numbers in place, texts on demand.

use std::net::{IpAddr, Ipv6Addr};

use super::wire;
use crate::{ABSENT, slice};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// A page view, an API call, or a kind newer than this rule.
    Other,
    /// An authentication that succeeded.
    LoginSuccess,
    /// A wrong credential.
    LoginFailure,
    /// The application asked for a second factor: not a failure.
    MfaPrompt,
    /// A wrong second factor.
    MfaFailure,
    /// A session ended by its user.
    Logout,
    /// A password changed or reset.
    PasswordChange,
    /// A token or key created.
    TokenCreation,
    /// Second factor removed or disabled.
    MfaRemoval,
    /// A permission refused.
    PermissionDenied,
    /// A mirrored request without its outcome: anybody can have sent it.
    Unanswered,
}

impl Activity {
    /// Every activity with its name, in the order of their numbers.
    pub const ALL: [(Self, &'static str); 11] = [
        (Self::Other, "other"),
        (Self::LoginSuccess, "login-success"),
        (Self::LoginFailure, "login-failure"),
        (Self::MfaPrompt, "mfa-prompt"),
        (Self::MfaFailure, "mfa-failure"),
        (Self::Logout, "logout"),
        (Self::PasswordChange, "password-change"),
        (Self::TokenCreation, "token-creation"),
        (Self::MfaRemoval, "mfa-removal"),
        (Self::PermissionDenied, "permission-denied"),
        (Self::Unanswered, "unanswered"),
    ];
}

/// Kind of the network behind the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkKind {
    /// Nothing known, or a kind newer than this rule.
    Unknown,
    /// A household's fixed line.
    Residential,
    /// A mobile carrier.
    Mobile,
    /// A data centre.
    Hosting,
    /// A VPN exit.
    Vpn,
    /// A privacy relay.
    Relay,
    /// A Tor exit.
    Tor,
    /// Satellite or in-flight access.
    Satellite,
    /// The operator's own egress or office.
    Corporate,
    /// Private address space.
    Private,
    /// A fixed site with known coordinates.
    Site,
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

    /// From the number on the wire.
    #[must_use]
    pub fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Residential,
            2 => Self::Mobile,
            3 => Self::Hosting,
            4 => Self::Vpn,
            5 => Self::Relay,
            6 => Self::Tor,
            7 => Self::Satellite,
            8 => Self::Corporate,
            9 => Self::Private,
            10 => Self::Site,
            _ => Self::Unknown,
        }
    }

    /// The name used in configuration and evidence.
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

/// Where an address is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
    /// Radius of uncertainty in kilometres.
    pub accuracy_km: f32,
}

/// One event of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    numbers: &'a wire::Event,
    block: &'a [u8],
    texts: &'a [wire::Span],
}

impl<'a> Event<'a> {
    pub(crate) fn new(numbers: &'a wire::Event, block: &'a [u8], texts: &'a [wire::Span]) -> Self {
        Self {
            numbers,
            block,
            texts,
        }
    }

    /// An event without its texts.
    #[must_use]
    pub fn without_texts(numbers: &'a wire::Event) -> Self {
        Self::new(numbers, &[], &[])
    }

    /// Event time, milliseconds since the Unix epoch, UTC.
    #[must_use]
    pub fn time(&self) -> i64 {
        self.numbers.time
    }

    /// Keyed hash of the user; 0 when absent.
    #[must_use]
    pub fn user(&self) -> u64 {
        self.numbers.user
    }

    /// Keyed hash of the session; 0 when absent.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.numbers.session
    }

    /// Keyed hash of the device identifier; 0 when absent.
    #[must_use]
    pub fn device(&self) -> u64 {
        self.numbers.device
    }

    /// Keyed hash of user-agent family and operating system; 0 when absent.
    #[must_use]
    pub fn user_agent(&self) -> u64 {
        self.numbers.user_agent
    }

    /// The address as two big-endian halves of its IPv6 form; `(0, 0)` when
    /// unknown.
    #[must_use]
    pub fn address_halves(&self) -> (u64, u64) {
        (self.numbers.address_high, self.numbers.address_low)
    }

    /// The client's address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.address_halves() {
            (0, 0) => None,
            (high, low) => {
                let address = Ipv6Addr::from((u128::from(high) << 64) | u128::from(low));
                Some(
                    address
                        .to_ipv4_mapped()
                        .map_or(IpAddr::V6(address), IpAddr::V4),
                )
            }
        }
    }

    /// The address' network: its /24 for IPv4, its /48 for IPv6, as one number
    /// that is equal exactly when the networks are. 0 when unknown.
    #[must_use]
    pub fn network(&self) -> u64 {
        match self.address_halves() {
            (0, low) => low >> 8,
            (high, _) => high >> 16 << 16,
        }
    }

    /// Event time in whole seconds since the Unix epoch; `None` when it is
    /// unknown (0) or beyond the year 2106. Half the bytes in a state.
    #[must_use]
    pub fn seconds(&self) -> Option<u32> {
        u32::try_from(self.numbers.time.div_euclid(1000))
            .ok()
            .filter(|seconds| *seconds != 0)
    }

    /// Coordinates, when they can be a place: not NaN, on the globe, and not
    /// exactly 0,0, which databases use for "nothing known". A radius that is
    /// none counts as 0.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        let wire::Event {
            latitude,
            longitude,
            accuracy,
            ..
        } = *self.numbers;
        let on_the_globe = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
        let unset = latitude == 0.0 && longitude == 0.0;
        let accuracy_km = if accuracy.is_finite() {
            accuracy.max(0.0)
        } else {
            0.0
        };
        (on_the_globe && !unset).then_some(Location {
            latitude,
            longitude,
            accuracy_km,
        })
    }

    /// Autonomous system number; 0 when unknown.
    #[must_use]
    pub fn as_number(&self) -> u32 {
        self.numbers.as_number
    }

    /// ISO country letters packed into bits 8-15 and 0-7; 0 when unknown.
    #[must_use]
    pub fn country(&self) -> u32 {
        self.numbers.country
    }

    /// Kind of network.
    #[must_use]
    pub fn network_kind(&self) -> NetworkKind {
        NetworkKind::from_number(self.numbers.network_kind)
    }

    /// What was done.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match self.numbers.activity {
            1 => Activity::LoginSuccess,
            2 => Activity::LoginFailure,
            3 => Activity::MfaPrompt,
            4 => Activity::MfaFailure,
            5 => Activity::Logout,
            6 => Activity::PasswordChange,
            7 => Activity::TokenCreation,
            8 => Activity::MfaRemoval,
            9 => Activity::PermissionDenied,
            10 => Activity::Unanswered,
            _ => Activity::Other,
        }
    }

    /// Whether this is a failed login (a second-factor prompt is not).
    #[must_use]
    pub fn is_login_failure(&self) -> bool {
        self.activity() == Activity::LoginFailure
    }

    /// Whether the application knew the user: it served the request, or refused
    /// it for want of a right (403). Only such events say where a user is: a
    /// name on a request that was redirected, not found or not yet answered is
    /// one that anybody may have written there. A source that knows no status
    /// (0) reports what has happened.
    #[must_use]
    pub fn is_presence(&self) -> bool {
        let served = matches!(self.numbers.status, 0 | 101 | 200..=299 | 304 | 403);
        match self.activity() {
            Activity::LoginFailure
            | Activity::MfaPrompt
            | Activity::MfaFailure
            | Activity::Unanswered => false,
            // A form answered with a redirect, as servers of pages do.
            Activity::LoginSuccess
            | Activity::PasswordChange
            | Activity::TokenCreation
            | Activity::MfaRemoval => served || matches!(self.numbers.status, 302 | 303),
            Activity::Logout | Activity::PermissionDenied | Activity::Other => served,
        }
    }

    /// HTTP status; 0 when unknown.
    #[must_use]
    pub fn status(&self) -> u32 {
        self.numbers.status
    }

    /// Text number `index` of [`Description::reads`](super::Description::reads).
    #[must_use]
    pub fn text(&self, index: usize) -> Option<&'a str> {
        let span = self.texts.get(index)?;
        if span.start == ABSENT {
            return None;
        }
        core::str::from_utf8(slice(self.block, span.start, span.length)?).ok()
    }
}

/// The network of an address, given as in [`Event::address_halves`], as text:
/// `192.0.2.0/24` or `2001:db8:7::/48`.
#[must_use]
pub fn network_text(address: (u64, u64)) -> String {
    match address {
        (0, low) => {
            let [_, _, _, _, a, b, c, _] = low.to_be_bytes();
            format!("{a}.{b}.{c}.0/24")
        }
        (high, _) => {
            let bits = u128::from(high >> 16 << 16) << 64;
            format!("{}/48", Ipv6Addr::from(bits))
        }
    }
}

#[cfg(test)]
mod tests;
