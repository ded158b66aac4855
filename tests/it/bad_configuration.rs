//! Wrong configurations and arguments: a clear message, the right exit code.

use std::path::Path;

use integration_tests::{Output, sidewatch};

/// `EX_CONFIG`: the file is wrong.
const CONFIG: i32 = 78;

fn run(directory: &Path, verb: &str, text: &str) -> Output {
    let data = directory.join("data");
    let head = format!("data_directory = {data:?}\nadmin.listen = \"127.0.0.1:0\"\n");
    std::fs::write(directory.join("sidewatch.toml"), head + text).unwrap();
    sidewatch(directory, &[verb, "sidewatch.toml"], b"")
}

/// Both `run` and `validate` refuse the text with that code and those words.
fn refused(text: &str, code: i32, words: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    for verb in ["validate", "run"] {
        let output = run(directory.path(), verb, text);
        assert_eq!(output.code, code, "{verb}: {}", output.err);
        for word in words {
            assert!(
                output.err.contains(word),
                "{verb}: `{word}` is missing in: {}",
                output.err
            );
        }
        assert!(!output.err.contains("panicked"), "{}", output.err);
    }
}

const MIRROR: &str = "[[sources]]\nid = \"mirror\"\ntype = \"mirror\"\nlisten = \"127.0.0.1:0\"\n";

#[test]
fn an_unknown_key_is_named_with_line_and_nearest_key() {
    refused(
        "[[sources]]\nid = \"m\"\ntype = \"mirror\"\nmax_body_byte = 5\n",
        CONFIG,
        &[
            "sidewatch.toml:6:",
            "max_body_byte",
            "did you mean `max_body_bytes`",
        ],
    );
    refused(
        &format!("{MIRROR}[[sinks]]\nid = \"f\"\ntype = \"file\"\npaht = \"/tmp/x\"\n"),
        CONFIG,
        &["sidewatch.toml:10:", "did you mean `path`"],
    );
    refused(
        "[joins]\nenabled = false\n",
        CONFIG,
        &["sidewatch.toml:3:", "did you mean `join`"],
    );
    refused(
        &format!(
            "{MIRROR}[[rules]]\nid = \"impossible-travel\"\n[rules.limits]\nframe_millisecond = 1\n"
        ),
        CONFIG,
        &["did you mean `frame_milliseconds`"],
    );
}

#[test]
fn broken_text_is_placed() {
    refused("[[sources]\n", CONFIG, &["sidewatch.toml:3:"]);
    refused("join = 5\n", CONFIG, &["sidewatch.toml:3:"]);
}

#[test]
fn a_missing_configuration_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for verb in ["validate", "run"] {
        let output = sidewatch(directory.path(), &[verb, "nowhere.toml"], b"");
        assert_eq!(output.code, CONFIG, "{}", output.err);
        assert!(output.err.contains("nowhere.toml"), "{}", output.err);
    }
}

#[test]
fn no_source_is_no_configuration() {
    refused("", CONFIG, &["no source is configured", "[[sources]]"]);
}

#[test]
fn an_unknown_pack_is_answered_with_the_known_ones() {
    refused(
        &MIRROR.replace("type", "pack = \"matermost\"\ntype"),
        CONFIG,
        &["did you mean `mattermost`", "nginx"],
    );
    let directory = tempfile::tempdir().unwrap();
    let output = sidewatch(
        directory.path(),
        &["replay", "--pack", "wordpress", "-"],
        b"",
    );
    assert_eq!(output.code, CONFIG, "{}", output.err);
    assert!(
        output.err.contains("wordpress") && output.err.contains("mattermost"),
        "{}",
        output.err
    );
}

#[test]
fn a_wrong_log_format_is_explained() {
    let syslog = |format: &str| {
        format!(
            "[[sources]]\nid = \"access\"\ntype = \"syslog\"\nudp = \"127.0.0.1:0\"\nformat = '{format}'\n"
        )
    };
    refused(
        &syslog("$remote_addr$status"),
        CONFIG,
        &["source `access`", "remote_addr", "put a blank"],
    );
    refused(
        &syslog("$remote_addr ${status"),
        CONFIG,
        &["source `access`", "not closed"],
    );
    refused(&syslog("combind"), CONFIG, &["source `access`", "combined"]);
    refused(
        &syslog("no variable in here"),
        CONFIG,
        &["source `access`", "format"],
    );
    let directory = tempfile::tempdir().unwrap();
    let output = sidewatch(
        directory.path(),
        &[
            "replay",
            "--log-format",
            "log_format broken '$remote_addr",
            "-",
        ],
        b"",
    );
    assert_eq!(output.code, CONFIG, "{}", output.err);
    assert!(output.err.contains("--log-format"), "{}", output.err);
}

#[test]
fn a_wrong_rule_parameter_is_named() {
    let rule = |parameter: &str| {
        format!("{MIRROR}[[rules]]\nid = \"impossible-travel\"\nparameters = {{ {parameter} }}\n")
    };
    refused(
        &rule("max_speed = 5"),
        CONFIG,
        &["rule `impossible-travel`", "max_speed"],
    );
    refused(
        &rule("default_accuracy_km = \"far\""),
        CONFIG,
        &[
            "rule `impossible-travel`",
            "parameter `default_accuracy_km`",
        ],
    );
    refused(
        &format!("{MIRROR}[[rules]]\nid = \"imposible-travel\"\n"),
        CONFIG,
        &["imposible-travel", "did you mean `impossible-travel`"],
    );
}

#[test]
fn a_secret_path_that_is_none_is_named() {
    refused(
        &format!("secret_paths = [\"/{{token}}\"]\n{MIRROR}"),
        CONFIG,
        &["secret_paths", "`/{token}`", "/reset/{token}"],
    );
}

#[test]
fn a_secret_path_of_one_source_that_is_none_is_named() {
    refused(
        &format!("{MIRROR}request.secret_paths = [\"/{{token}}\"]\n"),
        CONFIG,
        &["`mirror`", "secret_paths", "`/{token}`"],
    );
}

#[test]
fn a_secret_of_the_wrong_kind_is_not_told_but_its_key_is() {
    let directory = tempfile::tempdir().unwrap();
    let sink = "[[sinks]]\nid = \"t\"\ntype = \"tirreno\"\nurl = \"http://127.0.0.1:1\"\n";
    for (text, secret, key) in [
        (
            format!("{MIRROR}tokens = \"hush-hush-hush-hush\"\n"),
            "hush",
            "`tokens`: invalid type: string, expected",
        ),
        (
            format!("{MIRROR}{sink}api_key = 123456789\n"),
            "123456789",
            "`api_key`: invalid type: integer, expected",
        ),
        (
            format!("{MIRROR}tokens = [\"c2VjcmV0c2VjcmV0c2=\", 5 5]\n"),
            "c2Vj",
            "`tokens`: ",
        ),
    ] {
        for verb in ["validate", "run"] {
            let output = run(directory.path(), verb, &text);
            assert_eq!(output.code, CONFIG, "{verb}: {}", output.err);
            assert!(output.err.contains(key), "{verb}: {}", output.err);
            assert!(!output.err.contains(secret), "{verb}: {}", output.err);
        }
    }
}

/// Arguments and what the message names.
const SENSELESS: &[(&[&str], &str)] = &[
    (&["tap", "--field", "bogus"], "NAME=VALUE"),
    (&["tap", "--field", "user.nam=zoe"], "user.name"),
    (
        &["tap", "--findings", "--field", "user.name=zoe"],
        "--field",
    ),
    (&["tap", "--kind", ""], "kinds"),
    (&["edge", "build", "--output", "app"], "--url"),
    (
        &["edge", "build", "--output", "app", "--url", "ftp://a/"],
        "ftp://a/",
    ),
    (
        &[
            "edge",
            "build",
            "--output",
            "app",
            "--status-header",
            "X Status",
        ],
        "X-Status",
    ),
    (
        &[
            "edge",
            "build",
            "--output",
            "app",
            "--geo-header",
            "planet=X-Planet",
        ],
        "country",
    ),
    (
        &[
            "edge",
            "build",
            "--output",
            "app",
            "--geo-header",
            "city=X City",
        ],
        "header",
    ),
    (
        &["edge", "build", "--output", "app", "--name", "my app"],
        "letter",
    ),
    (
        &["edge", "build", "--output", "app", "--store", "Rule States"],
        "rule-states",
    ),
    (&["replay", "--setting", "x", "-"], "NAME=VALUE"),
    (&["replay", "--resume", "state", "-"], "standard input"),
    (
        &[
            "rules",
            "list",
            "--control",
            "192.0.2.1:1",
            "--token-file",
            "t",
        ],
        "SSH tunnel",
    ),
    (&["dlq", "purge", "sidewatch.toml"], "--all"),
    (&["rule", "new", "Night"], "night-login"),
    (&["pack", "new", "My Pack"], "my-application"),
    (
        &["rule", "inspect", "x.wasm", "--parameters", "[1]"],
        "JSON object",
    ),
    (
        &["rule", "sign", "x.wasm", "--key", "k", "--comment", "a\nb"],
        "one line",
    ),
];

#[test]
fn arguments_that_make_no_sense_end_with_two_and_say_what_would() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("sidewatch.toml"), MIRROR).unwrap();
    for (arguments, word) in SENSELESS {
        let ended = sidewatch(directory.path(), arguments, b"");
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(word), "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains("--help"), "{arguments:?}: {}", ended.err);
    }
    assert!(!directory.path().join("app").exists());
}

#[test]
fn wrong_usage_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let output = sidewatch(directory.path(), &["replya"], b"");
    assert_eq!(output.code, 2);
    assert!(
        output.err.contains("replay"),
        "the nearest verb: {}",
        output.err
    );
    let output = sidewatch(directory.path(), &["--log", "a=b=c", "demo"], b"");
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(output.err.contains("a=b=c"), "{}", output.err);
    assert_eq!(sidewatch(directory.path(), &["--help"], b"").code, 0);
}
