//! Looking at files: have they changed, and have they stopped changing?
//!
//! By the clock, not by the kernel's notices: that works on every file system
//! (network, overlay, the links container platforms exchange), needs no queue
//! that can overflow, and twenty files a second cost nothing. A file copied in
//! place is taken when it looked the same twice.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// What tells whether a file is the same as before.
type Print = Option<(i64, i64, u64, u64, u64)>;

/// Prints of all the files something depends on.
pub(super) type Prints = Vec<Print>;

pub(super) fn print(path: &Path) -> Print {
    let found = std::fs::metadata(path).ok()?;
    Some((
        found.mtime(),
        found.mtime_nsec(),
        found.len(),
        found.ino(),
        found.dev(),
    ))
}

/// What was seen of each thing watched.
#[derive(Debug, Default)]
pub(super) struct Looks(HashMap<String, Look>);

#[derive(Debug, Default)]
struct Look {
    /// As they were when they were last dealt with.
    handled: Option<Prints>,
    /// As they were at the last look.
    last: Option<Prints>,
    /// When to deal with them again, and how long was waited for that.
    again: Option<(Instant, Duration)>,
}

/// How long to wait before the first and the later attempts at something that
/// failed for no fault of the file.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Looks {
    /// Whether the files of `name` differ from those dealt with and were the
    /// same at the last look; then they count as dealt with from now on.
    pub(super) fn is_news(&mut self, name: &str, prints: Prints, at_once: bool) -> bool {
        let look = self.0.entry(name.to_owned()).or_default();
        let settled = at_once || look.last.as_ref() == Some(&prints);
        look.last = Some(prints.clone());
        let same = look.handled.as_ref() == Some(&prints);
        let again = |(due, _)| at_once || due <= Instant::now();
        if !settled || (same && !look.again.is_some_and(again)) {
            return false;
        }
        if !same {
            look.again = None;
        }
        look.handled = Some(prints);
        true
    }

    /// The files of `name` could not be dealt with this time; as they are,
    /// they become news once more, later each time.
    pub(super) fn try_again(&mut self, name: &str) {
        let look = self.0.entry(name.to_owned()).or_default();
        let wait = look.again.map_or(FIRST_WAIT, |(_, wait)| wait * 2);
        let wait = wait.min(LONGEST_WAIT);
        look.again = Some((Instant::now() + wait, wait));
    }

    /// The files of `name` were dealt with, one way or the other.
    pub(super) fn settle(&mut self, name: &str) {
        if let Some(look) = self.0.get_mut(name) {
            look.again = None;
        }
    }

    /// The files of `name` were dealt with as they are.
    pub(super) fn handled(&mut self, name: &str, prints: Prints) {
        let look = self.0.entry(name.to_owned()).or_default();
        look.last = Some(prints.clone());
        look.handled = Some(prints);
        look.again = None;
    }

    /// Keeps only what is still watched.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.0.retain(|name, _| keep(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_dealt_with_is_news_again_until_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rule.wasm");
        std::fs::write(&path, "a").unwrap();
        let mut looks = Looks::default();
        let look = |looks: &mut Looks| looks.is_news("rule", vec![print(&path)], false);
        look(&mut looks);
        assert!(look(&mut looks));
        looks.try_again("rule");
        assert!(!look(&mut looks), "not at once");
        let due = |looks: &mut Looks| {
            looks.0.get_mut("rule").unwrap().again.as_mut().unwrap().0 = Instant::now()
        };
        due(&mut looks);
        assert!(look(&mut looks));
        looks.try_again("rule");
        assert_eq!(looks.0["rule"].again.unwrap().1, FIRST_WAIT * 2);
        due(&mut looks);
        looks.settle("rule");
        assert!(!look(&mut looks));
    }

    #[test]
    fn a_file_is_taken_when_it_stopped_changing_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rule.wasm");
        let mut looks = Looks::default();
        let look = |looks: &mut Looks| looks.is_news("rule", vec![print(&path)], false);
        std::fs::write(&path, "a").unwrap();
        assert!(!look(&mut looks), "seen for the first time");
        assert!(look(&mut looks));
        assert!(!look(&mut looks), "dealt with");
        std::fs::write(&path, "half of it").unwrap();
        assert!(!look(&mut looks));
        std::fs::write(&path, "the whole of it").unwrap();
        assert!(!look(&mut looks), "still being written");
        assert!(look(&mut looks));
        std::fs::remove_file(&path).unwrap();
        assert!(!look(&mut looks));
        assert!(look(&mut looks), "a file that goes is news, too");
    }
}
