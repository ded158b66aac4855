//! What a user agent says about itself: family, version, system, device.
//!
//! A scanner of its own rather than a list of regular expressions: one pass
//! over at most [`LONGEST_SCANNED`] bytes, no backtracking, no allocation but
//! for the result. A user agent is a claim of the client and is used as such:
//! it can support a finding or explain one away, never decide it.

mod products;
mod system;
mod tokens;

use std::borrow::Cow;

use sidewatch_event::Field;

use crate::keys::KeyHasher;
use crate::texts::Texts;
use products::{Class, Product};
use system::System;
use tokens::{Token, tokens};

/// Bytes of a user agent that are looked at; what follows is ignored.
pub const LONGEST_SCANNED: usize = 512;

/// Longest version that is kept.
const LONGEST_VERSION: usize = 32;

/// A user agent taken apart. Empty texts are unknown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAgent<'a> {
    /// Browser, application or tool; `Other` when nothing is recognised.
    pub family: Cow<'a, str>,
    /// Its version.
    pub version: &'a str,
    /// Operating system.
    pub os_name: &'static str,
    /// Its version, dotted.
    pub os_version: String,
    /// `desktop`, `mobile`, `tablet`, `bot` or `tool`.
    pub device: &'static str,
}

/// What enrichment adds to an event of this user agent.
#[derive(Debug, Clone)]
pub(crate) struct UserAgentFacts {
    pub(crate) key: u64,
    pub(crate) texts: Texts,
}

impl UserAgentFacts {
    pub(crate) fn resolve(original: &str, hasher: &KeyHasher) -> Self {
        let agent = UserAgent::scan(original);
        let mut texts = Texts::default();
        texts.push(Field::UserAgentName, &agent.family);
        texts.push(Field::UserAgentVersion, agent.version);
        texts.push(Field::UserAgentOsName, agent.os_name);
        texts.push(Field::UserAgentOsVersion, &agent.os_version);
        texts.push(Field::DeviceType, agent.device);
        texts.shrink();
        Self {
            key: hasher.user_agent(&agent.family, agent.os_name),
            texts,
        }
    }
}

/// The part of a user agent that counts, or `None` when there is none.
pub(crate) fn relevant(original: &str) -> Option<&str> {
    let original = original.trim();
    let end = original.floor_char_boundary(LONGEST_SCANNED);
    original
        .get(..end)
        .filter(|text| !text.is_empty() && *text != "-")
}

impl<'a> UserAgent<'a> {
    /// Takes a user agent apart; any text will do.
    #[must_use]
    pub fn scan(original: &'a str) -> Self {
        let mut scan = Scan::default();
        for token in tokens(relevant(original).unwrap_or_default()) {
            match token {
                Token::Product { name, version } => scan.product(name, version),
                Token::Comment(part) => scan.comment(part),
            }
        }
        scan.finish()
    }
}

#[derive(Default)]
struct Scan<'a> {
    best: Option<(Product<'a>, &'a str)>,
    system: Option<System>,
    /// Version of a system whose name stood alone in the part before.
    awaits_system_version: bool,
    /// The product before, when it had no version: `Mattermost Mobile/2.0`.
    word_before: &'a str,
    /// `Version/17.0`, where Safari keeps its version.
    version_token: &'a str,
    mobile: bool,
    tablet: bool,
}

impl<'a> Scan<'a> {
    fn product(&mut self, name: &'a str, version: &'a str) {
        let word_before = std::mem::replace(
            &mut self.word_before,
            if version.is_empty() { name } else { "" },
        );
        match name {
            "Mobile" if word_before == "Mattermost" => {
                self.mobile = true;
                self.offer(products::MATTERMOST_MOBILE, version);
            }
            "Mobile" => self.mobile = true,
            "Version" => self.version_token = version,
            _ => {
                if let Some(product) = products::product(name, version) {
                    self.offer(product, version);
                }
            }
        }
    }

    fn comment(&mut self, part: &'a str) {
        if self.awaits_system_version {
            self.awaits_system_version = false;
            if let Some(system) = &mut self.system
                && part.starts_with(|first: char| first.is_ascii_digit())
            {
                system.version = system::dotted(part);
                return;
            }
        }
        match part {
            "iPhone" | "iPod" | "iPod touch" | "Mobile" => self.mobile = true,
            "iPad" | "Tablet" => self.tablet = true,
            _ => {}
        }
        if let Some(system) = system::system(part) {
            let better = self
                .system
                .as_ref()
                .is_none_or(|known| known.rank < system.rank);
            if better {
                self.awaits_system_version = system.version.is_empty();
                self.system = Some(system);
            }
            return;
        }
        if let Some((product, version)) = products::product_in_comment(part) {
            self.offer(product, version);
        }
    }

    fn offer(&mut self, product: Product<'a>, version: &'a str) {
        if self
            .best
            .as_ref()
            .is_none_or(|(known, _)| known.rank < product.rank)
        {
            self.best = Some((product, version));
        }
    }

    fn finish(self) -> UserAgent<'a> {
        let os = self.system.unwrap_or_default();
        let (product, version) = self.best.unwrap_or((products::OTHER, ""));
        let is_safari = product.family == "Safari";
        let family = if is_safari && os.name == "Android" {
            "Android Browser"
        } else {
            product.family
        };
        let version = if is_safari && !self.version_token.is_empty() {
            self.version_token
        } else {
            version
        };
        let device = match product.class {
            Class::Bot => "bot",
            Class::Tool => "tool",
            Class::Browser if self.tablet => "tablet",
            Class::Browser if self.mobile || os.name == "iOS" => "mobile",
            Class::Browser if os.name == "Android" => "tablet",
            Class::Browser if os.name.is_empty() => "",
            Class::Browser => "desktop",
        };
        UserAgent {
            family: Cow::Borrowed(family),
            version: version
                .get(..version.floor_char_boundary(LONGEST_VERSION))
                .unwrap_or_default(),
            os_name: os.name,
            os_version: os.version,
            device,
        }
    }
}

#[cfg(test)]
mod tests;
