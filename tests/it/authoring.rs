//! The way of somebody who writes a rule.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use integration_tests::command::{profile_directory, repository, run_within};
use integration_tests::sidewatch;

/// Compiling on a busy machine.
const COMPILING: Duration = Duration::from_secs(300);

/// As `rules/README.md` has it.
const VECTORS: &str = r#"
[[case]]
name = "the fifth failure within ten minutes is reported"
defaults = { user = "zoe", activity = "login-failure", from = "192.0.2.7" }
events = [{ minutes = 0 }, { minutes = 1 }, { minutes = 2 }, { minutes = 3 }, { minutes = 4 }]
findings = [{ kind = "night-login", event = 4, severity = 6, evidence = { failures = 5 } }]
"#;

/// Kept between runs, so that dependencies are compiled once.
fn shared_target() -> PathBuf {
    let path = profile_directory().parent().unwrap().join("rule-author");
    std::fs::create_dir_all(&path).unwrap();
    path
}

#[test]
fn a_new_rule_passes_its_tests_builds_and_can_be_inspected() {
    let directory = tempfile::tempdir().unwrap();
    let sdk = repository().join("guest-rules/rule-sdk");
    let made = sidewatch(
        directory.path(),
        &["rule", "new", "night-login", "--sdk", sdk.to_str().unwrap()],
        b"",
    );
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(
        made.out.contains("cargo test"),
        "it says what to do next: {}",
        made.out
    );
    let rule = directory.path().join("night-login");
    // Resolve as the workspace does, so that nothing has to be fetched.
    std::fs::copy(repository().join("Cargo.lock"), rule.join("Cargo.lock")).unwrap();

    std::os::unix::fs::symlink(shared_target(), rule.join("target")).unwrap();

    let mut test = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    test.arg("test")
        .current_dir(&rule)
        .env_remove("CARGO_TARGET_DIR")
        .env("CARGO_NET_OFFLINE", "true");
    let tested = run_within(&mut test, b"", COMPILING);
    assert_eq!(tested.code, 0, "{}\n{}", tested.out, tested.err);
    assert!(tested.out.contains("3 passed"), "{}", tested.out);

    let mut build = integration_tests::command::command(directory.path());
    build
        .args(["rule", "build", "night-login"])
        .env("CARGO_NET_OFFLINE", "true");
    let built = run_within(&mut build, b"", COMPILING);
    assert_eq!(built.code, 0, "{}", built.err);

    std::fs::create_dir(rule.join("tests")).unwrap();
    std::fs::write(rule.join("tests/failures.toml"), VECTORS).unwrap();
    let tested = sidewatch(directory.path(), &["test", "night-login"], b"");
    assert_eq!(tested.code, 0, "{}\n{}", tested.out, tested.err);
    assert!(tested.out.contains("1 cases hold"), "{}", tested.out);

    let inspected = sidewatch(
        directory.path(),
        &["rule", "inspect", "night-login/target/night-login.wasm"],
        b"",
    );
    assert_eq!(inspected.code, 0, "{}", inspected.err);
    for word in [
        "rule       night-login 0.1.0",
        "imports    none",
        "sidewatch:rule/detection@0.1.0",
        "state      per user",
        "parameters failures, minutes",
    ] {
        assert!(
            inspected.out.contains(word),
            "`{word}` is missing in: {}",
            inspected.out
        );
    }
    let parameter = [
        "rule",
        "inspect",
        "night-login/target/night-login.wasm",
        "--parameters",
        "{\"failures\": 1}",
    ];
    let refused = sidewatch(directory.path(), &parameter, b"");
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("parameter `failures`"),
        "{}",
        refused.err
    );
}

#[test]
fn a_name_that_is_none_and_a_directory_in_the_way_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let sdk = repository().join("guest-rules/rule-sdk");
    let new = |name: &str| {
        sidewatch(
            directory.path(),
            &["rule", "new", name, "--sdk", sdk.to_str().unwrap()],
            b"",
        )
    };
    for name in ["Night", "night_login", "-night", "../night"] {
        let refused = new(name);
        assert_ne!(refused.code, 0, "{name}");
        assert!(!refused.err.contains("panicked"), "{name}: {}", refused.err);
    }
    std::fs::create_dir(directory.path().join("taken")).unwrap();
    let refused = new("taken");
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("exists already"), "{}", refused.err);
}
