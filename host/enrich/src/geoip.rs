//! MaxMind databases: loading, verifying, asking.
//!
//! A file is read to the heap, never mapped: a file replaced in place would
//! otherwise kill the process. The read is bounded. A replacement is verified
//! in full before it is used. At the start a large file is only sampled, since
//! verifying a whole city database takes seconds; the first check for
//! replacements makes up for it. A look-up that fails all the same counts as
//! "nothing known".

mod record;
mod store;

use std::fs::{File, Metadata};
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader};
use serde::de::IgnoredAny;

pub(crate) use record::{Anonymity, AutonomousSystem, Place};
pub use store::{DatabaseStatus, ReloadOutcome};
pub(crate) use store::{DatabaseStore, Databases};

/// Largest database file that is read.
pub const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// Largest file that is verified in full before the start goes on.
const FULL_CHECK_BYTES: u64 = 4 * 1024 * 1024;

/// Addresses a larger file is sampled with.
const SAMPLES: u32 = 4096;

/// What a database is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// Places: city or country databases.
    City,
    /// Autonomous systems.
    Asn,
    /// VPN exits, proxies, Tor, hosting.
    Anonymous,
}

impl DatabaseKind {
    /// The kind's name, as in configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::City => "city",
            Self::Asn => "asn",
            Self::Anonymous => "anonymous",
        }
    }

    /// Whether a database that calls itself `kind` plainly is of another kind.
    /// Unknown names pass: vendors other than MaxMind have their own.
    fn contradicts(self, kind: &str) -> bool {
        let name = kind.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let (city, asn) = (
            has(&["city", "country", "enterprise"]),
            has(&["asn", "isp"]),
        );
        let anonymous = has(&["anonymous"]);
        match self {
            Self::City => !city && (asn || anonymous),
            Self::Asn => !asn && (city || anonymous),
            Self::Anonymous => !anonymous && (city || asn),
        }
    }
}

/// Why a database file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// It cannot be opened or read.
    #[error("cannot be read: {0}")]
    Read(#[from] std::io::Error),
    /// It is larger than [`MAX_FILE_BYTES`].
    #[error("has {0} bytes, more than the {MAX_FILE_BYTES} that are read; is this the right file?")]
    TooLarge(u64),
    /// Somebody wrote to it while it was read.
    #[error("changed while it was read; replace it by renaming a complete file over it")]
    Unstable,
    /// It is no MaxMind database or a damaged one.
    #[error("is not a sound MaxMind database ({0}); download it again")]
    Corrupt(#[from] MaxMindDbError),
    /// It is a database of another kind.
    #[error("is a `{found}` database, not one for `{}`; check the configured paths", .wanted.as_str())]
    WrongKind {
        /// The kind the setting asks for.
        wanted: DatabaseKind,
        /// The type in the file.
        found: String,
    },
}

/// What identifies one version of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileSignature {
    modified: (i64, i64),
    length: u64,
    device: u64,
    inode: u64,
}

impl FileSignature {
    #[cfg(unix)]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self {
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            length: metadata.len(),
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// Where files are part of an application and never replaced.
    #[cfg(not(unix))]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            modified: (0, 0),
            length: metadata.len(),
            device: 0,
            inode: 0,
        }
    }
}

/// One loaded, verified database.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) path: PathBuf,
    pub(crate) kind: DatabaseKind,
    pub(crate) signature: FileSignature,
    /// The whole file is known to be sound.
    verified: bool,
    reader: Reader<Vec<u8>>,
}

impl Database {
    /// Reads a file and verifies all of it.
    pub(crate) fn load(path: &Path, kind: DatabaseKind) -> Result<Self, DatabaseError> {
        let mut database = Self::read(path, kind)?;
        database.reader.verify()?;
        database.verified = true;
        Ok(database)
    }

    /// Reads a file and verifies what can be verified in milliseconds.
    pub(crate) fn load_quickly(path: &Path, kind: DatabaseKind) -> Result<Self, DatabaseError> {
        let mut database = Self::read(path, kind)?;
        if database.signature.length <= FULL_CHECK_BYTES {
            database.reader.verify()?;
            database.verified = true;
        } else {
            for sample in 0..SAMPLES {
                // Multiplying by an odd number scatters the samples evenly.
                let address = Ipv4Addr::from_bits(sample.wrapping_mul(2_654_435_769));
                database
                    .reader
                    .lookup(address.into())?
                    .decode::<IgnoredAny>()?;
            }
        }
        Ok(database)
    }

    fn read(path: &Path, kind: DatabaseKind) -> Result<Self, DatabaseError> {
        let (bytes, signature) = read_bounded(path)?;
        let reader = Reader::from_source(bytes)?;
        let found = &reader.metadata().database_type;
        if kind.contradicts(found) {
            return Err(DatabaseError::WrongKind {
                wanted: kind,
                found: found.clone(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            kind,
            signature,
            verified: false,
            reader,
        })
    }

    /// Whether the whole file was verified when it was loaded.
    pub(crate) fn is_verified(&self) -> bool {
        self.verified
    }

    /// Verifies the whole file.
    pub(crate) fn verify(&self) -> Result<(), DatabaseError> {
        Ok(self.reader.verify()?)
    }

    /// When the vendor built it, seconds since the Unix epoch.
    pub(crate) fn build_epoch(&self) -> u64 {
        self.reader.metadata().build_epoch
    }

    fn record<'de, T: serde::Deserialize<'de>>(&'de self, address: IpAddr) -> Option<T> {
        self.reader.lookup(address).ok()?.decode().ok()?
    }
}

fn read_bounded(path: &Path) -> Result<(Vec<u8>, FileSignature), DatabaseError> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > MAX_FILE_BYTES {
        return Err(DatabaseError::TooLarge(metadata.len()));
    }
    let signature = FileSignature::of(&metadata);
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    (&mut file).take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    if FileSignature::of(&file.metadata()?) != signature {
        return Err(DatabaseError::Unstable);
    }
    Ok((bytes, signature))
}

#[cfg(test)]
mod tests;
