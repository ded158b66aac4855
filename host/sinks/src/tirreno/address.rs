//! Where Tirreno is.

use hyper::Uri;
use hyper::header::HeaderValue;
use thiserror::Error;

use crate::connection::Endpoint;

const DEFAULT_PATH: &str = "/sensor/";

/// Why a text is no address of a Tirreno.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Not even a URL, or one of another scheme.
    #[error("write http:// or https://, then the host and, if need be, :port and the path")]
    Malformed,
    /// A user name or password in the URL would show up in logs.
    #[error("remove the user name and password: Tirreno knows its senders by `api_key` alone")]
    Credentials,
    /// Tirreno ignores queries.
    #[error("remove everything from the question mark on: Tirreno ignores it")]
    Query,
}

/// A checked address.
#[derive(Debug, Clone)]
pub(super) struct Address {
    pub(super) secure: bool,
    pub(super) endpoint: Endpoint,
    pub(super) host_header: HeaderValue,
    /// Path in origin form, as it goes into the request line.
    pub(super) path: Uri,
}

impl Address {
    /// Takes the URL apart. An absent path becomes `/sensor/`, and `/sensor`
    /// gets the slash without which the server answers 403.
    pub(super) fn parse(url: &str) -> Result<Self, AddressError> {
        let uri: Uri = url.trim().parse().map_err(|_| AddressError::Malformed)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(AddressError::Malformed),
        };
        let authority = uri.authority().ok_or(AddressError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(AddressError::Credentials);
        }
        if uri.query().is_some() {
            return Err(AddressError::Query);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if secure => 443,
            None => 80,
        };
        if host.is_empty() || port == 0 {
            return Err(AddressError::Malformed);
        }
        let path = match uri.path() {
            "" | "/" => DEFAULT_PATH.to_owned(),
            path if path.ends_with("/sensor") => format!("{path}/"),
            path => path.to_owned(),
        };
        Ok(Self {
            secure,
            endpoint: Endpoint {
                host: host.to_owned(),
                port,
            },
            host_header: HeaderValue::from_str(authority.as_str())
                .map_err(|_| AddressError::Malformed)?,
            path: path.parse().map_err(|_| AddressError::Malformed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_and_port_are_filled_in() {
        let parsed = |url| {
            let address = Address::parse(url).unwrap();
            (
                address.secure,
                address.endpoint.to_string(),
                address.path.to_string(),
            )
        };
        assert_eq!(
            parsed("http://t.example"),
            (false, "t.example:80".into(), "/sensor/".into())
        );
        assert_eq!(
            parsed("https://t.example/"),
            (true, "t.example:443".into(), "/sensor/".into())
        );
        assert_eq!(
            parsed("https://[2001:db8::1]:8443/sensor"),
            (true, "[2001:db8::1]:8443".into(), "/sensor/".into())
        );
        assert_eq!(
            parsed("http://t.example/a/sensor/index.php").2,
            "/a/sensor/index.php"
        );
    }

    #[test]
    fn other_addresses_are_refused() {
        let refused = |url| Address::parse(url).unwrap_err();
        for url in [
            "",
            "t.example",
            "ftp://t.example",
            "http://",
            "/sensor/",
            "http://t.example:0/",
        ] {
            assert_eq!(refused(url), AddressError::Malformed, "{url}");
        }
        assert_eq!(refused("http://u:p@t.example"), AddressError::Credentials);
        assert_eq!(refused("http://t.example/?key=1"), AddressError::Query);
    }
}
