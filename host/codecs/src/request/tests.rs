//! Mirrored requests: who, which session, what stays out.

use proptest::prelude::*;

use super::*;

fn key() -> PseudonymKey {
    PseudonymKey::new([5; 32])
}

fn places(list: &[&str]) -> Vec<Locator> {
    list.iter().map(|text| text.parse().unwrap()).collect()
}

fn settings() -> RequestSettings {
    RequestSettings {
        user: places(&[
            "header:X-Username",
            "json:/login_id",
            "form:username",
            "query:user",
        ]),
        user_id: places(&["cookie:MMUSERID", "path:3"]),
        session: places(&["cookie:MMAUTHTOKEN"]),
        device: places(&["json:/device_id", "cookie:device"]),
        labels: places(&["form:choice", "json:/props/kind"]),
        flags: places(&["form:new_password", "form:enabled"]),
        ..RequestSettings::default()
    }
}

fn decode(target: &str, headers: &[(&str, &[u8])], body: &[u8], body_truncated: bool) -> Event {
    decode_with(&settings(), target, headers, body, body_truncated)
}

fn decode_with(
    settings: &RequestSettings,
    target: &str,
    headers: &[(&str, &[u8])],
    body: &[u8],
    body_truncated: bool,
) -> Event {
    let codec = RequestCodec::new(settings, key()).unwrap();
    let mut event = Event::new();
    let view = RequestView {
        method: "POST",
        target,
        version: "1.1",
        headers: &mut headers.iter().copied(),
        body,
        body_truncated,
        peer: Some([127, 0, 0, 1].into()),
        received: 1_000,
    };
    codec.decode(view, &mut event);
    event
}

fn hashed(domain: &str, value: &str) -> String {
    let mut out = String::new();
    key().write(domain, value.as_bytes(), &mut out);
    out
}

#[test]
fn the_original_request_is_restored() {
    let event = decode(
        "/mirror",
        &[
            ("X-Original-URI", b"/a//b?token=s3cret"),
            ("x-original-method", b"PUT"),
            ("x-original-protocol", b"HTTP/2.0"),
            ("x-original-time", b"1795222923.045"),
            ("x-real-ip", b"2001:db8::7"),
            ("x-forwarded-for", b"198.51.100.1, 10.0.0.1"),
            ("x-forwarded-proto", b"https"),
            ("host", b"Chat.Example:8443"),
            ("user-agent", b"Mozilla/5.0 \xff"),
            ("referer", b"https://u:p@h/?code=s3cret"),
            ("accept-language", b"cs"),
            ("x-request-id", b"0af7"),
            ("authorization", b"Bearer s3cret"),
        ],
        b"",
        false,
    );
    let get = |field| event.get(field).unwrap_or("(absent)");
    assert_eq!((event.time, event.received), (1_795_222_923_045, 1_000));
    assert_eq!(event.peer_ip, Some("2001:db8::7".parse().unwrap()));
    assert_eq!(
        (get(Field::HttpRequestMethod), get(Field::HttpVersion)),
        ("PUT", "2.0")
    );
    assert_eq!(
        (get(Field::UrlOriginal), get(Field::UrlPath)),
        ("/a//b?token=REDACTED", "/a/b")
    );
    assert_eq!(
        (get(Field::UrlDomain), get(Field::UrlScheme)),
        ("chat.example", "https")
    );
    assert_eq!(
        (get(Field::UserAgentOriginal), event.lossy),
        ("Mozilla/5.0 \\xFF", true)
    );
    assert_eq!(get(Field::HttpRequestReferrer), "https://h/?code=REDACTED");
    assert_eq!(
        (get(Field::HttpRequestId), get(Field::ClientLanguage)),
        ("0af7", "cs")
    );
    assert_eq!(get(Field::HttpRequestForwarded), "198.51.100.1, 10.0.0.1");
    assert_eq!(get(Field::EventDataset), "nginx.mirror");
    assert!(!format!("{event:?}").contains("s3cret"));
}

#[test]
fn a_peer_on_a_unix_socket_is_no_address() {
    let event = decode("/", &[("x-real-ip", b"unix:")], b"", false);
    assert_eq!(
        (event.peer_ip, event.get(Field::SourceAddress)),
        (None, Some("unix:"))
    );
}

#[test]
fn without_the_address_header_the_client_is_unknown() {
    for headers in [&[("x-real-ip", &b"nonsense"[..])][..], &[]] {
        let event = decode("/", headers, b"", false);
        assert_eq!(
            (event.peer_ip, event.get(Field::SourceAddress)),
            (None, None)
        );
    }
}

#[test]
fn of_a_repeated_header_nginx_own_counts() {
    let event = decode(
        "/",
        &[
            ("x-real-ip", b"192.0.2.1"),
            ("x-original-uri", b"/real"),
            ("X-Real-IP", b"203.0.113.9"),
            ("X-Original-URI", b"/forged"),
        ],
        b"",
        false,
    );
    assert_eq!(event.peer_ip, Some([192, 0, 2, 1].into()));
    assert_eq!(event.get(Field::UrlPath), Some("/real"));
}

#[test]
fn who_it_was_is_read_only_where_the_application_checks() {
    let settings = RequestSettings {
        session_paths: vec!["/api/**".into()],
        public_paths: vec!["/api/login".into()],
        login_paths: vec!["/api/login".into()],
        ..settings()
    };
    let named = |target: &str| {
        let headers: [(&str, &[u8]); 1] = [("cookie", b"MMUSERID=victim")];
        let event = decode_with(&settings, target, &headers, br#"{"login_id":"zoe"}"#, false);
        [Field::UserName, Field::UserId].map(|field| event.get(field).is_some())
    };
    assert_eq!(named("/api/posts"), [false, true], "a session is checked");
    assert_eq!(named("/api/login"), [true, false], "a password is checked");
    assert_eq!(named("/page"), [false, false], "nothing is checked");
}

#[test]
fn of_a_flag_is_kept_that_it_was_set_and_nothing_else() {
    let form: (&str, &[u8]) = ("content-type", b"application/x-www-form-urlencoded");
    let event = decode("/", &[form], b"new_password=s3cret&enabled=false", false);
    assert_eq!(event.label("new_password"), Some("true"));
    assert_eq!(event.label("enabled"), None);
    assert!(!format!("{event:?}").contains("s3cret"));
    let event = decode("/", &[form], b"new_password=&enabled=on", false);
    assert_eq!(event.label("new_password"), None);
    assert_eq!(event.label("enabled"), Some("true"));
}

#[test]
fn a_session_cookie_is_hashed_and_other_cookies_dropped() {
    let cookies: &[(&str, &[u8])] = &[(
        "cookie",
        b"lang=cs; MMAUTHTOKEN=S3CRET; MMUSERID=u1; csrf=S3CRET",
    )];
    let event = decode("/", cookies, b"", false);
    assert_eq!(
        event.get(Field::SessionId),
        Some(hashed("session", "S3CRET").as_str())
    );
    assert_eq!(
        event.get(Field::UserId),
        Some(hashed("user", "u1").as_str())
    );
    assert!(!format!("{event:?}").contains("S3CRET"));
}

#[test]
fn values_come_from_bodies_queries_and_paths() {
    let json =
        br#"{"login_id":"zo\u00eb","password":"S3CRET","props":{"kind":"x"},"device_id":"d1"}"#;
    let event = decode(
        "/api/v4/users",
        &[("content-type", b"text/plain")],
        json,
        false,
    );
    assert_eq!(event.get(Field::UserName), Some("zoë"));
    assert_eq!(
        (event.get(Field::DeviceId), event.label("props.kind")),
        (Some(hashed("device", "d1").as_str()), Some("x"))
    );
    assert_eq!(event.get(Field::UserId), Some("users"));

    let form: &[(&str, &[u8])] = &[(
        "content-type",
        b"application/x-www-form-urlencoded; charset=UTF-8",
    )];
    let event = decode(
        "/x?user=eve",
        form,
        b"username=zo%C3%AB+k&choice=approve&password=S3CRET",
        false,
    );
    assert_eq!(
        (event.get(Field::UserName), event.label("choice")),
        (Some("zoë k"), Some("approve"))
    );
    assert!(!format!("{event:?}").contains("S3CRET"));

    let event = decode("/x?user=eve", &[("x-username", b"zoe")], b"", false);
    assert_eq!(event.get(Field::UserName), Some("zoe"));
    let event = decode("/x?user=eve", &[], b"not json", false);
    assert_eq!(event.get(Field::UserName), Some("eve"));
}

#[test]
fn a_cut_body_gives_only_whole_values() {
    let form: &[(&str, &[u8])] = &[("content-type", b"application/x-www-form-urlencoded")];
    let event = decode("/", form, b"choice=a&username=zo", true);
    assert_eq!(
        (
            event.label("choice"),
            event.get(Field::UserName),
            event.truncated
        ),
        (Some("a"), None, true)
    );
    let event = decode("/", &[], br#"{"device_id":"d1","login_id":"zo"#, true);
    assert_eq!(
        (event.get(Field::DeviceId), event.get(Field::UserName)),
        (Some(hashed("device", "d1").as_str()), None)
    );
}

#[test]
fn settings_that_would_keep_a_secret_are_refused() {
    let refused =
        |settings: RequestSettings| RequestCodec::new(&settings, key()).unwrap_err().to_string();
    for (message, settings) in [
        (
            "cookie:MMAUTHTOKEN",
            RequestSettings {
                user: places(&["cookie:MMAUTHTOKEN"]),
                ..RequestSettings::default()
            },
        ),
        (
            "form:new_password",
            RequestSettings {
                labels: places(&["form:new_password"]),
                ..RequestSettings::default()
            },
        ),
        (
            "cookie:lang",
            RequestSettings {
                labels: places(&["cookie:lang"]),
                ..RequestSettings::default()
            },
        ),
        (
            "json:/auth/code",
            RequestSettings {
                labels: places(&["json:/auth/code"]),
                ..RequestSettings::default()
            },
        ),
    ] {
        assert_eq!(
            refused(settings),
            format!("`{message}` names a secret and may only be used for `session`")
        );
    }
    let fine = RequestSettings {
        user: places(&["header:X-Auth-User"]),
        ..RequestSettings::default()
    };
    assert!(RequestCodec::new(&fine, key()).is_ok());
}

#[test]
fn locators_are_checked() {
    for text in [
        "header:", "body:x", "json:x", "path:0", "path:x", "username",
    ] {
        assert!(text.parse::<Locator>().is_err(), "{text}");
    }
    for text in [
        "header:x-user",
        "cookie:A",
        "query:q",
        "form:f",
        "json:/a/b",
        "path:2",
    ] {
        assert_eq!(text.parse::<Locator>().unwrap().to_string(), text);
    }
}

#[test]
fn unknown_settings_are_errors() {
    let known: Result<RequestSettings, _> = serde_json::from_str(r#"{"user":["header:x-user"]}"#);
    assert_eq!(known.unwrap().user, places(&["header:x-user"]));
    assert!(serde_json::from_str::<RequestSettings>(r#"{"usr":[]}"#).is_err());
    assert!(serde_json::from_str::<RequestSettings>(r#"{"user":["nowhere"]}"#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_request_panics_and_no_password_survives(
        target in "/[a-z?&=%/;]{0,30}",
        cookie in prop::collection::vec(any::<u8>(), 0..40),
        body in prop::collection::vec(any::<u8>(), 0..60),
        form in any::<bool>(),
    ) {
        let kind: &[u8] = if form { b"application/x-www-form-urlencoded" } else { b"application/json" };
        let body = [&body[..], b"&password=CANARY", br#"{"password":"CANARY"}"#].concat();
        let event = decode(&target, &[("cookie", &cookie), ("content-type", kind), ("cookie", b"c=CANARY")], &body, false);
        prop_assert!(event.own(Field::UrlOriginal).is_some());
        let shown = format!("{event:?}");
        prop_assert!(!shown.contains("CANARY"), "{}", shown);
    }
}

#[test]
fn a_cookie_is_kept_in_clear_only_where_the_operator_says_so() {
    let plain = RequestSettings {
        user_id: places(&["plain-cookie:MMUSERID"]),
        ..RequestSettings::default()
    };
    let event = decode_with(&plain, "/", &[("cookie", b"MMUSERID=u1")], b"", false);
    assert_eq!(event.get(Field::UserId), Some("u1"));
    for secret in ["plain-cookie:MMAUTHTOKEN", "plain-cookie:sid"] {
        let settings = RequestSettings {
            user_id: places(&[secret]),
            ..RequestSettings::default()
        };
        assert!(
            RequestCodec::new(&settings, PseudonymKey::new([7; 32])).is_err(),
            "{secret}"
        );
    }
}

#[test]
fn what_a_site_calls_secret_in_paths_does_not_enter() {
    let settings = RequestSettings {
        secret_paths: vec!["/reset/{token}".to_owned()],
        ..RequestSettings::default()
    };
    let headers: [(&str, &[u8]); 2] = [
        (
            "X-Original-URI",
            b"/app/%72eset/hush-hush?next=%2Freset%2Fhush-hush",
        ),
        ("Referer", b"https://a.example/reset/hush-hush/"),
    ];
    let event = decode_with(&settings, "/mirror", &headers, b"", false);
    assert_eq!(event.own(Field::UrlPath), Some("/app/reset/REDACTED"));
    let referrer = event.own(Field::HttpRequestReferrer);
    assert_eq!(referrer, Some("https://a.example/reset/REDACTED"));
    for (field, text) in event.fields() {
        assert!(!text.contains("hush"), "{field:?}: {text}");
    }
    let wrong = RequestSettings {
        secret_paths: vec!["/{token}".to_owned()],
        ..RequestSettings::default()
    };
    let refused = RequestCodec::new(&wrong, key()).unwrap_err();
    assert!(refused.to_string().contains("`/{token}`"), "{refused}");
}

/// A request of a site whose names of users are secrets, with a referrer.
fn decode_secret(target: &str, referrer: &str) -> Event {
    let settings = RequestSettings {
        secret_paths: vec!["/users/{name}".to_owned()],
        ..RequestSettings::default()
    };
    decode_with(
        &settings,
        target,
        &[("referer", referrer.as_bytes())],
        b"",
        false,
    )
}

#[test]
fn what_is_encoded_in_a_secret_of_a_path_ends_it_in_no_field() {
    for secret in [
        "John%20Hushman",
        "ab%26hush",
        "ab&hush",
        "ab%3Fhush",
        "ab%22hush",
        "ab\"hush",
        "ab%2Fhush",
        "ab%2520hush",
        "ab%C3%AB%20hush",
    ] {
        let path = format!("/users/{secret}");
        let referrer = format!("https://a.example/users/{secret}");
        let event = decode_secret(&format!("{path}?x=1"), &referrer);
        let get = |field| event.own(field).unwrap_or("(absent)");
        assert_eq!(get(Field::UrlPath), "/users/REDACTED", "{secret}");
        assert_eq!(get(Field::UrlOriginal), "/users/REDACTED?x=1", "{secret}");
        assert_eq!(
            get(Field::HttpRequestReferrer),
            "https://a.example/users/REDACTED",
            "{secret}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_part_of_a_secret_in_a_path_survives(
        before in "(/[a-z]{1,3}(%20|%3[fF]|&|=)?[a-z]{0,3}){0,2}",
        parts in prop::collection::vec("[A-Z]{6,9}", 1..4),
        between in "%2[0236fF]|%3[cCeEfF]|%5[cC]|%25(20|26|3F)|&|;|=|%",
        after in "(\\?[a-z]=[a-z/]{0,5})?",
    ) {
        let path = format!("{before}/users/{}", parts.join(between.as_str()));
        let target = format!("{path}{after}");
        let event = decode_secret(&target, &format!("https://a.example{target}"));
        for (field, text) in event.fields() {
            for part in &parts {
                let whole = text.replace("REDACTED", "");
                prop_assert!(!whole.contains(part.as_str()), "{:?}: {}", field, text);
            }
        }
    }
}
