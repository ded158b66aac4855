//! Families and systems of user agents seen in the wild.

use proptest::prelude::*;

use super::*;

fn words(original: &str) -> [String; 5] {
    let agent = UserAgent::scan(original);
    [
        agent.family.into_owned(),
        agent.version.into(),
        agent.os_name.into(),
        agent.os_version,
        agent.device.into(),
    ]
}

#[test]
fn common_browsers_are_recognised() {
    for (original, expected) in [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36",
            ["Chrome", "134.0.0.0", "Windows", "10", "desktop"],
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Safari/537.36 Edg/134.0.1",
            ["Edge", "134.0.1", "Windows", "10", "desktop"],
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/15.6 Safari/605.1.15",
            ["Safari", "15.6", "macOS", "10.15.7", "desktop"],
        ),
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            ["Firefox", "128.0", "Linux", "", "desktop"],
        ),
        (
            "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
            ["Firefox", "128.0", "Ubuntu", "", "desktop"],
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
            ["Safari", "17.1", "iOS", "17.1", "mobile"],
        ),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0.1 Mobile/15E148 Safari/604.1",
            ["Chrome", "120.0.1", "iOS", "16.6", "tablet"],
        ),
        (
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/134.0.0.0 Mobile Safari/537.36",
            ["Chrome", "134.0.0.0", "Android", "14", "mobile"],
        ),
        (
            "Mozilla/5.0 (Linux; Android 13; SM-X700) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/23.0 Chrome/115.0.0.0 Safari/537.36",
            ["Samsung Internet", "23.0", "Android", "13", "tablet"],
        ),
        (
            "Mozilla/5.0 (Android 13; Mobile; rv:109.0) Gecko/118.0 Firefox/118.0",
            ["Firefox", "118.0", "Android", "13", "mobile"],
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko",
            ["Internet Explorer", "", "Windows", "10", "desktop"],
        ),
        (
            "Mozilla/5.0 (compatible; MSIE 10.0; Windows NT 6.2; Trident/6.0)",
            ["Internet Explorer", "10.0", "Windows", "8", "desktop"],
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; CUBOT X18) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0.0.0 Mobile Safari/537.36",
            ["Chrome", "99.0.0.0", "Android", "9", "mobile"],
        ),
    ] {
        assert_eq!(words(original), expected, "{original}");
    }
}

#[test]
fn applications_tools_and_bots_are_recognised() {
    for (original, expected) in [
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Mattermost/5.5.1 Chrome/120.0.6099.56 Electron/28.0.0 Safari/537.36",
            ["Mattermost Desktop", "5.5.1", "Windows", "10", "desktop"],
        ),
        (
            "Mattermost Mobile/2.10.0+498 (iOS; 17.1; iPhone)",
            ["Mattermost Mobile", "2.10.0+498", "iOS", "17.1", "mobile"],
        ),
        (
            "Mattermost Mobile/2.10.0+498 (Android; 13; SM-G991B)",
            ["Mattermost Mobile", "2.10.0+498", "Android", "13", "mobile"],
        ),
        (
            "mmctl/6.5.0 (linux)",
            ["mmctl", "6.5.0", "Linux", "", "tool"],
        ),
        ("curl/8.1.2", ["curl", "8.1.2", "", "", "tool"]),
        (
            "python-requests/2.31.0",
            ["python-requests", "2.31.0", "", "", "tool"],
        ),
        (
            "Python/3.11 aiohttp/3.9.1",
            ["aiohttp", "3.9.1", "", "", "tool"],
        ),
        ("Wget/1.21.3", ["Wget", "1.21.3", "", "", "tool"]),
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            ["Googlebot", "2.1", "", "", "bot"],
        ),
        (
            "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0 Mobile Safari/537.36 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            ["bingbot", "2.0", "Android", "6.0.1", "bot"],
        ),
        (
            "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
            ["Slackbot-LinkExpanding", "", "", "", "bot"],
        ),
        (
            "ExampleApp/3.2 (Android 13; tablet)",
            ["ExampleApp", "3.2", "Android", "13", "tablet"],
        ),
    ] {
        assert_eq!(words(original), expected, "{original}");
    }
}

#[test]
fn nothing_recognisable_is_other() {
    for original in [
        "",
        "-",
        "   ",
        "hello world",
        "((((",
        "/",
        "\u{0}\u{1}",
        "' OR 1=1 --",
    ] {
        let agent = UserAgent::scan(original);
        assert_eq!(
            (agent.family.as_ref(), agent.device),
            ("Other", ""),
            "{original:?}"
        );
    }
}

#[test]
fn the_key_ignores_versions_but_not_family_or_system() {
    let hasher = KeyHasher::new([7; 16]);
    let key = |original: &str| UserAgentFacts::resolve(original, &hasher).key;
    let chrome = |system: &str, version: &str| {
        key(&format!(
            "Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version} Safari/537.36"
        ))
    };
    assert_eq!(
        chrome("Windows NT 10.0; Win64; x64", "134.0"),
        chrome("Windows NT 6.1", "99.0")
    );
    assert_ne!(
        chrome("Windows NT 10.0", "134.0"),
        chrome("X11; Linux x86_64", "134.0")
    );
    assert_ne!(chrome("Windows NT 10.0", "134.0"), key("curl/8.0"));
}

proptest! {
    #[test]
    fn any_text_is_scanned_and_bounded(original in "\\PC{0,80}|[()/; a-zA-Z0-9]{0,1500}") {
        let agent = UserAgent::scan(&original);
        prop_assert!(!agent.family.is_empty() && agent.family.len() <= 48);
        prop_assert!(agent.version.len() <= LONGEST_VERSION);
        prop_assert!(agent.os_version.len() <= 24);
    }

    #[test]
    fn tokens_are_disjoint_pieces_so_the_work_is_linear(original in "[()/; aZ1é]{0,600}") {
        let mut total = 0;
        for token in tokens(&original) {
            total += match token {
                Token::Product { name, version } => {
                    prop_assert!(!(name.is_empty() && version.is_empty()) || original.contains('/'));
                    name.len() + version.len()
                }
                Token::Comment(part) => part.len(),
            };
        }
        prop_assert!(total <= original.len());
    }
}
