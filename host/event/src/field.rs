//! The text fields of an event and their Elastic Common Schema names.
//!
//! Fields are listed in the alphabetical order of their names, so an encoder
//! that walks them in order can write nested JSON without buffering.

/// Text field of an [`Event`](crate::Event). Numbers (time, status, address,
/// location …) are plain members of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Field {
    /// Accept-Language as sent: `client.language`.
    ClientLanguage,
    /// Device identifier: MAC, push id or a fingerprint the operator names: `device.id`.
    DeviceId,
    /// desktop, mobile, tablet, bot or tool, from the user agent: `device.type`.
    DeviceType,
    /// `error.code`.
    ErrorCode,
    /// `error.message`.
    ErrorMessage,
    /// What was done, e.g. `login`: `event.action`.
    EventAction,
    /// ECS categories, comma-separated: `event.category`.
    EventCategory,
    /// Signature id of the mapping entry that matched: `event.code`.
    EventCode,
    /// Where the record comes from, e.g. `nginx.access`: `event.dataset`.
    EventDataset,
    /// ECS kind; `event` when absent: `event.kind`.
    EventKind,
    /// The record as received, only when the operator asks for it: `event.original`.
    EventOriginal,
    /// success, failure or unknown: `event.outcome`.
    EventOutcome,
    /// Why it ended so: `event.reason`.
    EventReason,
    /// ECS types, comma-separated: `event.type`.
    EventType,
    /// `group.id`.
    GroupId,
    /// `group.name`.
    GroupName,
    /// X-Forwarded-For as received: client-influenced, never an address to trust: `http.request.forwarded`.
    HttpRequestForwarded,
    /// Request id; joins a mirrored request with its access-log line: `http.request.id`.
    HttpRequestId,
    /// `http.request.method`.
    HttpRequestMethod,
    /// `http.request.referrer`.
    HttpRequestReferrer,
    /// `http.version`.
    HttpVersion,
    /// `log.file.path`.
    LogFilePath,
    /// `message`.
    Message,
    /// http, ws …: `network.protocol`.
    NetworkProtocol,
    /// `observer.hostname`.
    ObserverHostname,
    /// Application the event belongs to (CEF device product): `observer.product`.
    ObserverProduct,
    /// `server.address`.
    ServerAddress,
    /// Keyed hash of the session secret, 32 hexadecimal digits; never the secret: `session.id`.
    SessionId,
    /// Human-readable name of the event (CEF name): `sidewatch.name`.
    SidewatchName,
    /// Named site the event happened at (an institution, an office): `sidewatch.site`.
    SidewatchSite,
    /// `low` when the source's format can be forged by its clients: `sidewatch.trust`.
    SidewatchTrust,
    /// Peer address as received, before the trusted-proxy walk: `source.address`.
    SourceAddress,
    /// `source.as.organization.name`.
    SourceAsOrganizationName,
    /// `source.geo.city_name`.
    SourceGeoCityName,
    /// `source.geo.continent_name`.
    SourceGeoContinentName,
    /// `source.geo.country_iso_code`.
    SourceGeoCountryIsoCode,
    /// `source.geo.country_name`.
    SourceGeoCountryName,
    /// ISO 3166-2, as `CZ-64`: `source.geo.region_iso_code`.
    SourceGeoRegionIsoCode,
    /// `source.geo.region_name`.
    SourceGeoRegionName,
    /// `url.domain`.
    UrlDomain,
    /// Request target as received: `url.original`.
    UrlOriginal,
    /// Decoded, normalised path: `url.path`.
    UrlPath,
    /// Query without secrets: `url.query`.
    UrlQuery,
    /// `url.scheme`.
    UrlScheme,
    /// Realm or directory of the user: `user.domain`.
    UserDomain,
    /// `user.email`.
    UserEmail,
    /// `user.id`.
    UserId,
    /// `user.name`.
    UserName,
    /// `user.roles`.
    UserRoles,
    /// `user.target.email`.
    UserTargetEmail,
    /// `user.target.id`.
    UserTargetId,
    /// `user.target.name`.
    UserTargetName,
    /// `user.target.roles`.
    UserTargetRoles,
    /// `user_agent.name`.
    UserAgentName,
    /// `user_agent.original`.
    UserAgentOriginal,
    /// `user_agent.os.name`.
    UserAgentOsName,
    /// `user_agent.os.version`.
    UserAgentOsVersion,
    /// `user_agent.version`.
    UserAgentVersion,
}

impl Field {
    /// How many text fields there are.
    pub const COUNT: usize = 58;

    /// Every field with its name, in alphabetical order of the names.
    pub const ALL: [(Self, &'static str); Self::COUNT] = [
        (Self::ClientLanguage, "client.language"),
        (Self::DeviceId, "device.id"),
        (Self::DeviceType, "device.type"),
        (Self::ErrorCode, "error.code"),
        (Self::ErrorMessage, "error.message"),
        (Self::EventAction, "event.action"),
        (Self::EventCategory, "event.category"),
        (Self::EventCode, "event.code"),
        (Self::EventDataset, "event.dataset"),
        (Self::EventKind, "event.kind"),
        (Self::EventOriginal, "event.original"),
        (Self::EventOutcome, "event.outcome"),
        (Self::EventReason, "event.reason"),
        (Self::EventType, "event.type"),
        (Self::GroupId, "group.id"),
        (Self::GroupName, "group.name"),
        (Self::HttpRequestForwarded, "http.request.forwarded"),
        (Self::HttpRequestId, "http.request.id"),
        (Self::HttpRequestMethod, "http.request.method"),
        (Self::HttpRequestReferrer, "http.request.referrer"),
        (Self::HttpVersion, "http.version"),
        (Self::LogFilePath, "log.file.path"),
        (Self::Message, "message"),
        (Self::NetworkProtocol, "network.protocol"),
        (Self::ObserverHostname, "observer.hostname"),
        (Self::ObserverProduct, "observer.product"),
        (Self::ServerAddress, "server.address"),
        (Self::SessionId, "session.id"),
        (Self::SidewatchName, "sidewatch.name"),
        (Self::SidewatchSite, "sidewatch.site"),
        (Self::SidewatchTrust, "sidewatch.trust"),
        (Self::SourceAddress, "source.address"),
        (
            Self::SourceAsOrganizationName,
            "source.as.organization.name",
        ),
        (Self::SourceGeoCityName, "source.geo.city_name"),
        (Self::SourceGeoContinentName, "source.geo.continent_name"),
        (Self::SourceGeoCountryIsoCode, "source.geo.country_iso_code"),
        (Self::SourceGeoCountryName, "source.geo.country_name"),
        (Self::SourceGeoRegionIsoCode, "source.geo.region_iso_code"),
        (Self::SourceGeoRegionName, "source.geo.region_name"),
        (Self::UrlDomain, "url.domain"),
        (Self::UrlOriginal, "url.original"),
        (Self::UrlPath, "url.path"),
        (Self::UrlQuery, "url.query"),
        (Self::UrlScheme, "url.scheme"),
        (Self::UserDomain, "user.domain"),
        (Self::UserEmail, "user.email"),
        (Self::UserId, "user.id"),
        (Self::UserName, "user.name"),
        (Self::UserRoles, "user.roles"),
        (Self::UserTargetEmail, "user.target.email"),
        (Self::UserTargetId, "user.target.id"),
        (Self::UserTargetName, "user.target.name"),
        (Self::UserTargetRoles, "user.target.roles"),
        (Self::UserAgentName, "user_agent.name"),
        (Self::UserAgentOriginal, "user_agent.original"),
        (Self::UserAgentOsName, "user_agent.os.name"),
        (Self::UserAgentOsVersion, "user_agent.os.version"),
        (Self::UserAgentVersion, "user_agent.version"),
    ];

    /// The field's ECS (or `sidewatch.*`) name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.get(self as usize).map_or("", |(_, name)| name)
    }

    /// The field of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .binary_search_by(|(_, candidate)| (*candidate).cmp(name))
            .ok()
            .and_then(|at| Self::ALL.get(at))
            .map(|(field, _)| *field)
    }

    /// Number of the field in stored records. Made from its name, so it stays
    /// the same when fields are added.
    #[must_use]
    pub fn code(self) -> u16 {
        CODES.get(self as usize).copied().unwrap_or_default()
    }

    /// The field with that code.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        let at = CODES.iter().position(|known| *known == code)?;
        Self::ALL.get(at).map(|(field, _)| *field)
    }

    /// Whether the text is a comma-separated list.
    #[must_use]
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Self::EventCategory | Self::EventType | Self::UserRoles | Self::UserTargetRoles
        )
    }
}

/// The codes in the order of [`Field::ALL`].
const CODES: [u16; Field::COUNT] = {
    let mut codes = [0; Field::COUNT];
    let mut at = 0;
    while at < Field::COUNT {
        #[expect(clippy::indexing_slicing, reason = "checked by the compiler")]
        {
            codes[at] = code_of(Field::ALL[at].1.as_bytes());
        }
        at += 1;
    }
    codes
};

/// FNV-1a of the name, folded to 16 bits.
const fn code_of(name: &[u8]) -> u16 {
    let mut hash = 0x811c_9dc5_u32;
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        hash = (hash ^ *first as u32).wrapping_mul(0x0100_0193);
        rest = tail;
    }
    (hash ^ (hash >> 16)) as u16
}

/// A field a rule or filter names: one of the fixed ones, or `labels.<name>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldName {
    /// One of the fixed text fields.
    Field(Field),
    /// A label, without its `labels.` prefix.
    Label(Box<str>),
}

impl FieldName {
    /// Parses `url.path`, `labels.choice` and so on.
    ///
    /// # Errors
    /// Returns the name itself when it is neither a field nor a label.
    pub fn parse(name: &str) -> Result<Self, UnknownField> {
        if let Some(label) = name.strip_prefix("labels.")
            && !label.is_empty()
        {
            return Ok(Self::Label(label.into()));
        }
        Field::from_name(name)
            .map(Self::Field)
            .ok_or_else(|| UnknownField(name.into()))
    }
}

/// A name that is no field of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField(pub Box<str>);

impl std::fmt::Display for UnknownField {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "`{}` is no field of an event", self.0)
    }
}

impl std::error::Error for UnknownField {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_found_again() {
        assert!(Field::ALL.windows(2).all(|pair| pair[0].1 < pair[1].1));
        for (at, (field, name)) in Field::ALL.into_iter().enumerate() {
            assert_eq!(field as usize, at);
            assert_eq!(field.name(), name);
            assert_eq!(Field::from_name(name), Some(field));
        }
        assert_eq!(Field::from_name("url.pth"), None);
    }
}
