//! Places in a request, and which of them may be kept in clear.

use serde::{Deserialize, Serialize};

use crate::redact::{SecretPathError, is_secret_name};

/// Where in a request a value is found: `header:X-Username`,
/// `cookie:MMUSERID`, `json:/login_id`, `form:username`, `query:user`,
/// `path:3` (third segment, counted from 1), `plain-cookie:uid` (a cookie whose
/// value is no secret and may be kept as it is).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Locator {
    /// A header, lower-case.
    Header(Box<str>),
    /// A cookie; only the keyed hash of its value is ever kept.
    Cookie(Box<str>),
    /// A cookie the operator says is no secret, only for `user` and `user_id`.
    PlainCookie(Box<str>),
    /// A query key.
    Query(Box<str>),
    /// A field of an `application/x-www-form-urlencoded` body.
    Form(Box<str>),
    /// A JSON pointer into a JSON body.
    Json(Box<str>),
    /// A path segment, counted from 1.
    Path(usize),
}

/// Why request settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestSettingsError {
    /// The text is no locator.
    #[error(
        "`{0}` is no place in a request; write header:, cookie:, plain-cookie:, query:, form:, json:/ or path: and a name"
    )]
    Locator(Box<str>),
    /// A secret would enter events in clear.
    #[error("`{0}` names a secret and may only be used for `session`")]
    Secret(Box<str>),
    /// A pattern of a path with a secret is none.
    #[error("secret_paths: {0}")]
    SecretPath(#[from] SecretPathError),
}

impl std::str::FromStr for Locator {
    type Err = RequestSettingsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || RequestSettingsError::Locator(text.into());
        let (kind, name) = text.split_once(':').ok_or_else(unknown)?;
        if name.is_empty() {
            return Err(unknown());
        }
        match kind {
            "header" => Ok(Self::Header(name.to_ascii_lowercase().into())),
            "cookie" => Ok(Self::Cookie(name.into())),
            "plain-cookie" => Ok(Self::PlainCookie(name.into())),
            "query" => Ok(Self::Query(name.into())),
            "form" => Ok(Self::Form(name.into())),
            "json" if name.starts_with('/') => Ok(Self::Json(name.into())),
            "path" => name
                .parse()
                .ok()
                .filter(|at| *at > 0)
                .map(Self::Path)
                .ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

impl TryFrom<String> for Locator {
    type Error = RequestSettingsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Locator> for String {
    fn from(locator: Locator) -> Self {
        locator.to_string()
    }
}

impl Locator {
    /// The name a value found here has as a label.
    pub(super) fn label(&self) -> String {
        match self {
            Self::Header(name)
            | Self::Cookie(name)
            | Self::PlainCookie(name)
            | Self::Query(name)
            | Self::Form(name) => name.to_string(),
            Self::Json(pointer) => pointer.trim_start_matches('/').replace('/', "."),
            Self::Path(at) => format!("path.{at}"),
        }
    }

    /// Whether what is found here is, or may be, a secret.
    pub(super) fn is_secret(&self) -> bool {
        match self {
            Self::Cookie(_) | Self::PlainCookie(_) => true,
            Self::Header(name) | Self::Query(name) | Self::Form(name) | Self::Json(name) => {
                is_secret_name(name)
            }
            Self::Path(_) => false,
        }
    }

    /// Whether this is a cookie.
    pub(super) fn is_cookie(&self) -> bool {
        matches!(self, Self::Cookie(_) | Self::PlainCookie(_))
    }

    /// Whether the client writes this into the request for once, as into a
    /// form, rather than nginx or the application into a header or path.
    pub(super) fn is_typed(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Form(_) | Self::Json(_))
    }

    /// Whether a user may be read from here: names like `x-auth-user` sound
    /// like a secret but end in what they are, and a cookie may hold an
    /// identifier (`MMUSERID`).
    pub(super) fn may_name_user(&self) -> bool {
        let name = match self {
            Self::Header(name)
            | Self::Cookie(name)
            | Self::PlainCookie(name)
            | Self::Query(name)
            | Self::Form(name)
            | Self::Json(name) => name.to_ascii_lowercase(),
            Self::Path(_) => return true,
        };
        let names_user = ["user", "username", "email", "mail", "login", "name"];
        !is_secret_name(&name) || names_user.iter().any(|end| name.ends_with(end))
    }
}

impl std::fmt::Display for Locator {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(formatter, "header:{name}"),
            Self::Cookie(name) => write!(formatter, "cookie:{name}"),
            Self::PlainCookie(name) => write!(formatter, "plain-cookie:{name}"),
            Self::Query(name) => write!(formatter, "query:{name}"),
            Self::Form(name) => write!(formatter, "form:{name}"),
            Self::Json(name) => write!(formatter, "json:{name}"),
            Self::Path(at) => write!(formatter, "path:{at}"),
        }
    }
}
