//! Which parts of which texts go, and which stay.

use proptest::prelude::*;

use super::*;

fn secret_paths(patterns: &[&str]) -> SecretPaths {
    let patterns: Vec<String> = patterns.iter().map(|one| (*one).to_owned()).collect();
    SecretPaths::new(&patterns).unwrap()
}

fn cleaned(patterns: &[&str], text: &str) -> String {
    cleaned_as(Kind::Text, patterns, text)
}

fn cleaned_as(kind: Kind, patterns: &[&str], text: &str) -> String {
    let clean = secret_paths(patterns).without(text, kind);
    clean.unwrap_or_else(|| text.to_owned())
}

#[test]
fn what_follows_the_path_of_a_secret_goes() {
    for (text, clean) in [
        ("/reset/hush", "/reset/REDACTED"),
        ("/reset/hush/", "/reset/REDACTED"),
        ("/reset/hush/now?a=b", "/reset/REDACTED?a=b"),
        ("/site/reset/hush#top", "/site/reset/REDACTED#top"),
        ("//reset//hush", "//reset//REDACTED"),
        ("/x/../reset/./hush", "/x/../reset/REDACTED"),
        ("/%72ESET/hush", "/%72ESET/REDACTED"),
        ("/reset%2Fhush", "/reset%2FREDACTED"),
        ("/reset/a%2Fb%3Fc=d", "/reset/REDACTED"),
        ("\\reset\\hush", "\\reset\\REDACTED"),
        (
            "https://a.example/reset/hush?x",
            "https://a.example/reset/REDACTED?x",
        ),
        (
            "/login?next=/reset/hush&x=1",
            "/login?next=/reset/REDACTED&x=1",
        ),
        (
            "/login?next=reset%2Fhush%26y%3D1&x=1",
            "/login?next=reset%2FREDACTED&x=1",
        ),
        ("GET /reset/hush HTTP/1.1", "GET /reset/REDACTED HTTP/1.1"),
        (
            "{\"a\":\"\\/reset\\/hush\"}",
            "{\"a\":\"\\/reset\\/REDACTED\"}",
        ),
    ] {
        assert_eq!(cleaned(&["/reset/{token}"], text), clean, "{text}");
    }
}

#[test]
fn other_paths_stay() {
    for text in [
        "/reset",
        "/reset/",
        "/reset/?a=b",
        "/resets/open",
        "/a?reset&/open",
        "reset open",
        "/reset/REDACTED",
        "%",
        "",
    ] {
        assert_eq!(cleaned(&["/reset/{token}"], text), text, "{text}");
    }
}

#[test]
fn a_segment_keeps_no_part_of_a_secret_that_ends_nothing() {
    for (kind, text, clean) in [
        (Kind::Decoded, "/users/John Hush", "/users/REDACTED"),
        (Kind::Decoded, "/users/a?b#c&d\"e/hush", "/users/REDACTED"),
        (Kind::Url, "/users/ab&hush", "/users/REDACTED"),
        (Kind::Url, "/users/a b\"hush", "/users/REDACTED"),
        (
            Kind::Url,
            "/a=b/users/ab&hush?x=1",
            "/a=b/users/REDACTED?x=1",
        ),
        (
            Kind::Url,
            "https://a.example/users/ab&hush#top",
            "https://a.example/users/REDACTED#top",
        ),
        (Kind::Url, "/users%2Fab%20hush?x", "/users%2FREDACTED?x"),
        (Kind::Url, "/app%2Fusers/ab%3Fhush", "/app%2Fusers/REDACTED"),
        (
            Kind::Url,
            "/login?next=%2Fusers%2Fab%26hush&x=1",
            "/login?next=%2Fusers%2FREDACTED&x=1",
        ),
        (
            Kind::Url,
            "/a?next=%2Fb%3Fc=%2Fusers%2Fhush%26d&x=1",
            "/a?next=%2Fb%3Fc=%2Fusers%2FREDACTED%26d&x=1",
        ),
        (Kind::Query, "/users/hush&x=1", "/users/REDACTED&x=1"),
        (Kind::Text, "/users/ab&hush GET", "/users/REDACTED GET"),
        (
            Kind::Text,
            "next=/users/hush&x=1",
            "next=/users/REDACTED&x=1",
        ),
    ] {
        assert_eq!(cleaned_as(kind, &["/users/{name}"], text), clean, "{text}");
    }
}

#[test]
fn a_segment_before_may_hold_what_ends_a_path_elsewhere() {
    let patterns = ["/teams/*/invite/{code}"];
    for (kind, text, clean) in [
        (
            Kind::Decoded,
            "/teams/a b?/invite/hush",
            "/teams/a b?/invite/REDACTED",
        ),
        (
            Kind::Url,
            "/teams/a&b/invite/hush",
            "/teams/a&b/invite/REDACTED",
        ),
        (
            Kind::Url,
            "/teams/a%20b/invite/hush",
            "/teams/a%20b/invite/REDACTED",
        ),
        (
            Kind::Text,
            "/teams/YQ==/invite/hush",
            "/teams/YQ==/invite/REDACTED",
        ),
        (
            Kind::Url,
            "/teams/7?next=/invite/open",
            "/teams/7?next=/invite/open",
        ),
    ] {
        assert_eq!(cleaned_as(kind, &patterns, text), clean, "{text}");
    }
}

#[test]
fn secrets_in_the_middle_go_alone() {
    let patterns = ["/teams/*/invite/{code}/for/{user}", "/i/{code}"];
    assert_eq!(
        cleaned(&patterns, "/teams/7/invite/hush/for/zoe"),
        "/teams/7/invite/REDACTED/for/REDACTED"
    );
    assert_eq!(
        cleaned(&patterns, "/teams/7/invite/open"),
        "/teams/7/invite/open"
    );
    assert_eq!(cleaned(&patterns, "/a/i/hush"), "/a/i/REDACTED");
}

#[test]
fn every_text_of_an_event_is_cleaned() {
    let mut event = Event::new();
    event.set(Field::UrlOriginal, "/reset/hush?a=b");
    event.set_part(Field::UrlPath, Field::UrlOriginal, 0..11);
    event.set(Field::HttpRequestReferrer, "https://a.example/reset/hush");
    event.set_label("seen", "/reset/hush");
    event.set_label("other", "stays");
    secret_paths(&["/reset/{token}"]).clean(&mut event);
    assert_eq!(event.own(Field::UrlOriginal), Some("/reset/REDACTED?a=b"));
    assert_eq!(event.own(Field::UrlPath), Some("/reset/REDACTED"));
    assert_eq!(
        event.own(Field::HttpRequestReferrer),
        Some("https://a.example/reset/REDACTED")
    );
    assert_eq!(event.label("seen"), Some("/reset/REDACTED"));
    assert_eq!(event.label("other"), Some("stays"));
}

#[test]
fn patterns_that_would_take_out_nothing_or_everything_are_refused() {
    for bad in [
        "",
        "/",
        "reset/{token}",
        "/{token}",
        "/*/{token}",
        "/reset",
        "/reset/{token}/done",
        "/reset/{}",
        "/reset/{to ken}",
        "/re%73et/{token}",
        "/re*/{token}",
        "/a//{token}",
        "/../{token}",
        "/1/2/3/4/5/6/7/8/{token}",
    ] {
        let refused = SecretPaths::new(&[bad.to_owned()]);
        assert_eq!(
            refused.err(),
            Some(SecretPathError::Pattern(bad.into())),
            "{bad}"
        );
    }
    let many = vec!["/a/{b}".to_owned(); MOST_PATTERNS + 1];
    assert_eq!(
        SecretPaths::new(&many).err(),
        Some(SecretPathError::TooMany)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_secret_never_stays_and_once_is_enough(
        before in "[a-z/%.0-9=]{0,12}",
        slash in prop::sample::select(vec!["/", "%2f", "%2F", "%252F", "//", "/./", "\\"]),
        secret in "[A-Z]{12,20}",
        after in "[a-z/?&#%\"0-9 ]{0,12}",
    ) {
        let patterns = ["/reset/{token}"];
        let text = format!("{before}/reset{slash}{secret}{after}");
        let clean = cleaned(&patterns, &text);
        prop_assert!(!clean.contains(&secret), "{clean}");
        prop_assert_eq!(cleaned(&patterns, &clean), clean);
    }

    #[test]
    fn any_text_is_taken(
        text in prop_oneof![any::<String>(), "[a/?&#%2356f= \"]{0,40}"],
        kind in prop::sample::select(vec![Kind::Decoded, Kind::Url, Kind::Query, Kind::Text]),
    ) {
        let clean = cleaned_as(kind, &["/a/{b}", "/a/*/{b}"], &text);
        prop_assert_eq!(cleaned_as(kind, &["/a/{b}", "/a/*/{b}"], &clean), clean);
    }
}
