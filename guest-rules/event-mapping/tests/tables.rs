//! Every pack's table compiles, and its table tests hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail loudly"
)]

use std::path::{Path, PathBuf};

use event_mapping::EventMapping;
use rule_sdk::mapping::harness::{Case, Harness};
use serde::Deserialize;
use serde_json::{Map, Value};

/// One file of `rules/packs/<pack>/tests/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Suite {
    /// Settings that differ from the table's own.
    #[serde(default)]
    settings: Map<String, Value>,
    case: Vec<Case>,
}

fn packs() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules/packs");
    let mut packs: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    packs.retain(|path| path.join("mapping.toml").exists());
    packs.sort();
    packs
}

fn harness(pack: &Path, settings: &Map<String, Value>) -> Harness<EventMapping> {
    let text = std::fs::read_to_string(pack.join("mapping.toml")).unwrap();
    let mut table: Value =
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", pack.display()));
    for (name, value) in settings {
        let known = table["settings"]
            .as_object_mut()
            .expect("a table of settings");
        assert!(
            known.insert(name.clone(), value.clone()).is_some(),
            "{}: no setting `{name}`",
            pack.display()
        );
    }
    Harness::new(&table.to_string()).unwrap_or_else(|error| {
        panic!("{}: {}: {}", pack.display(), error.parameter, error.message)
    })
}

#[test]
fn every_case_of_every_pack_holds() {
    let mut wrong = Vec::new();
    for pack in packs() {
        let mut files: Vec<_> = std::fs::read_dir(pack.join("tests"))
            .unwrap_or_else(|error| panic!("{}: no table tests: {error}", pack.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(!files.is_empty(), "{} has no table tests", pack.display());
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            let suite: Suite =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let harness = harness(&pack, &suite.settings);
            let results = suite.case.iter().map(|case| harness.check(case));
            wrong.extend(
                results
                    .filter_map(Result::err)
                    .map(|error| format!("{}: {error}", file.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
