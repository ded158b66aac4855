//! No secret gets past, in whatever encoding; what is none stays.

use proptest::prelude::*;

use super::*;

fn redacted(text: &str) -> String {
    let mut out = String::new();
    url(text, &mut out);
    out
}

#[test]
fn values_of_secret_keys_go_and_keys_stay() {
    for (given, expected) in [
        ("/cb?code=abc&state=1", "/cb?code=REDACTED&state=1"),
        ("/p?Access_Token=a&q=b", "/p?Access_Token=REDACTED&q=b"),
        (
            "/p?user[password]=x&id=2",
            "/p?user[password]=REDACTED&id=2",
        ),
        ("/p?user%5Bpassword%5D=x", "/p?user%5Bpassword%5D=REDACTED"),
        ("/p?%74oken=x", "/p?%74oken=REDACTED"),
        (
            "/p?X-Amz-Signature=ff;a=1",
            "/p?X-Amz-Signature=REDACTED;a=1",
        ),
        ("/p;jsessionid=AA11?x=1", "/p;jsessionid=REDACTED?x=1"),
        ("/p#access_token=zz", "/p#access_token=REDACTED"),
        ("/p?token=", "/p?token="),
        ("/p?token=a=b=c&d", "/p?token=REDACTED&d"),
        (
            "/p?apiKey=1&authCode=2",
            "/p?apiKey=REDACTED&authCode=REDACTED",
        ),
        ("https://joe:pw@host/p?a=b", "https://host/p?a=b"),
        ("//joe:pw@host?key=b", "//host?key=REDACTED"),
    ] {
        assert_eq!(redacted(given), expected);
    }
}

#[test]
fn secrets_in_nested_encoded_urls_go() {
    assert_eq!(
        redacted("/l?next=%2Fcb%3Ftoken%3Dabc%26b%3D1&c=2"),
        "/l?next=%2Fcb%3Ftoken%3DREDACTED%26b%3D1&c=2"
    );
    assert_eq!(
        redacted("/l?n=%252Fcb%253Fcode%253Dabc&c=2"),
        "/l?n=%252Fcb%253Fcode%253DREDACTED&c=2"
    );
    assert_eq!(redacted("/l?token=a%26b%3Dc&d=1"), "/l?token=REDACTED&d=1");
}

#[test]
fn user_information_inside_a_query_goes() {
    for (given, expected) in [
        (
            "/l?next=https://joe:hunter2@h/",
            "/l?next=https://REDACTED@h/",
        ),
        ("/l?url=//joe:pw@h&a=1", "/l?url=//REDACTED@h&a=1"),
        (
            "/l?url=https://joe:p@w;x=y@h/p",
            "/l?url=https://REDACTED@h/p",
        ),
        (
            "/l?next=https%3A%2F%2Fjoe%3Ahunter2%40h%2F&c=2",
            "/l?next=https%3A%2F%2FREDACTED%40h%2F&c=2",
        ),
        (
            "/l?n=%252F%252Fjoe%253Apw%2540h&c=2",
            "/l?n=%252F%252FREDACTED%2540h&c=2",
        ),
        (
            "https://h/?back=https://joe:pw@g/",
            "https://h/?back=https://REDACTED@g/",
        ),
        ("joe:pw@h", "REDACTED@h"),
        ("CONNECT joe:pw@h:443", "CONNECT REDACTED@h:443"),
        ("/s?time=12:30&mail=joe@h", "/s?time=12:30&mail=joe@h"),
        ("/s?to=http://h:80/a@b", "/s?to=http://h:80/a@b"),
    ] {
        assert_eq!(redacted(given), expected);
    }
}

#[test]
fn json_in_a_query_loses_its_secrets() {
    for (given, expected) in [
        (r#"/p?a={"token":"X"}&c=2"#, r#"/p?a={"token":REDACTED&c=2"#),
        (
            r#"/p?a={"n":"1","token" : "a\"&b","z":1}&c=2"#,
            r#"/p?a={"n":"1","token" :REDACTED&c=2"#,
        ),
        (
            "/p?a=%7B%22password%22%3A%22X%26Y%22%7D&c=2",
            "/p?a=%7B%22password%22%3AREDACTED&c=2",
        ),
        (
            "/p?a=%257B%2522secret%2522%253A%255B1%255D%257D&c=2",
            "/p?a=%257B%2522secret%2522%253AREDACTED&c=2",
        ),
        (
            r#"/p?a={"page":"2","b":{"c":"d"}}"#,
            r#"/p?a={"page":"2","b":{"c":"d"}}"#,
        ),
    ] {
        assert_eq!(redacted(given), expected);
    }
}

#[test]
fn keys_of_links_that_let_people_in_are_secret() {
    for name in [
        "accesskey",
        "AWSAccessKeyId",
        "id_tok",
        "id_token_hint",
        "invite",
        "inviteId",
        "magic",
        "magiclink",
        "code_verifier",
        "recovery",
    ] {
        assert!(is_secret_name(name), "{name}");
    }
    assert!(!is_secret_name("imagick"));
}

#[test]
fn harmless_keys_keep_their_values() {
    for text in [
        "/s?keyword=a&author=b&assessment=1&country_code=CZ&zipcode=1&monkey=2&compass=3&page=4",
        "/a%zz?b=%",
        "*",
        "host:443",
    ] {
        assert_eq!(redacted(text), text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_secret_survives(
        before in "[a-z/=&?%;]{0,12}",
        name in prop::sample::select(vec!["token", "my_password", "sessionId", "client-secret", "sig", "code"]),
        depth in 0_usize..4,
    ) {
        let mut pair = format!("?{name}=CANARY");
        for _ in 0..depth {
            pair = pair.replace('%', "%25").replace('?', "%3F").replace('=', "%3D");
        }
        let text = redacted(&format!("/{before}{pair}"));
        prop_assert!(!text.contains("CANARY"), "{}", text);
    }

    #[test]
    fn no_password_of_a_url_survives(
        before in "[a-z/=&?;]{0,12}",
        password in "[a-z:;=@!$,]{0,4}CANARY[a-z:;=@!$,]{0,4}",
        depth in 0_usize..4,
    ) {
        let mut url = format!("//joe:{password}@host/x");
        for _ in 0..depth {
            url = url.replace('%', "%25").replace('/', "%2F").replace(':', "%3A").replace('@', "%40").replace('=', "%3D");
        }
        let text = redacted(&format!("/{before}?u={url}"));
        prop_assert!(!text.contains("CANARY"), "{}", text);
    }

    #[test]
    fn no_secret_in_json_survives(
        value in "[a-z&;?#, ]{0,4}CANARY[a-z&;?#, ]{0,4}",
        list in any::<bool>(),
        depth in 1_usize..4,
    ) {
        let value = if list { format!("[\"a\",\"{value}\"]") } else { format!("\"{value}\"") };
        let mut json = format!("{{\"page\":1,\"my_token\":{value},\"b\":2}}");
        for _ in 0..depth {
            json = form_urlencoded::byte_serialize(json.as_bytes()).collect();
        }
        let text = redacted(&format!("/p?a={json}&c=2"));
        prop_assert!(!text.contains("CANARY"), "{}", text);
        prop_assert!(text.ends_with("&c=2"), "{}", text);
    }

    #[test]
    fn text_without_pairs_is_untouched(text in "[^=%@\"]*") {
        let mut out = String::new();
        query(&text, &mut out);
        prop_assert_eq!(out, text);
    }

    #[test]
    fn redacting_again_changes_nothing(text in "[a-zA-Z=&?#;%0-9_/:@\"{},]{0,60}") {
        let mut once = String::new();
        query(&text, &mut once);
        let mut twice = String::new();
        query(&once, &mut twice);
        prop_assert_eq!(once, twice);
    }
}
