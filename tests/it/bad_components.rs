//! Files that are no usable rule.

use std::path::Path;

use integration_tests::command::rules;
use integration_tests::sidewatch;

const IMPORTING: &str = r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#;

const OTHER_VERSION: &str = r#"(component
  (component $empty)
  (instance $rule (instantiate $empty))
  (export "sidewatch:rule/detection@9.9.9" (instance $rule)))"#;

const NO_RULE: &str = "(component)";

const CORE_MODULE: &str = "(module)";

/// The inspector and a sidecar refuse the bytes with those words.
fn refused(bytes: &[u8], words: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let file = directory.join("bad.wasm");
    std::fs::write(&file, bytes).unwrap();
    let inspected = sidewatch(directory, &["rule", "inspect", "bad.wasm"], b"");
    let configuration = format!(
        "data_directory = {:?}\nadmin.listen = \"\"\n[[sources]]\nid = \"m\"\ntype = \"mirror\"\nlisten = \"127.0.0.1:0\"\n\
         [[rules]]\nid = \"bad\"\nfile = {file:?}\n",
        directory.join("data")
    );
    std::fs::write(directory.join("sidewatch.toml"), configuration).unwrap();
    let run = sidewatch(directory, &["run", "sidewatch.toml"], b"");
    for (output, code) in [(inspected, 1), (run, 78)] {
        assert_eq!(output.code, code, "{}", output.err);
        for word in words.iter().chain(&["bad.wasm"]) {
            assert!(
                output.err.contains(word),
                "`{word}` is missing in: {}",
                output.err
            );
        }
    }
}

#[test]
fn an_import_is_refused_by_its_name() {
    refused(
        &wat::parse_str(IMPORTING).unwrap(),
        &["wasi:clocks/wall-clock@0.2.0", "rules import nothing"],
    );
}

#[test]
fn another_version_of_the_interface_is_named() {
    refused(
        &wat::parse_str(OTHER_VERSION).unwrap(),
        &["sidewatch:rule/detection@9.9.9", "version 0.1.0"],
    );
}

#[test]
fn what_is_no_rule_is_told_apart() {
    refused(&wat::parse_str(NO_RULE).unwrap(), &["no rule"]);
    refused(
        &wat::parse_str(CORE_MODULE).unwrap(),
        &["core WebAssembly module", "rule build"],
    );
    let noise: Vec<u8> = (0..4096_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    refused(&noise, &["no WebAssembly component"]);
    refused(b"", &["no WebAssembly component"]);
}

#[test]
fn half_a_component_is_no_component() {
    let whole = std::fs::read(rules().join("impossible-travel.wasm")).unwrap();
    refused(&whole[..whole.len() / 2], &["no WebAssembly component"]);
}

#[test]
fn a_directory_without_rules_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let output = sidewatch(directory.path(), &["replay", "--rules", ".", "-"], b"");
    assert_eq!(output.code, 78, "{}", output.err);
    assert!(
        output.err.contains("no rule components found in .") && output.err.contains("make build"),
        "{}",
        output.err
    );
    assert!(
        !Path::new(directory.path())
            .join("event-mapping.wasm")
            .exists()
    );
}
