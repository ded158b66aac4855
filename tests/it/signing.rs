//! Signed rules: keys, signatures beside components, and what a sidecar that
//! requires them does with others.

use std::path::Path;

use integration_tests::command::{program, rules, run};
use integration_tests::sidewatch;

/// A directory with one rule of the project, and keys that have signed it.
pub(crate) fn signed(directory: &Path) -> String {
    let names = ["event-mapping.wasm", "failed-logins.wasm"];
    for name in names {
        std::fs::copy(rules().join(name), directory.join(name)).unwrap();
    }
    let made = sidewatch(directory, &["rule", "keygen", "ours", "--no-password"], b"");
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.contains("[trust]"), "{}", made.out);
    let mut sign = vec!["rule", "sign", "--key", "ours.key"];
    sign.extend(names);
    let done = sidewatch(directory, &sign, b"");
    assert_eq!(done.code, 0, "{}", done.err);
    assert!(
        done.out
            .contains("failed-logins.wasm.minisig (failed-logins "),
        "{}",
        done.out
    );
    let key = made.out.split('"').nth(1).unwrap();
    key.to_owned()
}

/// Checks a configuration that trusts `key` and runs the signed rule.
fn validate(directory: &Path, trust: &str) -> integration_tests::Output {
    let text = format!(
        "data_directory = {:?}\nrules_directory = {directory:?}\n[trust]\n{trust}\n\
         [[sources]]\nid = \"m\"\ntype = \"mirror\"\nlisten = \"127.0.0.1:0\"\n\
         [[rules]]\nid = \"failed-logins\"\n\
         [[rules]]\nid = \"impossible-travel\"\nenabled = false\n\
         [[rules]]\nid = \"account-sharing\"\nenabled = false\n\
         [[rules]]\nid = \"session-moved\"\nenabled = false\n\
         [[rules]]\nid = \"password-spray\"\nenabled = false\n",
        directory.join("data")
    );
    std::fs::write(directory.join("sidewatch.toml"), text).unwrap();
    sidewatch(directory, &["validate", "sidewatch.toml"], b"")
}

#[test]
fn only_what_a_trusted_key_signed_is_run() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let key = signed(directory);
    let trusting = format!("keys = [\"{key}\"]");
    let good = validate(directory, &trusting);
    assert_eq!(good.code, 0, "{}", good.err);
    let by_file = validate(
        directory,
        &format!("key_files = [{:?}]", directory.join("ours.pub")),
    );
    assert_eq!(by_file.code, 0, "{}", by_file.err);

    let inspected = sidewatch(
        directory,
        &["rule", "inspect", "failed-logins.wasm", "--key", "ours.pub"],
        b"",
    );
    assert!(
        inspected
            .out
            .contains(&format!("signature  good, by {key}")),
        "{}{}",
        inspected.out,
        inspected.err
    );

    let component = directory.join("failed-logins.wasm");
    let whole = std::fs::read(&component).unwrap();
    // A custom section more: still a rule, but not the one that was signed.
    let mut other = whole.clone();
    other.extend_from_slice(b"\x00\x05\x04note");
    std::fs::write(&component, &other).unwrap();
    let changed = validate(directory, &trusting);
    assert_eq!(changed.code, 78);
    assert!(
        changed.err.contains("failed-logins") && changed.err.contains("does not fit these bytes"),
        "{}",
        changed.err
    );
    let warned = validate(directory, &format!("{trusting}\nsignatures = \"warn\""));
    assert_eq!(warned.code, 0, "{}", warned.err);
    assert!(
        warned.err.contains("nobody trusted has signed it"),
        "{}",
        warned.err
    );
    let off = validate(directory, "signatures = \"off\"");
    assert_eq!(
        (off.code, off.err.contains("nobody")),
        (0, false),
        "{}",
        off.err
    );

    std::fs::write(&component, &whole).unwrap();
    std::fs::remove_file(directory.join("failed-logins.wasm.minisig")).unwrap();
    let missing = validate(directory, &trusting);
    assert_eq!(missing.code, 78);
    assert!(
        missing.err.contains("sidewatch rule sign"),
        "{}",
        missing.err
    );
}

#[test]
fn a_strangers_signature_and_a_wrong_key_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    signed(directory);
    let other = sidewatch(
        directory,
        &["rule", "keygen", "theirs", "--no-password"],
        b"",
    );
    let key = other.out.split('"').nth(1).unwrap();
    let refused = validate(directory, &format!("keys = [\"{key}\"]"));
    assert_eq!(refused.code, 78);
    assert!(
        refused.err.contains("none of the trusted keys"),
        "{}",
        refused.err
    );
    let nonsense = validate(directory, "keys = [\"RWnonsense\"]");
    assert_eq!(nonsense.code, 78);
    assert!(nonsense.err.contains("key 1 "), "{}", nonsense.err);
    assert!(!nonsense.err.contains("RWnonsense"), "it may be a secret");
    let again = sidewatch(directory, &["rule", "keygen", "ours", "--no-password"], b"");
    assert_eq!(again.code, 1, "keys are never written over");
    assert!(again.err.contains("ours.key"), "{}", again.err);
}

#[test]
fn a_secret_key_with_a_password_needs_it() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    std::fs::copy(rules().join("failed-logins.wasm"), directory.join("r.wasm")).unwrap();
    std::fs::write(directory.join("right"), "open sesame\n").unwrap();
    std::fs::write(directory.join("wrong"), "open barley\n").unwrap();
    let made = sidewatch(
        directory,
        &["rule", "keygen", "k", "--password-file", "right"],
        b"",
    );
    assert_eq!(made.code, 0, "{}", made.err);
    let sign = |password: &str| {
        sidewatch(
            directory,
            &[
                "rule",
                "sign",
                "r.wasm",
                "--key",
                "k.key",
                "--password-file",
                password,
            ],
            b"",
        )
    };
    let refused = sign("wrong");
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("k.key"), "{}", refused.err);
    assert!(!directory.join("r.wasm.minisig").exists());
    assert_eq!(sign("right").code, 0);
}

#[test]
fn where_no_password_can_be_asked_for_the_ways_without_one_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    // A session of its own has no terminal, wherever the tests are run.
    let alone = |arguments: &[&str]| {
        let mut command = std::process::Command::new("setsid");
        command.arg("--wait").arg(program()).args(arguments);
        run(command.current_dir(directory), b"")
    };
    let refused = alone(&["rule", "keygen", "ours"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    for word in ["no terminal", "--password-file FILE", "--no-password"] {
        assert!(refused.err.contains(word), "{}", refused.err);
    }
    assert!(!directory.join("ours.key").exists());

    std::fs::copy(rules().join("failed-logins.wasm"), directory.join("r.wasm")).unwrap();
    std::fs::write(directory.join("right"), "open sesame\n").unwrap();
    let made = alone(&["rule", "keygen", "ours", "--password-file", "right"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let refused = alone(&["rule", "sign", "r.wasm", "--key", "ours.key"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(
        refused.err.contains("--password-file FILE"),
        "{}",
        refused.err
    );
}
