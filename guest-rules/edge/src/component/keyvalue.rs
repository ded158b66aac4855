//! Spin's key-value store through `wasi:keyvalue`, whose calls are
//! synchronous: nothing of this instance runs between reading a value and
//! replacing it.

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use spin_sdk::experimental::wasi::keyvalue::atomics::{Cas, CasError, increment, swap};
use spin_sdk::experimental::wasi::keyvalue::store::{Bucket, Error, open};

use crate::store::{PERIOD_SECONDS, Store, StoreError, Swap};

/// A store of the application.
#[derive(Debug)]
pub(super) struct KeyValue(Bucket);

impl KeyValue {
    /// Opens the store with this label.
    pub(super) fn open(label: &str) -> Result<Self, StoreError> {
        open(label).map(Self).map_err(|error| {
            StoreError::Absent(match error {
                Error::NoSuchStore => format!("there is no store `{label}`"),
                Error::AccessDenied => format!("no access to store `{label}`"),
                Error::Other(text) => text,
            })
        })
    }
}

fn failed(error: Error) -> StoreError {
    StoreError::Failed(match error {
        Error::NoSuchStore => "no such store".to_owned(),
        Error::AccessDenied => "access denied".to_owned(),
        Error::Other(text) => text,
    })
}

impl Store for KeyValue {
    type Version = Cas;

    fn read(&self, key: &str) -> Result<(Option<Vec<u8>>, Cas), StoreError> {
        let version = Cas::new(&self.0, key).map_err(failed)?;
        let value = version.current().map_err(failed)?;
        Ok((value, version))
    }

    fn replace(&self, version: Cas, value: Vec<u8>) -> Result<Swap, StoreError> {
        match swap(version, &value) {
            Ok(()) => Ok(Swap::Done),
            Err(CasError::CasFailed(_)) => Ok(Swap::Conflict),
            Err(CasError::StoreError(error)) => Err(failed(error)),
        }
    }

    fn count(&self, key: &str) -> Result<i64, StoreError> {
        increment(&self.0, key, 1).map_err(failed)
    }

    fn counted(&self, key: &str) -> Result<bool, StoreError> {
        self.0.exists(key).map_err(failed)
    }

    fn period(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.unwrap_or_default().as_secs() / PERIOD_SECONDS
    }

    fn pause(&self, attempt: usize) {
        /// Attempts that only look again at once.
        const AT_ONCE: usize = 4;
        if let Some(longer) = attempt.checked_sub(AT_ONCE) {
            sleep(Duration::from_millis(1 << longer.min(4)));
        }
    }
}
