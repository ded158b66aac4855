//! Mistakes of whoever changes rules: each is told at its place, in a line of
//! its own, and leaves nothing behind.

use integration_tests::command::{fixture, rules};
use integration_tests::{sidewatch, until};

use crate::lifecycle::{audited, operate, send, start, witness};

#[test]
fn a_name_nobody_configured_is_refused_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    std::fs::write(directory.join("next.wasm"), witness(2_000)).unwrap();
    for arguments in [
        &["rules", "swap", "nobody"][..],
        &["rules", "swap", "nobody", "next.wasm"],
        &["rules", "enable", "nobody"],
        &["rules", "disable", "nobody"],
        &["rules", "rollback", "nobody"],
        &["rules", "shadow", "nobody", "next.wasm"],
        &["rules", "shadow", "nobody", "--end"],
        &["rules", "diff", "nobody"],
        &["rules", "quarantine", "nobody"],
    ] {
        let refused = operate(directory, arguments);
        assert_eq!(refused.code, 1, "{arguments:?}: {}", refused.out);
        assert!(
            refused.err.contains("there is no rule `nobody`") && refused.err.contains("witness"),
            "{arguments:?}: {}",
            refused.err
        );
    }
    let typo = operate(directory, &["rules", "swap", "witnes"]);
    assert!(typo.err.contains("did you mean `witness`"), "{}", typo.err);
    // A component alone is none either, but somebody may have forgotten its manifest.
    let own = directory.join("rules");
    std::fs::copy(fixture("misbehaving"), own.join("misbehaving.wasm")).unwrap();
    let alone = operate(directory, &["rules", "swap", "misbehaving"]);
    assert!(alone.err.contains("misbehaving.toml"), "{}", alone.err);
    let list = operate(directory, &["rules", "list"]).out;
    assert!(
        !list.contains("nobody") && !list.contains("misbehaving") && !list.contains("refused"),
        "{list}"
    );
    let metrics = sidecar.metrics();
    assert_eq!(metrics.get("rule_swaps_total", &[("result", "refused")]), 0);
    until("the events about what was not done", || {
        let told = audited(&sidecar, "rule-change-failed");
        let of_nobody = told
            .iter()
            .filter(|event| event["labels"]["rule"] == "nobody");
        (of_nobody.count() == 7).then_some(())
    });
    assert!(sidecar.stop().success());
}

#[test]
fn a_wrong_manifest_is_told_on_one_line_with_its_place_and_what_would_be_right() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    let own = directory.join("rules");
    std::fs::copy(fixture("misbehaving"), own.join("misbehaving.wasm")).unwrap();
    let manifest = own.join("misbehaving.toml");
    for (text, place, words) in [
        ("enabled = [\n", ":", &["misbehaving.toml:"][..]),
        ("\nenable = true\n", ":2:1: ", &["did you mean `enabled`?"]),
        ("enabled = \"yes\"\n", ":1:11: ", &["`enabled`", "boolean"]),
        (
            "limits = { frame_milliseconds = \"x\" }\n",
            ":1:",
            &["`frame_milliseconds`"],
        ),
    ] {
        std::fs::write(&manifest, text).unwrap();
        let place = format!("misbehaving.toml{place}");
        let record = until(&format!("the record about {text:?}"), || {
            let log = sidecar.log();
            let mut lines = log.lines().rev();
            let about = lines
                .find(|line| line.contains("misbehaving.toml:"))?
                .to_owned();
            let whole = |word: &&str| about.contains(*word);
            (about.contains(&place) && words.iter().all(whole)).then_some(about)
        });
        assert!(record.contains(" ERROR "), "{record}");
    }
    // Every line of the log begins as a record does, or is of the summary.
    for line in sidecar.log().lines() {
        assert!(!line.trim_start().starts_with('|'), "{line}");
    }
    assert!(sidecar.stop().success());
}

#[test]
fn a_component_under_another_name_is_refused_wherever_it_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    let own = directory.join("rules");
    std::fs::copy(rules().join("failed-logins.wasm"), own.join("copied.wasm")).unwrap();
    std::fs::write(own.join("copied.toml"), "enabled = true\n").unwrap();
    let says = "calls itself `failed-logins`; name its file, manifest and `[[rules]]` entry `failed-logins`";
    until("the refusal", || {
        let list = operate(directory, &["rules", "list"]).out;
        list.contains(says).then_some(())
    });
    send(&sidecar, "/page", 1);
    assert!(sidecar.stop().success());
    std::fs::write(directory.join("access.log"), "").unwrap();
    let config = "rules_directory = \"rules\"\n";
    std::fs::write(directory.join("replay.toml"), config).unwrap();
    let replayed = sidewatch(
        directory,
        &["replay", "--config", "replay.toml", "access.log"],
        b"",
    );
    assert_eq!(replayed.code, 78, "{}", replayed.out);
    assert!(replayed.err.contains(says), "{}", replayed.err);
}
