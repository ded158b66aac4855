//! The key-value store as the application uses it: values read and replaced
//! by compare-and-set.

/// Why a state could not be read or kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The component may not use the store, or there is none.
    #[error(
        "the key-value store cannot be opened ({0}); spin.toml must list it in `key_value_stores`"
    )]
    Absent(String),
    /// The store answered with an error.
    #[error("the key-value store failed: {0}")]
    Failed(String),
    /// Others changed the same state again and again.
    #[error("the state of `{0}` was changed by others in every one of {1} attempts")]
    Contended(String, usize),
}

/// What became of a replacement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The value is the new one.
    Done,
    /// The value was not the one that was read; nothing changed.
    Conflict,
}

/// A store of values.
pub trait Store {
    /// A value as it was read, to be replaced.
    type Version;

    /// Reads a value.
    ///
    /// # Errors
    /// The store is absent or failed.
    fn read(&self, key: &str) -> Result<(Option<Vec<u8>>, Self::Version), StoreError>;

    /// Replaces a value that is still what was read.
    ///
    /// # Errors
    /// The store is absent or failed.
    fn replace(&self, version: Self::Version, value: Vec<u8>) -> Result<Swap, StoreError>;

    /// Adds to a counter, which begins at 0, and tells what it is then.
    ///
    /// # Errors
    /// The store is absent or failed.
    fn count(&self, key: &str, more: i64) -> Result<i64, StoreError>;

    /// Sets a value, whatever it was.
    ///
    /// # Errors
    /// The store is absent or failed.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError>;

    /// Whole periods of [`PERIOD_SECONDS`] since the Unix epoch.
    fn period(&self) -> u64;

    /// Waits a little, longer with every attempt in vain, so that others can
    /// finish.
    fn pause(&self, attempt: usize);
}

/// How long a first writer is waited for before another may be chosen.
pub const PERIOD_SECONDS: u64 = 600;

/// Changes the value of a key: `change` makes the new value of the old one, or
/// nothing when it is to stay. On conflict it is asked again, with what
/// another wrote meanwhile; what the last call returned counts.
///
/// A key nobody ever set is first set to `empty`: Spin's SQLite back-end
/// compares nothing when the value it read was absent, so two first writers
/// would overwrite each other. See [`chosen`] for who sets it.
///
/// # Errors
/// The store is absent or failed, or all attempts met a conflict.
pub fn update<S: Store, T>(
    store: &S,
    key: &str,
    empty: &[u8],
    attempts: usize,
    mut change: impl FnMut(&[u8]) -> (Option<Vec<u8>>, T),
) -> Result<T, StoreError> {
    for attempt in 1..=attempts {
        let (value, version) = store.read(key)?;
        let Some(value) = value else {
            if chosen(store, key)? {
                store.set(key, empty)?;
            } else {
                store.pause(attempt);
            }
            continue;
        };
        let (new, told) = change(&value);
        let Some(new) = new else {
            return Ok(told);
        };
        if store.replace(version, new)? == Swap::Done {
            return Ok(told);
        }
        store.pause(attempt);
    }
    Err(StoreError::Contended(key.to_owned(), attempts))
}

/// Whether the caller is the one to set a key that was never set: the first to
/// count in this period, if nobody was chosen in the period before.
///
/// A first writer that dies between being chosen and setting the value keeps
/// the others out for one to two periods; then another is chosen. Anything
/// sooner could overwrite what others folded after a first writer that was
/// merely slow.
fn chosen<S: Store>(store: &S, key: &str) -> Result<bool, StoreError> {
    let period = store.period();
    let before = store.count(&format!("new/{}/{key}", period.wrapping_sub(1)), 0)?;
    Ok(before == 0 && store.count(&format!("new/{period}/{key}"), 1)? == 1)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    /// A store like Spin's SQLite back-end in which others write meanwhile.
    #[derive(Default)]
    struct Busy {
        values: RefCell<BTreeMap<String, Vec<u8>>>,
        counters: RefCell<BTreeMap<String, i64>>,
        /// What somebody else does before the next replacement.
        others: RefCell<Vec<Vec<u8>>>,
        /// Somebody else has been chosen to make the value and does it late.
        late: RefCell<usize>,
        period: RefCell<u64>,
    }

    impl Store for Busy {
        type Version = (String, Option<Vec<u8>>);

        fn read(&self, key: &str) -> Result<(Option<Vec<u8>>, Self::Version), StoreError> {
            let mut late = self.late.borrow_mut();
            if *late > 0 {
                *late -= 1;
                if *late == 0 {
                    self.set(key, b"others")?;
                }
            }
            let value = self.values.borrow().get(key).cloned();
            Ok((value.clone(), (key.to_owned(), value)))
        }

        fn replace(&self, (key, seen): Self::Version, value: Vec<u8>) -> Result<Swap, StoreError> {
            if let Some(theirs) = self.others.borrow_mut().pop() {
                self.set(&key, &theirs)?;
            }
            let same = seen.is_none() || self.values.borrow().get(&key) == seen.as_ref();
            if same {
                self.set(&key, &value)?;
            }
            Ok(if same { Swap::Done } else { Swap::Conflict })
        }

        fn count(&self, key: &str, more: i64) -> Result<i64, StoreError> {
            let mut counters = self.counters.borrow_mut();
            let counter = counters.entry(key.to_owned()).or_default();
            *counter += more;
            Ok(*counter)
        }

        fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
            self.values
                .borrow_mut()
                .insert(key.to_owned(), value.to_vec());
            Ok(())
        }

        fn period(&self) -> u64 {
            *self.period.borrow()
        }

        fn pause(&self, _: usize) {}
    }

    fn append(store: &Busy, attempts: usize) -> Result<usize, StoreError> {
        let mut calls = 0;
        update(store, "k", b"", attempts, |value| {
            calls += 1;
            let mut value = value.to_vec();
            value.push(b'x');
            (Some(value), calls)
        })
    }

    #[test]
    fn a_conflict_is_folded_again_from_what_the_other_wrote() {
        let store = Busy::default();
        assert_eq!(append(&store, 9), Ok(1));
        store
            .others
            .borrow_mut()
            .extend([b"b".to_vec(), b"a".to_vec()]);
        assert_eq!(append(&store, 9), Ok(3));
        assert_eq!(store.values.borrow()["k"], b"bx");
        store
            .others
            .borrow_mut()
            .extend([b"b".to_vec(), b"a".to_vec()]);
        assert_eq!(
            append(&store, 2),
            Err(StoreError::Contended("k".to_owned(), 2))
        );
    }

    #[test]
    fn of_two_first_writers_one_waits_for_the_other() {
        let store = Busy::default();
        store.count("new/0/k", 1).unwrap();
        *store.late.borrow_mut() = 4;
        assert_eq!(append(&store, 20), Ok(1));
        assert_eq!(store.values.borrow()["k"], b"othersx");
    }

    #[test]
    fn a_first_writer_that_never_came_back_is_replaced() {
        let store = Busy::default();
        store.count("new/7/k", 1).unwrap();
        for period in [7, 8] {
            *store.period.borrow_mut() = period;
            assert!(append(&store, 20).is_err(), "it may only be slow");
            assert!(store.values.borrow().is_empty());
        }
        *store.period.borrow_mut() = 9;
        assert_eq!(append(&store, 20), Ok(1));
        assert_eq!(store.values.borrow()["k"], b"x");
    }

    #[test]
    fn what_does_not_change_is_not_written() {
        let store = Busy::default();
        store.set("k", b"same").unwrap();
        store.others.borrow_mut().push(b"theirs".to_vec());
        assert_eq!(
            update(&store, "k", b"", 3, |value| (None, value.len())),
            Ok(4)
        );
        assert_eq!(store.others.borrow().len(), 1, "nothing was replaced");
    }
}
