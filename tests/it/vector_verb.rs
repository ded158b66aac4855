//! `sidewatch test`: the vectors as a rule's author uses them.

use std::path::Path;

use integration_tests::command::{repository, rules};
use integration_tests::sidewatch;

/// A folder `failed-logins` with one vector file.
fn with_vectors(directory: &Path, name: &str, text: &str) {
    let tests = directory.join("failed-logins/tests");
    std::fs::create_dir_all(&tests).unwrap();
    std::fs::write(tests.join(name), text).unwrap();
}

const HOLDS: &str = r#"
[[case]]
name = "one failure is nothing"
defaults = { user = "zoe", activity = "login-failure" }
events = [{ minutes = 0 }]

[[case]]
name = "many failures of one user"
defaults = { user = "zoe", activity = "login-failure", from = "192.0.2.7" }
events = [
  { minutes = 0.0 }, { minutes = 0.1 }, { minutes = 0.2 }, { minutes = 0.3 }, { minutes = 0.4 },
  { minutes = 0.5 }, { minutes = 0.6 }, { minutes = 0.7 }, { minutes = 0.8 }, { minutes = 0.9 },
]
parameters = { failures = 10 }
findings = [{ kind = "failed-login-burst", event = 9 }]
"#;

#[test]
fn the_shipped_vectors_hold_through_their_components() {
    let directory = tempfile::tempdir().unwrap();
    let path = repository().join("rules");
    let tested = sidewatch(directory.path(), &["test", path.to_str().unwrap()], b"");
    assert_eq!(tested.code, 0, "{}\n{}", tested.out, tested.err);
    for word in [
        "impossible-travel",
        "takeover-steps",
        "pack mattermost",
        ", 0 do not",
    ] {
        assert!(tested.out.contains(word), "`{word}`: {}", tested.out);
    }
}

#[test]
fn differences_are_told_and_written_down_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let source = repository().join("rules/failed-logins/tests/passwords.json");
    let right = std::fs::read_to_string(&source).unwrap();
    with_vectors(directory, "passwords.json", &right);
    let test = |more: &[&str]| {
        let mut arguments = vec!["test", "failed-logins"];
        arguments.extend(more);
        sidewatch(directory, &arguments, b"")
    };
    let tested = test(&[]);
    assert_eq!(tested.code, 0, "{}", tested.err);

    let mut cases: serde_json::Value = serde_json::from_str(&right).unwrap();
    let case = cases
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(|case| {
            case["findings"]
                .as_array()
                .is_some_and(|list| !list.is_empty())
        })
        .unwrap();
    let name = case["name"].as_str().unwrap().to_owned();
    case["findings"][0]["severity"] = 0.into();
    with_vectors(directory, "passwords.json", &cases.to_string());
    let wrong = test(&[]);
    assert_eq!(wrong.code, 1);
    assert!(
        wrong.err.contains(&name) && wrong.err.contains("severity: expected 0, found "),
        "{}",
        wrong.err
    );
    assert!(wrong.out.contains("1 do not"), "{}", wrong.out);

    let updated = test(&["--update"]);
    assert_eq!(updated.code, 0, "{}", updated.err);
    assert_eq!(test(&[]).code, 0);
    let after = std::fs::read_to_string(directory.join("failed-logins/tests/passwords.json"));
    let after: serde_json::Value = serde_json::from_str(&after.unwrap()).unwrap();
    let count = |cases: &serde_json::Value| cases.as_array().unwrap().len();
    assert_eq!(count(&after), count(&cases));
}

#[test]
fn vectors_may_be_toml_and_mistakes_in_them_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    with_vectors(directory, "cases.toml", HOLDS);
    let component = rules().join("failed-logins.wasm");
    let arguments = [
        "test",
        "failed-logins",
        "--component",
        component.to_str().unwrap(),
    ];
    let tested = sidewatch(directory, &arguments, b"");
    assert_eq!(tested.code, 0, "{}\n{}", tested.out, tested.err);
    assert!(tested.out.contains("2 cases hold"), "{}", tested.out);
    with_vectors(
        directory,
        "cases.toml",
        &HOLDS.replace("findings = ", "finding = "),
    );
    let refused = sidewatch(directory, &arguments, b"");
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains("cases.toml") && refused.err.contains("finding"),
        "{}",
        refused.err
    );
}

#[test]
fn a_file_without_cases_is_no_test() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let component = rules().join("failed-logins.wasm");
    for (name, text) in [("none.json", "[]"), ("none.toml", "case = []\n")] {
        with_vectors(directory, name, text);
        let component = component.to_str().unwrap();
        let arguments = ["test", "failed-logins", "--component", component];
        let refused = sidewatch(directory, &arguments, b"");
        assert_eq!(refused.code, 1, "{name}: {}", refused.out);
        assert!(
            refused.err.contains(name) && refused.err.contains("empty"),
            "{}",
            refused.err
        );
        std::fs::remove_file(directory.join("failed-logins/tests").join(name)).unwrap();
    }
    // The same for a pack's.
    let made = sidewatch(directory, &["pack", "new", "mine"], b"");
    assert_eq!(made.code, 0, "{}", made.err);
    std::fs::write(directory.join("mine/tests/requests.toml"), "").unwrap();
    let refused = sidewatch(directory, &["test", "mine"], b"");
    assert_eq!(refused.code, 1, "{}", refused.out);
    assert!(refused.err.contains("requests.toml"), "{}", refused.err);
}
