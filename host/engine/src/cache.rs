//! Compiled rules on disk.
//!
//! Loading machine code is trusting it, so an artifact is used only when this
//! installation wrote it: a message authentication code over the artifact,
//! its rule's digest and the compiler's version and settings, under a key only
//! this host has. The bytes that were checked are the bytes that are loaded.
//! Anything else is compiled anew, never an error.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

/// Largest artifact that is read back, in bytes.
const LARGEST: u64 = 64 << 20;

/// Most artifacts kept, and most bytes of them; the longest unused go first.
const MOST: usize = 256;
const MOST_BYTES: u64 = 1 << 30;
/// Age after which an unfinished file is nobody's any more.
const ABANDONED: Duration = Duration::from_secs(600);

/// SHA-256 of a component's bytes.
pub type RuleDigest = [u8; 32];

/// Digest of a component.
#[must_use]
pub fn digest(component: &[u8]) -> RuleDigest {
    Sha256::digest(component).into()
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| {
        DIGITS
            .get(usize::from(nibble))
            .map_or('0', |digit| char::from(*digit))
    };
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// A directory of compiled rules.
#[derive(Debug, Clone)]
pub struct CompiledCache {
    directory: PathBuf,
    key: [u8; 32],
}

impl CompiledCache {
    /// Opens or creates the directory (mode 0700) with its key (mode 0600).
    ///
    /// # Errors
    /// Fails when the directory cannot be made or the key not be read.
    pub fn open(directory: &Path) -> std::io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(directory)?;
        refuse_foreign(directory)?;
        let key = read_or_make_key(&directory.join("cache.key"))?;
        let cache = Self {
            directory: directory.to_owned(),
            key,
        };
        cache.remove_abandoned();
        cache.shrink(MOST, MOST_BYTES);
        Ok(cache)
    }

    /// Files whose name holds `part`, with age and size.
    fn files(&self, part: &str) -> Vec<(SystemTime, u64, PathBuf)> {
        let entries = fs::read_dir(&self.directory)
            .into_iter()
            .flatten()
            .flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().contains(part))
            .filter_map(|entry| {
                let found = entry.metadata().ok()?;
                Some((found.modified().ok()?, found.len(), entry.path()))
            })
            .collect()
    }

    /// What a process that ended in the middle of writing left.
    fn remove_abandoned(&self) {
        for (written, _, path) in self.files(".part-") {
            if written.elapsed().is_ok_and(|age| age > ABANDONED) {
                drop(fs::remove_file(path));
            }
        }
    }

    /// Removes what was not used for the longest time.
    fn shrink(&self, most: usize, most_bytes: u64) {
        let mut kept = self.files(".cwasm");
        kept.sort();
        let mut together = 0;
        for (at, (_, bytes, path)) in kept.into_iter().rev().enumerate() {
            together += bytes;
            // The latest stays, however large it is.
            if at >= most.max(1) || (at > 0 && together > most_bytes) {
                drop(fs::remove_file(path));
            }
        }
    }

    fn path(&self, rule: &RuleDigest, compiler: u64) -> PathBuf {
        let name = hexadecimal(rule.get(..16).unwrap_or_default());
        self.directory.join(format!("{name}-{compiler:016x}.cwasm"))
    }

    /// Keyed BLAKE3: an artifact is large and read at every start, and SHA-256
    /// without processor support took a third of that.
    fn code(&self, rule: &RuleDigest, compiler: u64, artifact: &[u8]) -> blake3::Hash {
        let mut code = blake3::Hasher::new_keyed(&self.key);
        code.update(rule);
        code.update(&compiler.to_le_bytes());
        code.update(artifact);
        code.finalize()
    }

    /// The authentic artifact for a rule and compiler, if there is one.
    #[must_use]
    pub fn read(&self, rule: &RuleDigest, compiler: u64) -> Option<Vec<u8>> {
        let path = self.path(rule, compiler);
        let file = fs::File::open(&path).ok()?;
        let mut bytes = Vec::new();
        file.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
        if bytes.len() as u64 > LARGEST {
            return None;
        }
        let (artifact, tag) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        let tag: [u8; 32] = tag.try_into().ok()?;
        // Compared in constant time.
        if self.code(rule, compiler, artifact) != tag {
            return None;
        }
        bytes.truncate(bytes.len() - 32);
        // It is in use: what is not goes first.
        if let Ok(file) = OpenOptions::new().append(true).open(&path) {
            drop(file.set_modified(SystemTime::now()));
        }
        Some(bytes)
    }

    /// Keeps an artifact this host has just compiled.
    ///
    /// # Errors
    /// Fails when the file cannot be written; the rule works all the same.
    pub fn write(&self, rule: &RuleDigest, compiler: u64, artifact: &[u8]) -> std::io::Result<()> {
        let path = self.path(rule, compiler);
        let temporary = path.with_extension(format!("part-{}", std::process::id()));
        let code = self.code(rule, compiler, artifact);
        let mut file = private_file(&temporary)?;
        file.write_all(artifact)?;
        file.write_all(code.as_bytes())?;
        drop(file);
        fs::rename(&temporary, &path)?;
        self.shrink(MOST, MOST_BYTES);
        Ok(())
    }
}

/// Refuses a directory or file that somebody else could have written: what
/// lies there is trusted, compiled code included.
///
/// # Errors
/// It belongs to another user (root aside), is a link, or others may write it.
pub fn refuse_foreign(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::symlink_metadata(path)?;
    let own = nix::unistd::geteuid().as_raw();
    let reason = if found.is_symlink() {
        "is a symbolic link"
    } else if found.uid() != own && found.uid() != 0 {
        "belongs to another user"
    } else if found.mode() & 0o022 != 0 {
        "can be written by others; run: chmod go-w"
    } else {
        return Ok(());
    };
    Err(std::io::Error::new(
        std::io::ErrorKind::PermissionDenied,
        format!("{} {reason}", path.display()),
    ))
}

fn private_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Reads a 32-byte key or makes one from the system's randomness.
///
/// # Errors
/// Fails when the file is unreadable, not 32 bytes long, or cannot be made.
pub fn read_or_make_key(path: &Path) -> std::io::Result<[u8; 32]> {
    if path.exists() {
        refuse_foreign(path)?;
    }
    match fs::read(path) {
        Ok(bytes) => bytes.try_into().map_err(|_| {
            std::io::Error::other(format!(
                "{} is not a 32-byte key; remove it to have a new one made",
                path.display()
            ))
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = [0; 32];
            fs::File::open("/dev/urandom")?.read_exact(&mut key)?;
            let temporary = path.with_extension(format!("part-{}", std::process::id()));
            // What is kept under it must not outlive it on a disk.
            let mut file = private_file(&temporary)?;
            file.write_all(&key)?;
            file.sync_all()?;
            // Another process may have been faster: its key counts.
            match fs::hard_link(&temporary, path) {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    fs::remove_file(&temporary)?;
                    return Err(error);
                }
                _ => fs::remove_file(&temporary)?,
            }
            if let Some(directory) = path.parent() {
                fs::File::open(directory)?.sync_all()?;
            }
            let mut stored = [0; 32];
            fs::File::open(path)?.read_exact(&mut stored)?;
            Ok(stored)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_or_key_others_may_write_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let opened = || CompiledCache::open(directory.path()).map(|_| ());
        let allow = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        opened().unwrap();
        allow(directory.path(), 0o777);
        let error = opened().unwrap_err();
        assert!(error.to_string().contains("chmod go-w"), "{error}");
        allow(directory.path(), 0o700);
        allow(&directory.path().join("cache.key"), 0o620);
        assert!(opened().is_err());
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).unwrap();
        assert!(CompiledCache::open(&link).is_err());
    }

    #[test]
    fn only_authentic_artifacts_of_the_same_rule_and_compiler_are_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let cache = CompiledCache::open(directory.path()).unwrap();
        let rule = digest(b"component");
        cache.write(&rule, 7, b"machine code").unwrap();
        assert_eq!(cache.read(&rule, 7).unwrap(), b"machine code");
        assert_eq!(cache.read(&rule, 8), None);
        assert_eq!(
            CompiledCache::open(directory.path())
                .unwrap()
                .read(&rule, 7)
                .unwrap(),
            b"machine code"
        );

        let path = cache.path(&rule, 7);
        let good = fs::read(&path).unwrap();
        for at in [0, 5, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, bad).unwrap();
            assert_eq!(cache.read(&rule, 7), None, "byte {at}");
        }
        fs::write(&path, &good[..10]).unwrap();
        assert_eq!(cache.read(&rule, 7), None);
    }

    #[test]
    fn what_is_not_used_goes_and_so_does_what_was_never_finished() {
        let directory = tempfile::tempdir().unwrap();
        let cache = CompiledCache::open(directory.path()).unwrap();
        let hours_ago = |path: &Path, hours: u64| {
            let time = SystemTime::now() - Duration::from_secs(3600 * hours);
            let file = OpenOptions::new().append(true).open(path).unwrap();
            file.set_modified(time).unwrap();
        };
        let rules = [b"a", b"b", b"c", b"d"].map(|bytes| digest(bytes));
        for (rule, hours) in rules.iter().zip([4, 3, 2, 1]) {
            cache.write(rule, 7, b"machine code").unwrap();
            hours_ago(&cache.path(rule, 7), hours);
        }
        assert!(cache.read(&rules[0], 7).is_some(), "used just now");
        cache.shrink(3, u64::MAX);
        let kept = |cache: &CompiledCache| rules.map(|rule| cache.path(&rule, 7).exists());
        assert_eq!(kept(&cache), [true, false, true, true]);
        cache.shrink(3, 2 * 44);
        assert_eq!(kept(&cache), [true, false, false, true]);

        let part = |number: u32| directory.path().join(format!("x.part-{number}"));
        fs::write(part(1), "half").unwrap();
        fs::write(part(2), "half").unwrap();
        hours_ago(&part(1), 1);
        let cache = CompiledCache::open(directory.path()).unwrap();
        assert_eq!((part(1).exists(), part(2).exists()), (false, true));
        assert_eq!(kept(&cache), [true, false, false, true]);
    }

    #[test]
    fn another_installations_artifacts_are_not_trusted() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let theirs = CompiledCache::open(one.path()).unwrap();
        let ours = CompiledCache::open(two.path()).unwrap();
        let rule = digest(b"component");
        theirs.write(&rule, 7, b"machine code").unwrap();
        fs::copy(theirs.path(&rule, 7), ours.path(&rule, 7)).unwrap();
        assert_eq!(ours.read(&rule, 7), None);
    }
}
