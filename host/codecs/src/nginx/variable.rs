//! nginx variables: what each may hold, and which part of an event it is.

use sidewatch_event::{Field, REAL_IP_LABEL};

use crate::redact::is_secret_name;

/// What a variable means for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    RemoteAddress,
    RemotePort,
    RealIpAddress,
    RemoteUser,
    UpstreamUser,
    /// The user name by the operator's choice.
    ChosenUser,
    TimeLocal,
    TimeIso,
    Msec,
    /// Any of the three, for JSON logs of unknown origin.
    AnyTime,
    Request,
    Method,
    RequestUri,
    NormalUri,
    Arguments,
    Protocol,
    Status,
    BodyBytes,
    Scheme,
    /// `$host` and `$http_host`.
    Host,
    ServerName,
    ServerPort,
    Referrer,
    /// Kept as it is.
    Text(Field),
    /// A label of that name.
    Label(Box<str>),
    /// The secret of a session; only its hash is kept.
    Session,
    /// A secret, or nothing an event has a place for.
    Dropped,
}

/// Which texts a variable can hold, as far as it matters for finding its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Always so many bytes.
    Fixed(usize),
    /// Neither blanks nor anything a client chooses.
    Word,
    /// nginx' own words, joined by `, ` and ` : `, one per upstream tried.
    List,
    /// Whatever a client or upstream sends.
    Free,
}

/// Whether a label or header of that name may be kept.
fn label(name: &str) -> Meaning {
    if is_secret_name(name) {
        Meaning::Dropped
    } else {
        Meaning::Label(format!("nginx.{name}").into())
    }
}

/// Meaning of `$name`.
pub(super) fn meaning(name: &str) -> Meaning {
    use Meaning::{
        Arguments, BodyBytes, Dropped, Host, Method, Msec, NormalUri, Protocol, RealIpAddress,
        Referrer, RemoteAddress, RemotePort, RemoteUser, Request, RequestUri, Scheme, ServerName,
        ServerPort, Status, Text, TimeIso, TimeLocal, UpstreamUser,
    };
    match name {
        "remote_addr" => RemoteAddress,
        "remote_port" => RemotePort,
        "realip_remote_addr" => RealIpAddress,
        "remote_user" => RemoteUser,
        "upstream_http_x_username" | "sent_http_x_username" => UpstreamUser,
        "time_local" => TimeLocal,
        "time_iso8601" => TimeIso,
        "msec" => Msec,
        "request" => Request,
        "request_method" => Method,
        "request_uri" => RequestUri,
        "uri" | "document_uri" => NormalUri,
        "args" | "query_string" => Arguments,
        "server_protocol" => Protocol,
        "status" => Status,
        "body_bytes_sent" => BodyBytes,
        "scheme" => Scheme,
        "host" | "http_host" => Host,
        "server_name" => ServerName,
        "server_port" => ServerPort,
        "http_referer" => Referrer,
        "http_user_agent" => Text(Field::UserAgentOriginal),
        "http_x_forwarded_for" | "proxy_add_x_forwarded_for" => Text(Field::HttpRequestForwarded),
        "http_accept_language" => Text(Field::ClientLanguage),
        "http_x_request_id" | "request_id" => Text(Field::HttpRequestId),
        "http_x_real_ip" => Meaning::Label(REAL_IP_LABEL.into()),
        "server_addr" => Text(Field::ServerAddress),
        "hostname" => Text(Field::ObserverHostname),
        // Bodies and client certificates hold whatever the client sends.
        "request_body" | "http_cookie" | "http_authorization" | "is_args" | "pipe" => Dropped,
        _ if name.starts_with("cookie_") || name.starts_with("ssl_client_raw") => Dropped,
        _ => match name.strip_prefix("arg_") {
            Some(key) if is_secret_name(key) => Dropped,
            _ => label(name),
        },
    }
}

/// Meaning of a key in a JSON log that no format describes: an nginx variable
/// of that name, or what other writers call the same thing.
pub(super) fn meaning_of_key(path: &str) -> Meaning {
    let name = path.trim_start_matches('/').replace('/', ".");
    let same = match name.as_str() {
        "client_ip" | "clientip" | "remote_ip" | "client.ip" | "client.address" | "ip"
        | "source.ip" | "source.address" | "remote_address" => "remote_addr",
        "user" | "user.name" | "username" | "remote_user_name" => "upstream_http_x_username",
        "@timestamp" | "timestamp" | "time" | "ts" | "datetime" | "date" => {
            return Meaning::AnyTime;
        }
        "method" | "http_method" | "http.request.method" | "verb" => "request_method",
        "url" | "uri" | "request_url" | "path" | "url.original" => "request_uri",
        "url.path" => "uri",
        "query" | "url.query" => "args",
        "status_code" | "http_status" | "http.response.status_code" => "status",
        "bytes" | "bytes_sent" | "body_bytes" | "http.response.body.bytes" => "body_bytes_sent",
        "referer" | "referrer" | "http_referrer" | "http.request.referrer" => "http_referer",
        "user_agent" | "useragent" | "agent" | "ua" | "user_agent.original" => "http_user_agent",
        "x_forwarded_for" | "xff" | "forwarded_for" | "http_x_forwarded" => "http_x_forwarded_for",
        "vhost" | "domain" | "url.domain" => "host",
        "protocol" | "http_version" | "http.version" | "proto" => "server_protocol",
        "x_request_id" | "requestid" | "http.request.id" | "trace_id" => "request_id",
        "remote_port" | "client_port" => "remote_port",
        other => other,
    };
    meaning(same)
}

/// What `$name` can hold.
pub(super) fn shape(name: &str) -> Shape {
    match name {
        "time_local" => Shape::Fixed(26),
        "time_iso8601" => Shape::Fixed(25),
        "remote_addr"
        | "remote_port"
        | "realip_remote_addr"
        | "realip_remote_port"
        | "status"
        | "body_bytes_sent"
        | "bytes_sent"
        | "msec"
        | "request_time"
        | "request_length"
        | "request_id"
        | "request_method"
        | "server_protocol"
        | "server_port"
        | "server_addr"
        | "server_name"
        | "scheme"
        | "https"
        | "pipe"
        | "pid"
        | "connection"
        | "connection_requests"
        | "connection_time"
        | "gzip_ratio"
        | "ssl_protocol"
        | "ssl_cipher"
        | "ssl_session_reused"
        | "hostname"
        | "proxy_protocol_addr"
        | "proxy_protocol_port"
        | "is_args" => Shape::Word,
        "upstream_addr"
        | "upstream_status"
        | "upstream_response_time"
        | "upstream_connect_time"
        | "upstream_header_time"
        | "upstream_response_length"
        | "upstream_bytes_received"
        | "upstream_bytes_sent"
        | "upstream_queue_time" => Shape::List,
        _ => Shape::Free,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_and_credentials_are_never_kept() {
        for name in [
            "http_cookie",
            "http_authorization",
            "http_proxy_authorization",
            "http_x_api_key",
            "cookie_MMAUTHTOKEN",
            "cookie_lang",
            "arg_token",
            "sent_http_set_cookie",
            "request_body",
            "ssl_session_id",
        ] {
            assert_eq!(meaning(name), Meaning::Dropped, "{name}");
        }
    }

    #[test]
    fn unknown_variables_become_labels() {
        assert_eq!(
            meaning("geoip_city"),
            Meaning::Label("nginx.geoip_city".into())
        );
        assert_eq!(
            meaning("http_x_device"),
            Meaning::Label("nginx.http_x_device".into())
        );
    }
}
