//! `wasi:keyvalue@0.2.0-draft2` over values in memory, as Spin's SQLite
//! back-end behaves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use wasmtime::StoreContextMut;
use wasmtime::component::{ComponentType, Lift, Linker, Lower, Resource, ResourceType};

use super::{Guest, real};

/// Values by key, and how often they were read and written.
#[derive(Debug, Clone, Default)]
pub struct KeyValues(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Where a real Spin keeps them.
    file: OnceLock<tempfile::TempDir>,
    values: Mutex<BTreeMap<String, Vec<u8>>>,
    reads: AtomicUsize,
    read: Mutex<Vec<String>>,
    writes: AtomicUsize,
    conflicts: AtomicUsize,
}

impl KeyValues {
    /// The values at present.
    #[must_use]
    pub fn values(&self) -> BTreeMap<String, Vec<u8>> {
        if super::is_real() {
            return real::values(self)
                .into_iter()
                .map(|(key, digits)| (key, bytes(&digits)))
                .collect();
        }
        self.locked().clone()
    }

    pub(super) fn file(&self) -> PathBuf {
        let directory = self.0.file.get_or_init(|| tempfile::tempdir().unwrap());
        directory.path().join("states.db")
    }

    /// Values read and written since the last call, and swaps that failed.
    #[must_use]
    pub fn counts(&self) -> (usize, usize, usize) {
        let take = |counter: &AtomicUsize| counter.swap(0, Ordering::Relaxed);
        (
            take(&self.0.reads),
            take(&self.0.writes),
            take(&self.0.conflicts),
        )
    }

    /// The keys read since the last call.
    #[must_use]
    pub fn keys_read(&self) -> Vec<String> {
        std::mem::take(&mut self.0.read.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

struct Bucket(KeyValues);

struct Cas {
    store: KeyValues,
    key: String,
    /// As `current` told it.
    seen: Option<Vec<u8>>,
}

#[derive(Debug, Clone, ComponentType, Lift, Lower)]
#[component(variant)]
enum Error {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    StoreError(Error),
    #[component(name = "cas-failed")]
    CasFailed(Resource<Cas>),
}

type Context<'a> = StoreContextMut<'a, Guest>;

/// Lets other requests go on, as a store behind a network does.
async fn elsewhere() {
    tokio::task::yield_now().await;
}

pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    add_store(linker)?;
    add_atomics(linker)
}

fn add_store(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("wasi:keyvalue/store@0.2.0-draft2")?;
    interface.resource(
        "bucket",
        ResourceType::host::<Bucket>(),
        |mut context, rep| {
            context
                .data_mut()
                .table
                .delete(Resource::<Bucket>::new_own(rep))?;
            Ok(())
        },
    )?;
    interface.func_wrap("open", |mut context: Context<'_>, (label,): (String,)| {
        let guest = context.data_mut();
        let opened = match guest.granted.stores.get(&label).cloned() {
            Some(store) => Ok(guest.table.push(Bucket(store))?),
            None if guest.granted.denied.contains(&label) => Err(Error::AccessDenied),
            None => Err(Error::NoSuchStore),
        };
        Ok((opened,))
    })?;
    interface.func_wrap_async(
        "[method]bucket.exists",
        |mut context: Context<'_>, (bucket, key): (Resource<Bucket>, String)| {
            Box::new(async move {
                elsewhere().await;
                let store = context.data_mut().table.get(&bucket)?.0.clone();
                let exists = store.locked().contains_key(&key);
                Ok((Ok::<bool, Error>(exists),))
            })
        },
    )
}

fn add_atomics(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("wasi:keyvalue/atomics@0.2.0-draft2")?;
    interface.resource("cas", ResourceType::host::<Cas>(), |mut context, rep| {
        context
            .data_mut()
            .table
            .delete(Resource::<Cas>::new_own(rep))?;
        Ok(())
    })?;
    interface.func_wrap(
        "[static]cas.new",
        |mut context: Context<'_>, (bucket, key): (Resource<Bucket>, String)| {
            let table = &mut context.data_mut().table;
            let store = table.get(&bucket)?.0.clone();
            let cas = table.push(Cas {
                store,
                key,
                seen: None,
            })?;
            Ok((Ok::<_, Error>(cas),))
        },
    )?;
    interface.func_wrap_async(
        "[method]cas.current",
        |mut context: Context<'_>, (cas,): (Resource<Cas>,)| {
            Box::new(async move {
                elsewhere().await;
                let cas = context.data_mut().table.get_mut(&cas)?;
                let store = &cas.store.0;
                store.reads.fetch_add(1, Ordering::Relaxed);
                let mut read = store.read.lock().unwrap_or_else(PoisonError::into_inner);
                read.push(cas.key.clone());
                drop(read);
                cas.seen = cas.store.locked().get(&cas.key).cloned();
                Ok((Ok::<_, Error>(cas.seen.clone()),))
            })
        },
    )?;
    interface.func_wrap_async(
        "increment",
        |mut context: Context<'_>, (bucket, key, delta): (Resource<Bucket>, String, i64)| {
            Box::new(async move {
                elsewhere().await;
                let store = context.data_mut().table.get(&bucket)?.0.clone();
                let mut values = store.locked();
                let counter = values.entry(key).or_insert_with(|| vec![0; 8]);
                let Ok(bytes) = <[u8; 8]>::try_from(counter.as_slice()) else {
                    return Ok((Err(Error::Other("incorrect length".to_owned())),));
                };
                let count = i64::from_le_bytes(bytes) + delta;
                *counter = count.to_le_bytes().to_vec();
                Ok((Ok(count),))
            })
        },
    )?;
    interface.func_wrap_async(
        "swap",
        |mut context: Context<'_>, (cas, value): (Resource<Cas>, Vec<u8>)| {
            Box::new(async move {
                elsewhere().await;
                let table = &mut context.data_mut().table;
                let cas = table.delete(cas)?;
                if swap(&cas, value) {
                    return Ok((Ok(()),));
                }
                let seen = cas.store.locked().get(&cas.key).cloned();
                let again = table.push(Cas { seen, ..cas })?;
                Ok((Err(CasError::CasFailed(again)),))
            })
        },
    )
}

/// Spin's SQLite back-end compares what was read, but inserts or overwrites
/// when nothing was.
fn swap(cas: &Cas, value: Vec<u8>) -> bool {
    let mut values = cas.store.locked();
    let unchanged = cas.seen.is_none() || values.get(&cas.key) == cas.seen.as_ref();
    if unchanged {
        cas.store.0.writes.fetch_add(1, Ordering::Relaxed);
        values.insert(cas.key.clone(), value);
    } else {
        cas.store.0.conflicts.fetch_add(1, Ordering::Relaxed);
    }
    unchanged
}
