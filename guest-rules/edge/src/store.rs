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

    /// Adds one to a counter, which begins at 0, and tells what it is then.
    ///
    /// # Errors
    /// The store is absent or failed.
    fn count(&self, key: &str) -> Result<i64, StoreError>;

    /// Whether anybody ever counted there.
    ///
    /// # Errors
    /// The store is absent or failed.
    fn counted(&self, key: &str) -> Result<bool, StoreError>;

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
/// A key nobody ever set is as good as `empty`. If it is to change, it is set
/// to that first: Spin's SQLite back-end
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
        let (new, told) = change(value.as_deref().unwrap_or(empty));
        let Some(new) = new else {
            return Ok(told);
        };
        if value.is_none() {
            if chosen(store, key)? {
                // Where the back-end compares absence, too, all the better.
                store.replace(version, empty.to_vec())?;
                continue;
            }
        } else if store.replace(version, new)? == Swap::Done {
            return Ok(told);
        }
        store.pause(attempt);
    }
    Err(StoreError::Contended(key.to_owned(), attempts))
}

/// Whether the caller is the one to set a key that was never set: the first to
/// count in this period, if nobody counted in the periods beside it.
///
/// Of two whose clocks name neighbouring periods, each counts before it looks
/// at the other's counter, so at least one sees the other and withdraws. A
/// first writer that dies between being chosen and setting the value keeps the
/// others out for one to three periods; then another is chosen. Anything
/// sooner could overwrite what others folded after a first writer that was
/// merely slow.
fn chosen<S: Store>(store: &S, key: &str) -> Result<bool, StoreError> {
    let period = store.period();
    let counter = |period: u64| format!("new/{period}/{key}");
    let (before, after) = (
        counter(period.wrapping_sub(1)),
        counter(period.wrapping_add(1)),
    );
    // Whoever counted in vain would keep the next period out as well.
    Ok(!store.counted(&before)?
        && store.count(&counter(period))? == 1
        && !store.counted(&before)?
        && !store.counted(&after)?)
}

#[cfg(test)]
pub(crate) mod testing {
    //! A store for tests.

    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    /// A store like Spin's SQLite back-end in which others write meanwhile.
    #[derive(Default)]
    pub(crate) struct Busy {
        pub(crate) values: RefCell<BTreeMap<String, Vec<u8>>>,
        pub(crate) counters: RefCell<BTreeMap<String, i64>>,
        /// What somebody else does before the next replacement.
        pub(crate) others: RefCell<Vec<Vec<u8>>>,
        /// Somebody else has been chosen to make the value and does it late.
        pub(crate) late: RefCell<usize>,
        pub(crate) period: RefCell<u64>,
        /// Somebody counts in this period right after the first look.
        pub(crate) rival: RefCell<Option<u64>>,
    }

    impl Busy {
        pub(crate) fn set(&self, key: &str, value: &[u8]) {
            self.values
                .borrow_mut()
                .insert(key.to_owned(), value.to_vec());
        }
    }

    impl Store for Busy {
        type Version = (String, Option<Vec<u8>>);

        fn read(&self, key: &str) -> Result<(Option<Vec<u8>>, Self::Version), StoreError> {
            let mut late = self.late.borrow_mut();
            if *late > 0 {
                *late -= 1;
                if *late == 0 {
                    self.set(key, b"others");
                }
            }
            let value = self.values.borrow().get(key).cloned();
            Ok((value.clone(), (key.to_owned(), value)))
        }

        fn replace(&self, (key, seen): Self::Version, value: Vec<u8>) -> Result<Swap, StoreError> {
            if let Some(theirs) = self.others.borrow_mut().pop() {
                self.set(&key, &theirs);
            }
            let same = seen.is_none() || self.values.borrow().get(&key) == seen.as_ref();
            if same {
                self.set(&key, &value);
            }
            Ok(if same { Swap::Done } else { Swap::Conflict })
        }

        fn count(&self, key: &str) -> Result<i64, StoreError> {
            let mut counters = self.counters.borrow_mut();
            let counter = counters.entry(key.to_owned()).or_default();
            *counter += 1;
            Ok(*counter)
        }

        fn counted(&self, key: &str) -> Result<bool, StoreError> {
            let counted = self.counters.borrow().contains_key(key);
            if let Some(period) = self.rival.borrow_mut().take() {
                self.count(&format!("new/{period}/k"))?;
            }
            Ok(counted)
        }

        fn period(&self) -> u64 {
            *self.period.borrow()
        }

        fn pause(&self, _: usize) {}
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Busy;
    use super::*;

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
        assert_eq!(append(&store, 9), Ok(2), "once for the empty value");
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
        store.count("new/0/k").unwrap();
        *store.late.borrow_mut() = 4;
        assert_eq!(append(&store, 20), Ok(4));
        assert_eq!(store.values.borrow()["k"], b"othersx");
    }

    #[test]
    fn a_first_writer_that_never_came_back_is_replaced() {
        let store = Busy::default();
        store.count("new/7/k").unwrap();
        for period in [7, 8] {
            *store.period.borrow_mut() = period;
            assert!(append(&store, 20).is_err(), "it may only be slow");
            assert!(store.values.borrow().is_empty());
        }
        *store.period.borrow_mut() = 9;
        assert_eq!(append(&store, 20), Ok(2));
        assert_eq!(store.values.borrow()["k"], b"x");
    }

    #[test]
    fn where_two_periods_meet_nobody_writes_over_anybody() {
        for rival in [6, 8] {
            let store = Busy::default();
            *store.period.borrow_mut() = 7;
            *store.rival.borrow_mut() = Some(rival);
            assert!(
                append(&store, 20).is_err(),
                "the other may have been chosen"
            );
            assert!(store.values.borrow().is_empty());
            // And it does not stay so.
            *store.period.borrow_mut() = 10;
            assert_eq!(append(&store, 20), Ok(2));
        }
    }

    #[test]
    fn what_keeps_nothing_leaves_nothing_behind() {
        let store = Busy::default();
        assert_eq!(
            update(&store, "k", b"e", 3, |value| (None, value.to_vec())),
            Ok(b"e".to_vec())
        );
        assert!(store.values.borrow().is_empty() && store.counters.borrow().is_empty());
    }

    #[test]
    fn what_does_not_change_is_not_written() {
        let store = Busy::default();
        store.set("k", b"same");
        store.others.borrow_mut().push(b"theirs".to_vec());
        assert_eq!(
            update(&store, "k", b"", 3, |value| (None, value.len())),
            Ok(4)
        );
        assert_eq!(store.others.borrow().len(), 1, "nothing was replaced");
    }
}
