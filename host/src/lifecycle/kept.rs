//! The last component of each rule that passed every check, in the data
//! directory: what runs when the file in the rules directory cannot, and which
//! versions were left on purpose.
//!
//! One file for each rule: a line of JSON ([`Passport`]), then the component;
//! replaced whole, so that both fit each other. Beside it lies the one before,
//! for a rollback. What is read back goes through the signature policy again.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sidewatch_engine::RuleLimits;
use sidewatch_engine::cache::{RuleDigest, digest, hexadecimal};

/// Largest file read, in bytes; components are smaller.
const LARGEST: u64 = 128 << 20;
/// Versions left that are remembered of a rule.
const MOST_LEFT: usize = 8;

/// What a version was run with; by this it is known again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// SHA-256 of the component, hexadecimal.
    pub digest: String,
    /// Its parameters, a JSON object.
    pub parameters: Value,
    /// What it may use.
    pub limits: RuleLimits,
}

impl Identity {
    pub(super) fn new(digest: &RuleDigest, parameters: &Value, limits: RuleLimits) -> Self {
        Self {
            digest: hexadecimal(digest),
            parameters: parameters.clone(),
            limits,
        }
    }

    /// A mapping rule has its parameters from the packs.
    pub(super) fn of_mapping(digest: &RuleDigest) -> Self {
        Self::new(digest, &Value::Null, RuleLimits::default())
    }
}

/// What is known of a kept component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Passport {
    /// The rule.
    pub rule: String,
    /// What it was run with.
    pub identity: Identity,
    /// The text of its signature.
    pub signature: Option<String>,
    /// What is not taken again until its file changes or the rule is named:
    /// versions that were rolled back, files another one was preferred to.
    #[serde(default)]
    pub left: Vec<Identity>,
}

/// Notes that a version is left.
pub(super) fn leave(left: &mut Vec<Identity>, version: Identity) {
    left.retain(|known| *known != version);
    left.push(version);
    if left.len() > MOST_LEFT {
        left.remove(0);
    }
}

/// Where the components are kept.
#[derive(Debug, Clone)]
pub(super) struct Kept(PathBuf);

impl Kept {
    pub(super) fn in_directory(data_directory: &Path) -> Self {
        Self(data_directory.join("last-good"))
    }

    fn path(&self, rule: &str, extension: &str) -> PathBuf {
        let plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '-' | '_');
        // Whatever a rule is called, its file lies in here.
        let name = if rule.chars().all(plain) && rule.len() < 100 {
            rule.to_owned()
        } else {
            format!("{}~", hexadecimal(&digest(rule.as_bytes())))
        };
        self.0.join(format!("{name}.{extension}"))
    }

    /// What is kept of a rule, if it is whole.
    pub(super) fn read(&self, rule: &str) -> Option<(Passport, Vec<u8>)> {
        let file = fs::File::open(self.path(rule, "rule")).ok()?;
        read(file).filter(|(passport, _)| passport.rule == rule)
    }

    /// Keeps a component; the one kept until now is the one before.
    pub(super) fn put(&self, passport: &Passport, component: &[u8]) {
        let known = self.read(&passport.rule).map(|(known, _)| known);
        if known.as_ref() == Some(passport) {
            return;
        }
        let path = self.path(&passport.rule, "rule");
        if known.is_some_and(|known| known.identity.digest != passport.identity.digest) {
            drop(fs::rename(&path, self.path(&passport.rule, "before")));
        }
        self.write(passport, component);
    }

    /// What was left has changed.
    pub(super) fn leave(&self, rule: &str, left: &[Identity]) {
        if let Some((mut passport, component)) = self.read(rule)
            && passport.left != left
        {
            passport.left = left.to_vec();
            self.write(&passport, &component);
        }
    }

    /// A version is in force again; without its component none is kept, rather
    /// than the one that was left.
    pub(super) fn go_back(&self, rule: &str, to: &Identity, left: &[Identity]) {
        let path = self.path(rule, "rule");
        let fits = |(kept, _): &(Passport, Vec<u8>)| {
            kept.rule == rule && kept.identity.digest == to.digest
        };
        let before = || read(fs::File::open(self.path(rule, "before")).ok()?);
        let kept = self.read(rule).filter(fits);
        match kept.or_else(|| before().filter(fits)) {
            Some((passport, component)) => {
                let passport = Passport {
                    identity: to.clone(),
                    left: left.to_vec(),
                    ..passport
                };
                self.write(&passport, &component);
            }
            None => drop(fs::remove_file(path)),
        }
        drop(fs::remove_file(self.path(rule, "before")));
    }

    /// Keeps nothing of rules nobody knows any more.
    pub(super) fn retain(&self, rules: &[String]) {
        let known: Vec<PathBuf> = rules
            .iter()
            .flat_map(|rule| ["rule", "before"].map(|extension| self.path(rule, extension)))
            .collect();
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            if !known.contains(&entry.path()) {
                drop(fs::remove_file(entry.path()));
            }
        }
    }

    fn write(&self, passport: &Passport, component: &[u8]) {
        if let Err(error) = self.try_write(passport, component) {
            let rule = &passport.rule;
            tracing::warn!(rule, %error, path = %self.0.display(), "cannot keep the last good version of the rule; a restart has only its file");
        }
    }

    fn try_write(&self, passport: &Passport, component: &[u8]) -> std::io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)?;
        let temporary = self.path(&passport.rule, "part");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        let mut line = serde_json::to_vec(passport)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.write_all(component)?;
        file.sync_all()?;
        fs::rename(&temporary, self.path(&passport.rule, "rule"))
    }
}

fn read(file: fs::File) -> Option<(Passport, Vec<u8>)> {
    let mut bytes = Vec::new();
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let component = bytes.split_off(end + 1);
    let passport: Passport = serde_json::from_slice(&bytes).ok()?;
    (hexadecimal(&digest(&component)) == passport.identity.digest).then_some((passport, component))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(component: &[u8]) -> Identity {
        Identity::new(
            &digest(component),
            &serde_json::json!({ "failures": 3 }),
            RuleLimits::default(),
        )
    }

    fn passport(rule: &str, component: &[u8]) -> Passport {
        Passport {
            rule: rule.to_owned(),
            identity: identity(component),
            signature: None,
            left: Vec::new(),
        }
    }

    #[test]
    fn the_last_one_is_read_back_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::in_directory(directory.path());
        for rule in ["plain", "../elsewhere"] {
            kept.put(&passport(rule, b"one"), b"one");
            kept.put(&passport(rule, b"two\nlines"), b"two\nlines");
            let (known, component) = kept.read(rule).unwrap();
            assert_eq!(component, b"two\nlines");
            assert_eq!(known, passport(rule, b"two\nlines"));
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        let path = kept.path("plain", "rule");
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(kept.read("plain").is_none());
        kept.retain(&["plain".to_owned()]);
        assert!(kept.read("../elsewhere").is_none());
    }

    #[test]
    fn going_back_keeps_what_is_in_force_and_what_was_left() {
        let directory = tempfile::tempdir().unwrap();
        let kept = Kept::in_directory(directory.path());
        kept.put(&passport("a", b"one"), b"one");
        kept.put(&passport("a", b"two"), b"two");
        let left = [identity(b"two")];
        kept.go_back("a", &identity(b"one"), &left);
        let (known, component) = kept.read("a").unwrap();
        assert_eq!((&*component, &*known.left), (&b"one"[..], &left[..]));
        // What is not there cannot be gone back to.
        kept.go_back("a", &identity(b"three"), &left);
        assert!(kept.read("a").is_none());
    }

    #[test]
    fn few_versions_left_are_remembered_each_once() {
        let mut left = Vec::new();
        for number in 0..20_u8 {
            leave(&mut left, identity(&[number]));
            leave(&mut left, identity(&[number]));
        }
        assert_eq!(left.len(), MOST_LEFT);
        assert_eq!(left.last(), Some(&identity(&[19])));
    }
}
