//! Rules are signed or not when an application is built: what the sidecar
//! would refuse does not get to the edge.

use std::path::Path;

use integration_tests::{Output, sidewatch};
use serde_json::Value;

use super::harness::edge;
use crate::signing::signed;

fn build(directory: &Path, trust: &str) -> Output {
    std::fs::write(
        directory.join("sidewatch.toml"),
        format!("[trust]\n{trust}\n"),
    )
    .unwrap();
    let edge = edge();
    let arguments = [
        "edge",
        "build",
        "--config",
        "sidewatch.toml",
        "--edge",
        edge.to_str().unwrap(),
        "--rules",
        directory.to_str().unwrap(),
        "--only",
        "failed-logins",
        "--to",
        "nowhere",
        "--output",
        "application",
    ];
    sidewatch(directory, &arguments, b"")
}

#[test]
fn only_what_a_trusted_key_signed_is_built_in() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let key = signed(directory);
    let trust = format!("keys = [\"{key}\"]");
    let built = build(directory, &trust);
    assert_eq!(built.code, 0, "{}", built.err);
    let application = directory.join("application");
    let text = std::fs::read(application.join("sidewatch-edge.json")).unwrap();
    let listing: Value = serde_json::from_slice(&text).unwrap();
    let listed = listing["rules"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    for rule in listed {
        assert_eq!(rule["signed_by"], key, "{rule}");
    }

    std::fs::remove_dir_all(&application).unwrap();
    let component = directory.join("failed-logins.wasm");
    // A custom section more: still a rule, but not the one that was signed.
    let mut other = std::fs::read(&component).unwrap();
    other.extend_from_slice(b"\x00\x05\x04note");
    std::fs::write(&component, &other).unwrap();
    let changed = build(directory, &trust);
    assert_ne!(changed.code, 0);
    assert!(
        changed.err.contains("failed-logins") && changed.err.contains("does not fit these bytes"),
        "{}",
        changed.err
    );
    std::fs::remove_file(directory.join("failed-logins.wasm.minisig")).unwrap();
    let missing = build(directory, &trust);
    assert_ne!(missing.code, 0);
    assert!(missing.err.contains("no signature"), "{}", missing.err);
    assert!(!application.exists(), "nothing of it is written");
}
