//! Names of products, what they stand for, and which of several wins.
//!
//! Browsers list the names of everything they claim to be compatible with;
//! the most specific one counts, so every name has a rank.

/// What kind of program a product is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Something a person looks at.
    Browser,
    /// A command line or a library.
    Tool,
    /// A crawler or monitor.
    Bot,
}

/// A recognised product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Product<'a> {
    pub(super) family: &'a str,
    pub(super) rank: u8,
    pub(super) class: Class,
}

/// Nothing recognised.
pub(super) const OTHER: Product<'static> = Product {
    family: "Other",
    rank: 0,
    class: Class::Browser,
};

/// The mobile application, whose name is two words: it beats the first one.
pub(super) const MATTERMOST_MOBILE: Product<'static> = Product {
    family: "Mattermost Mobile",
    rank: APPLICATION + 1,
    class: Class::Browser,
};

const UNKNOWN: u8 = 1;
const ENGINE: u8 = 2;
const BASE: u8 = 10;
const TOOL: u8 = 15;
const COMMON: u8 = 20;
const DERIVED: u8 = 30;
const APPLICATION: u8 = 40;
const BOT: u8 = 60;

/// Longest name of an unknown product that becomes a family.
const LONGEST_FAMILY: usize = 48;

/// Product name, family, rank. In alphabetical order of the names.
const BROWSERS: &[(&str, &str, u8)] = &[
    ("AppleWebKit", "WebView", ENGINE),
    ("Brave", "Brave", DERIVED),
    ("Chrome", "Chrome", COMMON),
    ("Chromium", "Chrome", COMMON),
    ("CriOS", "Chrome", COMMON),
    ("DuckDuckGo", "DuckDuckGo", DERIVED),
    ("Edg", "Edge", DERIVED),
    ("EdgA", "Edge", DERIVED),
    ("Edge", "Edge", DERIVED),
    ("EdgiOS", "Edge", DERIVED),
    ("Electron", "Electron", COMMON + 1),
    ("Firefox", "Firefox", COMMON),
    ("FxiOS", "Firefox", COMMON),
    ("GSA", "Google Search", DERIVED),
    ("HeadlessChrome", "Headless Chrome", DERIVED),
    ("Mattermost", "Mattermost Desktop", APPLICATION),
    ("MattermostDesktop", "Mattermost Desktop", APPLICATION),
    ("OPR", "Opera", DERIVED),
    ("OPT", "Opera", DERIVED),
    ("OPX", "Opera", DERIVED),
    ("Opera", "Opera", DERIVED),
    ("Safari", "Safari", BASE),
    ("SamsungBrowser", "Samsung Internet", DERIVED),
    ("SeaMonkey", "SeaMonkey", DERIVED),
    ("Thunderbird", "Thunderbird", DERIVED),
    ("Trident", "Internet Explorer", DERIVED),
    ("Vivaldi", "Vivaldi", DERIVED),
    ("YaBrowser", "Yandex Browser", DERIVED),
];

/// Product name in lower case and family, in alphabetical order.
const TOOLS: &[(&str, &str)] = &[
    ("aiohttp", "aiohttp"),
    ("ansible-httpget", "Ansible"),
    ("apache-httpclient", "Apache HttpClient"),
    ("apachebench", "ApacheBench"),
    ("axios", "axios"),
    ("curl", "curl"),
    ("dart", "Dart"),
    ("git", "git"),
    ("go-http-client", "Go http client"),
    ("guzzlehttp", "Guzzle"),
    ("httpie", "HTTPie"),
    ("java", "Java"),
    ("libcurl", "curl"),
    ("libwww-perl", "libwww-perl"),
    ("mmctl", "mmctl"),
    ("node", "Node.js"),
    ("node-fetch", "node-fetch"),
    ("okhttp", "okhttp"),
    ("postmanruntime", "Postman"),
    ("powershell", "PowerShell"),
    ("python-httpx", "python-httpx"),
    ("python-requests", "python-requests"),
    ("python-urllib", "python-urllib"),
    ("rclone", "rclone"),
    ("reqwest", "reqwest"),
    ("ruby", "Ruby"),
    ("undici", "undici"),
    ("wget", "Wget"),
    ("windowspowershell", "PowerShell"),
];

/// Words without meaning of their own.
const FILLERS: &[&str] = &["Gecko", "KHTML,", "Mozilla", "like", "compatible"];

/// What a product of that name is.
pub(super) fn product<'a>(name: &'a str, version: &str) -> Option<Product<'a>> {
    if let Some((_, family, rank)) = BROWSERS.iter().find(|(candidate, ..)| *candidate == name) {
        return Some(Product {
            family,
            rank: *rank,
            class: Class::Browser,
        });
    }
    if FILLERS.contains(&name) {
        return None;
    }
    if is_bot(name) {
        return Some(Product {
            family: cut(name),
            rank: BOT,
            class: Class::Bot,
        });
    }
    if let Some((_, family)) = TOOLS
        .iter()
        .find(|(candidate, _)| name.eq_ignore_ascii_case(candidate))
    {
        return Some(Product {
            family,
            rank: TOOL,
            class: Class::Tool,
        });
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let named = !name.is_empty()
        && !version.is_empty()
        && name.len() <= LONGEST_FAMILY
        && name.bytes().all(plain);
    named.then_some(Product {
        family: name,
        rank: UNKNOWN,
        class: Class::Browser,
    })
}

/// Crawlers and old Internet Explorers name themselves within a comment.
pub(super) fn product_in_comment(part: &str) -> Option<(Product<'_>, &str)> {
    if let Some(version) = part.strip_prefix("MSIE ") {
        return Some((
            Product {
                family: "Internet Explorer",
                rank: DERIVED,
                class: Class::Browser,
            },
            version,
        ));
    }
    if part.starts_with("Trident/") {
        let version = "";
        return Some((
            Product {
                family: "Internet Explorer",
                rank: DERIVED - 1,
                class: Class::Browser,
            },
            version,
        ));
    }
    if part.starts_with('+') || part.contains("://") {
        return None;
    }
    let word = part.split_ascii_whitespace().next()?;
    let (name, version) = word.split_once('/').unwrap_or((word, ""));
    is_bot(name).then_some((
        Product {
            family: cut(name),
            rank: BOT,
            class: Class::Bot,
        },
        version,
    ))
}

/// Whether a name is that of a crawler, preview fetcher or monitor. A maker of
/// phones whose name happens to end in "bot" is spared.
fn is_bot(name: &str) -> bool {
    let has = |word: &str| {
        name.as_bytes()
            .windows(word.len())
            .any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
    };
    let ends_word = |at: usize| {
        name.as_bytes()
            .get(at + 3)
            .is_none_or(|next| !next.is_ascii_lowercase())
    };
    let bot = name
        .as_bytes()
        .windows(3)
        .enumerate()
        .any(|(at, window)| window.eq_ignore_ascii_case(b"bot") && ends_word(at));
    (bot && !name.eq_ignore_ascii_case("cubot"))
        || [
            "crawler",
            "spider",
            "slurp",
            "externalhit",
            "pingdom",
            "feedfetcher",
            "scrapy",
        ]
        .into_iter()
        .any(has)
}

fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(LONGEST_FAMILY))
        .unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bots_are_told_from_phones_and_words() {
        for name in [
            "Googlebot",
            "bingbot",
            "Slackbot-LinkExpanding",
            "AhrefsBot",
            "GPTBot",
            "Baiduspider",
        ] {
            assert!(is_bot(name), "{name}");
        }
        for name in ["CUBOT", "Cubot", "bottle", "Firefox", "bo", ""] {
            assert!(!is_bot(name), "{name}");
        }
    }

    #[test]
    fn an_unknown_name_needs_a_version_and_plain_letters() {
        assert_eq!(
            product("ExampleApp", "1.0").map(|product| product.family),
            Some("ExampleApp")
        );
        assert_eq!(product("ExampleApp", ""), None);
        assert_eq!(product("Ex\u{202e}ample", "1.0"), None);
        assert_eq!(product(&"x".repeat(100), "1.0"), None);
    }
}
