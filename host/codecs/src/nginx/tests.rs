//! Lines of any `log_format` read back what nginx wrote.

use proptest::prelude::*;
use sidewatch_event::{Event, Field};

use super::*;

const TIME: i64 = 1_795_222_923_000;

fn decoded(format: &LogFormat, line: &[u8]) -> Event {
    let mut event = Event::new();
    format.decode(line, &mut event).unwrap();
    event
}

fn combined(line: &str) -> Event {
    decoded(&LogFormat::preset("combined").unwrap(), line.as_bytes())
}

fn get(event: &Event, field: Field) -> &str {
    event.get(field).unwrap_or("(absent)")
}

#[test]
fn a_combined_line_fills_the_event() {
    let event = combined(concat!(
        "203.0.113.7 - zo\\xC3\\xAB [21/Nov/2026:01:02:03 +0100] \"POST /a//b?token=s3cret&x=1 HTTP/2.0\" 302 154 ",
        "\"https://u:p@example.org/?code=s3cret\" \"Mozilla/5.0 (X11) \\x22q\\x22\"\r\n"
    ));
    assert_eq!(event.time, TIME - 3_600_000);
    assert_eq!(event.peer_ip, Some([203, 0, 113, 7].into()));
    assert_eq!((event.status, event.response_bytes), (302, Some(154)));
    assert_eq!(get(&event, Field::UserName), "zoë");
    assert_eq!(get(&event, Field::HttpRequestMethod), "POST");
    assert_eq!(get(&event, Field::HttpVersion), "2.0");
    assert_eq!(get(&event, Field::UrlOriginal), "/a//b?token=REDACTED&x=1");
    assert_eq!(get(&event, Field::UrlPath), "/a/b");
    assert_eq!(get(&event, Field::UrlQuery), "token=REDACTED&x=1");
    assert_eq!(
        get(&event, Field::HttpRequestReferrer),
        "https://example.org/?code=REDACTED"
    );
    assert_eq!(
        get(&event, Field::UserAgentOriginal),
        "Mozilla/5.0 (X11) \"q\""
    );
    assert_eq!(get(&event, Field::EventDataset), "nginx.access");
    assert!(!event.lossy);
}

#[test]
fn odd_but_real_lines_are_read() {
    let rest = "[21/Nov/2026:01:02:03 +0000]";
    let event = combined(&format!("unix: - - {rest} \"GET /old\" 200 5 \"\" \"\""));
    assert_eq!(
        (event.peer_ip, get(&event, Field::SourceAddress)),
        (None, "unix:")
    );
    assert_eq!(
        (get(&event, Field::HttpVersion), get(&event, Field::UrlPath)),
        ("0.9", "/old")
    );
    assert_eq!(
        (
            event.get(Field::UserAgentOriginal),
            event.get(Field::HttpRequestReferrer)
        ),
        (None, None)
    );

    let event = combined(&format!(
        "2001:db8::1 - - {rest} \"GET /a b HTTP/1.1\" 400 - \"-\" \"-\""
    ));
    assert_eq!(event.peer_ip, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(
        (get(&event, Field::UrlOriginal), event.response_bytes),
        ("/a b", None)
    );

    let event = combined(&format!(
        "::1 - - {rest} \"\\x16\\x03\\x01\\x02\" 400 157 \"-\" \"-\""
    ));
    assert_eq!(
        (event.get(Field::UrlOriginal), event.label("nginx.request")),
        (None, Some("\u{16}\u{3}\u{1}\u{2}"))
    );

    let event = combined(&format!(
        "::1 - - {rest} \"GET http://Host:81/x HTTP/1.1\" 200 1 \"-\" \"\\xFF\\xFE\""
    ));
    assert_eq!(
        (get(&event, Field::UrlDomain), get(&event, Field::UrlScheme)),
        ("host", "http")
    );
    assert_eq!(
        (get(&event, Field::UserAgentOriginal), event.lossy),
        ("\\xFF\\xFE", true)
    );
}

#[test]
fn an_empty_header_shifts_nothing() {
    let format = LogFormat::preset("archivematica").unwrap();
    let line = "::1 - - [21/Nov/2026:01:02:03 +0000] \"GET /a HTTP/1.1\" 200 1 \"\" \"\" \"198.51.100.4\" user=zoe";
    let event = decoded(&format, line.as_bytes());
    assert_eq!(
        (
            get(&event, Field::UserName),
            event.get(Field::UserAgentOriginal)
        ),
        ("zoe", None)
    );
    assert_eq!(get(&event, Field::HttpRequestForwarded), "198.51.100.4");
}

#[test]
fn archivematica_lines_of_all_three_forms_are_read() {
    let format = LogFormat::preset("archivematica").unwrap();
    let start = "::1 - - [21/Nov/2026:01:02:03 +0000] \"GET /a HTTP/1.1\" 200 1 \"r\" \"ua\"";
    for (end, user, forwarded) in [
        (" \"-\" user=zoe", "zoe", "(absent)"),
        (" \"10.0.0.1\" user=-", "(absent)", "10.0.0.1"),
        (" \"10.0.0.1\"", "(absent)", "10.0.0.1"),
        ("", "(absent)", "(absent)"),
    ] {
        let event = decoded(&format, format!("{start}{end}").as_bytes());
        assert_eq!(get(&event, Field::UserName), user);
        assert_eq!(get(&event, Field::HttpRequestForwarded), forwarded);
        assert_eq!(get(&event, Field::UserAgentOriginal), "ua");
    }
}

#[test]
fn a_failed_attempt_leaves_nothing_behind_but_what_the_source_set() {
    let format = LogFormat::preset("archivematica").unwrap();
    let mut event = Event::new();
    (event.received, event.source) = (7, Some("log".into()));
    let result = format.decode(b"::1 - zoe [21/Nov/2026:01:02:03 +0000] \"GET", &mut event);
    assert!(result.is_err());
    assert_eq!(
        (
            event.received,
            event.source.as_deref(),
            event.get(Field::UserName)
        ),
        (7, Some("log"), None)
    );
}

#[test]
fn errors_name_column_and_field() {
    let format = LogFormat::preset("combined").unwrap();
    for (line, message) in [
        (
            "x - - [",
            "column 1: `remote_addr` is not an IP address or `unix:`",
        ),
        (
            "::1 - - [31/Feb/2026:01:02:03 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
            "column 10: `time_local` is not a time like `21/Nov/2026:01:02:03 +0000`",
        ),
        (
            "::1 - - [21/Nov/2026:01:02:03 +0000] \"GET / HTTP/1.1\" 2x0 1 \"-\" \"-\"",
            "column 55: `status` is not a status of three digits",
        ),
        (
            "::1 - - [21/Nov/2026:01:02:03 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\" more",
            "column 68: text after the end of the format",
        ),
        (
            "::1 - - [21/Nov/2026:01:02:03 +0000] \"GET / HTTP/1.1",
            "column 53: expected `\" ` after `request`; does the format match the log?",
        ),
    ] {
        assert_eq!(
            format
                .decode(line.as_bytes(), &mut Event::new())
                .unwrap_err()
                .to_string(),
            message,
            "{line}"
        );
    }
}

#[test]
fn the_most_exact_time_host_and_user_win() {
    let text = "$server_name $msec [$time_local] \"$http_host\" \"$upstream_http_x_username\" \"$remote_user\"";
    let format = LogFormat::compile(text).unwrap();
    let line = "fallback 1795222923.456 [21/Nov/2026:01:02:03 +0000] \"Real.example:443\" \"zoe\" \"basic\"";
    let event = decoded(&format, line.as_bytes());
    assert_eq!(event.time, TIME + 456);
    assert_eq!(
        (get(&event, Field::UrlDomain), get(&event, Field::UserName)),
        ("real.example", "zoe")
    );
}

#[test]
fn a_session_is_known_by_its_hash_only() {
    let text =
        "$remote_addr \"$request\" \"$cookie_sessionid\" \"$http_cookie\" \"$http_x_api_key\"";
    let line = b"::1 \"GET / HTTP/1.1\" \"S3CRET\" \"sessionid=S3CRET\" \"S3CRET\"";
    let key = PseudonymKey::new([3; 32]);
    let format = LogFormat::compile(text).unwrap();
    assert!(format.has_variable("cookie_sessionid"));
    assert_eq!(decoded(&format, line).get(Field::SessionId), None);
    let event = decoded(&format.with_session("cookie_sessionid", key.clone()), line);
    let expected = key
        .pseudonym("session", b"S3CRET")
        .map(char::from)
        .iter()
        .collect::<String>();
    assert_eq!(get(&event, Field::SessionId), expected);
    assert!(!format!("{event:?}").contains("S3CRET"));
}

#[test]
fn json_formats_are_read_by_their_keys() {
    let format = LogFormat::compile(concat!(
        "log_format j escape=json '{\"t\":\"$time_iso8601\",\"http\":{\"line\":\"$request_method $request_uri\"},'\n",
        "'\"status\":$status,\"ua\":\"$http_user_agent\",\"city\":\"$geoip_city\",\"rt\":$upstream_response_time}';"
    ))
    .unwrap();
    assert!(!format.is_forgeable());
    let line = concat!(
        "{\"extra\":1,\"status\":404,\"http\":{\"line\":\"GET /a?key=s3cret\"},\"ua\":\"a\\\"\\u00e9\\\\xFF\",",
        "\"t\":\"2026-11-21T01:02:03+00:00\",\"city\":\"Brno\",\"rt\":-}"
    );
    let event = decoded(&format, line.as_bytes());
    assert_eq!((event.time, event.status), (TIME, 404));
    assert_eq!(
        (
            get(&event, Field::UrlOriginal),
            get(&event, Field::UserAgentOriginal)
        ),
        ("/a?key=REDACTED", "a\"é\\xFF")
    );
    assert_eq!(event.label("nginx.geoip_city"), Some("Brno"));
}

#[test]
fn json_lines_with_broken_text_lose_nothing() {
    let format = LogFormat::preset("json").unwrap();
    let line = b"{\"time\":1795222923.0,\"remote_addr\":\"::1\",\"method\":\"GET\",\"url\":\"/x\",\"status\":\"200\",\
        \"status\":201,\"user_agent\":\"a\xff\\xFEb\",\"password\":\"s3cret\",\"colour\":\"red\",\"nothing\":null}";
    let event = decoded(&format, line);
    assert_eq!((event.time, event.status), (TIME, 201));
    assert_eq!(
        (get(&event, Field::UserAgentOriginal), event.lossy),
        ("a\\xFF\\xFEb", true)
    );
    assert_eq!(
        (event.label("nginx.colour"), event.label("nginx.nothing")),
        (Some("red"), None)
    );
    assert!(!format!("{event:?}").contains("s3cret"));
    assert!(format.decode(b"not json", &mut Event::new()).is_err());
    let error = format
        .decode(br#"{"a":1,"status":"2x0"}"#, &mut Event::new())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "column 18: `status` is not a status of three digits"
    );
}

#[test]
fn an_unquoted_json_value_of_the_clients_is_not_trusted() {
    let format = LogFormat::compile(r#"{"ua":$http_user_agent,"status":$status}"#).unwrap();
    assert!(format.is_forgeable());
    assert_eq!(
        get(
            &decoded(&format, br#"{"ua":x,"status":200}"#),
            Field::SidewatchTrust
        ),
        "low"
    );
}

#[test]
fn events_without_a_time_have_that_of_their_receipt() {
    let format = LogFormat::compile("$status").unwrap();
    let mut event = Event::new();
    event.received = 42;
    format.decode(b"200", &mut event).unwrap();
    assert_eq!(event.time, 42);
}

#[test]
fn a_hostile_line_takes_linear_time() {
    let format = LogFormat::preset("archivematica").unwrap();
    for filler in [
        "a ",
        "\" \"",
        "[21/Nov/2026:01:02:03 +0000] \"x",
        "%25",
        "?a=%3D",
        "/../",
        "\\x5C",
    ] {
        let line = format!(
            "::1 - - [21/Nov/2026:01:02:03 +0000] \"GET /{} HTTP/3.0\" 200",
            filler.repeat(20_000)
        );
        assert!(format.decode(line.as_bytes(), &mut Event::new()).is_err());
    }
}

/// The line nginx writes for these values with `escape=default`.
fn written(user: &str, target: &str, agent: &str) -> String {
    let escape = |text: &str| {
        let mut out = String::new();
        for byte in text.bytes() {
            match byte {
                b'"' | b'\\' | 0..0x20 | 0x7f.. => out.push_str(&format!("\\x{byte:02X}")),
                _ => out.push(char::from(byte)),
            }
        }
        out
    };
    format!(
        "192.0.2.1 - {} [21/Nov/2026:01:02:03 +0000] \"GET {} HTTP/1.1\" 200 9 \"-\" \"{}\"",
        escape(user),
        escape(target),
        escape(agent)
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_value_can_pose_as_another(user in ".{1,30}", target in "/[^=%;@]{0,30}", agent in ".{1,30}") {
        prop_assume!(user != "-" && agent != "-");
        let event = combined(&written(&user, &target, &agent));
        prop_assert_eq!(event.get(Field::UserName), Some(user.as_str()));
        prop_assert_eq!(event.get(Field::UrlOriginal), Some(target.as_str()));
        prop_assert_eq!(event.get(Field::UserAgentOriginal), Some(agent.as_str()));
        prop_assert_eq!((event.status, event.time), (200, TIME));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), preset in 0..4_usize) {
        let format = LogFormat::preset(LogFormat::PRESETS[preset]).unwrap();
        let mut event = Event::new();
        prop_assert!(format.decode(&bytes, &mut event).is_err() || event.own(Field::EventDataset).is_some());
    }

    #[test]
    fn no_format_text_panics(text in "[$a-c{}\"'#;, \\\\\\n]{0,40}", line in "[a-c{}\", ]{0,40}") {
        if let Ok(format) = LogFormat::compile(&text) {
            let mut event = Event::new();
            prop_assert!(format.decode(line.as_bytes(), &mut event).is_err() || event.time == 0);
        }
    }
}
