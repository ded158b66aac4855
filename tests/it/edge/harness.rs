//! Builds applications with the real program and runs them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use integration_tests::command::rules;
use integration_tests::spin::{Answer, KeyValues, Surroundings};
use integration_tests::{Spin, sidewatch};

/// The token every application here is given.
pub(super) const TOKEN: &str = "edge-token-0123456789";

/// Keys of both sides, as hexadecimal digits.
pub(super) const PSEUDONYM_KEY: &str =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub(super) const HASH_KEY: &str =
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

/// Where batches go.
pub(super) const EVENTS: &str = "/.well-known/sidewatch/events";

/// The edge component that was built.
pub(super) fn edge() -> PathBuf {
    let path = rules().with_file_name("spin").join("edge.wasm");
    assert!(
        path.is_file(),
        "{} is missing; run `make test`, which builds it first",
        path.display()
    );
    path
}

/// An application in a directory of its own.
pub(super) struct Built {
    pub(super) directory: tempfile::TempDir,
    pub(super) out: String,
}

impl Built {
    /// Builds with these arguments besides `--output`.
    pub(super) fn new(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("application");
        let edge = edge();
        let mut all = vec![
            "edge",
            "build",
            "--edge",
            edge.to_str().unwrap(),
            "--output",
            path.to_str().unwrap(),
        ];
        all.extend(arguments);
        let ended = sidewatch(directory.path(), &all, b"");
        assert_eq!(ended.code, 0, "{}", ended.err);
        Self {
            directory,
            out: ended.out,
        }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("application")
    }

    pub(super) fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap()
    }
}

/// What Spin is given, with a fresh store.
pub(super) fn surroundings(store: &KeyValues) -> Surroundings {
    let variables = [
        ("token", TOKEN),
        ("pseudonym_key", PSEUDONYM_KEY),
        ("hash_key", HASH_KEY),
    ];
    Surroundings {
        variables: variables
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        stores: BTreeMap::from([("default".to_owned(), store.clone())]),
        reuse: None,
    }
}

/// Loads an application with a store.
pub(super) fn load(directory: &Path, store: &KeyValues) -> Spin {
    Spin::load(directory, &surroundings(store)).unwrap()
}

/// Sends a request with the token.
pub(super) async fn send(
    spin: &Spin,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut all = vec![("x-sidewatch-token", TOKEN)];
    all.extend(headers);
    spin.send(method, path, &all, body.to_owned())
        .await
        .unwrap()
}

/// Sends a batch of events.
pub(super) async fn post(spin: &Spin, body: &str) -> Answer {
    send(
        spin,
        "POST",
        EVENTS,
        &[("content-type", "application/json")],
        body,
    )
    .await
}
