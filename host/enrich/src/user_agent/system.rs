//! Operating systems as they are named in the comment of a user agent.

/// A recognised operating system.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct System {
    pub(super) name: &'static str,
    /// Dotted; empty when unknown.
    pub(super) version: String,
    /// The higher one wins: "Linux; Android 14" is Android.
    pub(super) rank: u8,
}

const GENERIC: u8 = 1;
const FAMILY: u8 = 2;
const SPECIFIC: u8 = 3;

/// Longest version that is kept.
const LONGEST_VERSION: usize = 24;

/// The names a comment part begins with, and what follows them.
const PREFIXES: &[(&str, &str, u8)] = &[
    ("Windows Phone OS", "Windows Phone", SPECIFIC),
    ("Windows Phone", "Windows Phone", SPECIFIC),
    ("Android", "Android", SPECIFIC),
    ("CPU iPhone OS", "iOS", SPECIFIC),
    ("CPU OS", "iOS", SPECIFIC),
    ("iPhone OS", "iOS", SPECIFIC),
    ("iOS", "iOS", SPECIFIC),
    ("iPadOS", "iOS", SPECIFIC),
    ("Intel Mac OS X", "macOS", FAMILY),
    ("PPC Mac OS X", "macOS", FAMILY),
    ("macOS", "macOS", FAMILY),
    ("Macintosh", "macOS", GENERIC),
    ("Ubuntu", "Ubuntu", FAMILY),
    ("Fedora", "Fedora", FAMILY),
    ("FreeBSD", "FreeBSD", FAMILY),
    ("OpenBSD", "OpenBSD", FAMILY),
    ("NetBSD", "NetBSD", FAMILY),
    ("Tizen", "Tizen", SPECIFIC),
    ("KAIOS", "KaiOS", SPECIFIC),
    ("X11", "Linux", GENERIC),
    ("Linux", "Linux", GENERIC),
    ("linux", "Linux", GENERIC),
    ("darwin", "macOS", GENERIC),
    ("windows", "Windows", GENERIC),
];

/// The marketing version of a Windows NT kernel.
const WINDOWS: &[(&str, &str)] = &[
    ("10.0", "10"),
    ("6.3", "8.1"),
    ("6.2", "8"),
    ("6.1", "7"),
    ("6.0", "Vista"),
    ("5.2", "XP"),
    ("5.1", "XP"),
];

/// The system a comment part names.
pub(super) fn system(part: &str) -> Option<System> {
    if let Some(kernel) = part.strip_prefix("Windows NT") {
        let kernel = kernel.trim();
        let known = WINDOWS
            .iter()
            .find(|(candidate, _)| *candidate == kernel)
            .map(|(_, version)| *version);
        return Some(System {
            name: "Windows",
            version: known.unwrap_or_default().into(),
            rank: FAMILY,
        });
    }
    if let Some(rest) = part.strip_prefix("CrOS") {
        // "CrOS x86_64 14541.0.0": the architecture comes first.
        let version = rest.split_ascii_whitespace().nth(1).unwrap_or_default();
        return Some(System {
            name: "Chrome OS",
            version: dotted(version),
            rank: SPECIFIC,
        });
    }
    let (rest, name, rank) = PREFIXES.iter().find_map(|(prefix, name, rank)| {
        let rest = part.strip_prefix(prefix)?;
        (!rest.starts_with(|next: char| next.is_alphanumeric())).then_some((rest, *name, *rank))
    })?;
    // A generic Linux is followed by its architecture, not by a version.
    let version = if name == "Linux" {
        String::new()
    } else {
        dotted(rest.trim_start_matches([' ', '/', '-']))
    };
    Some(System {
        name,
        version,
        rank,
    })
}

/// The leading version of a text, with dots for underscores.
pub(super) fn dotted(text: &str) -> String {
    text.chars()
        .take(LONGEST_VERSION)
        .take_while(|char| char.is_ascii_digit() || matches!(char, '.' | '_'))
        .map(|char| if char == '_' { '.' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_the_name() {
        for (part, name, version) in [
            ("Windows NT 10.0", "Windows", "10"),
            ("Windows NT 11.7", "Windows", ""),
            ("Intel Mac OS X 10_15_7", "macOS", "10.15.7"),
            ("CPU iPhone OS 17_1 like Mac OS X", "iOS", "17.1"),
            ("Android 14", "Android", "14"),
            ("CrOS x86_64 14541.0.0", "Chrome OS", "14541.0.0"),
            ("Linux x86_64", "Linux", ""),
        ] {
            let system = system(part).unwrap();
            assert_eq!(
                (system.name, system.version.as_str()),
                (name, version),
                "{part}"
            );
        }
        assert_eq!(system("Androids dream"), None);
        assert_eq!(system("KHTML, like Gecko"), None);
    }
}
