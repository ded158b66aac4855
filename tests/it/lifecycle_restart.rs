//! What was decided about rules outlives the process and every signal: bad
//! files do not come in force by a restart, a rollback holds, and nobody waits
//! for a check.

use std::path::Path;
use std::time::{Duration, Instant};

use integration_tests::command::rules;
use integration_tests::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::lifecycle::{
    audited, configured, lay_out, operate, send, start, until_version, versions, witness,
};

fn list(directory: &Path) -> String {
    operate(directory, &["rules", "list"]).out
}

/// The list's lines about a rule.
fn listed(directory: &Path, rule: &str) -> String {
    let text = list(directory);
    let from = text.lines().skip_while(|line| !line.starts_with(rule));
    let of_rule = from
        .enumerate()
        .take_while(|(at, line)| *at == 0 || line.starts_with(' '));
    of_rule.map(|(_, line)| format!("{line}\n")).collect()
}

#[test]
fn a_restart_takes_no_file_a_swap_would_refuse() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    lay_out(directory);
    let own = directory.join("rules");
    let file = own.join("witness.wasm");
    let sidecar = configured(directory)
        .top("trust.older_versions = \"refuse\"")
        .start();
    until_version(&sidecar, "1.1000.0");
    std::fs::write(&file, witness(2_000)).unwrap();
    until_version(&sidecar, "1.2000.0");
    sidecar.settled();
    assert!(sidecar.stop().success());

    // An older version, a copy under another name, a manifest that is none.
    std::fs::write(&file, witness(1_000)).unwrap();
    std::fs::copy(own.join("failed-logins.wasm"), own.join("copied.wasm")).unwrap();
    std::fs::write(own.join("copied.toml"), "enabled = true\n").unwrap();
    std::fs::copy(own.join("failed-logins.wasm"), own.join("unclear.wasm")).unwrap();
    std::fs::write(own.join("unclear.toml"), "enabled = [\n").unwrap();
    let again = || {
        configured(directory)
            .top("trust.older_versions = \"refuse\"")
            .start()
    };
    let sidecar = again();
    send(&sidecar, "/page", 3);
    sidecar.settled();
    assert_eq!(versions(&sidecar).last().unwrap(), "1.2000.0");
    let of_witness = listed(directory, "witness");
    assert!(
        of_witness.contains("last good version")
            && of_witness.contains("version: 1.1000.0 is older"),
        "{of_witness}"
    );
    assert!(listed(directory, "copied").contains("calls itself `failed-logins`"));
    assert!(listed(directory, "unclear").contains("manifest: "));
    let ready = sidecar.get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(
        ready.body.contains("rule witness: 1.2000.0: "),
        "{}",
        ready.body
    );
    assert!(
        ready.body.contains("rule copied: it stays out: "),
        "{}",
        ready.body
    );
    let metrics = sidecar.metrics();
    assert_eq!(metrics.get("rule_swaps_total", &[("result", "refused")]), 3);
    assert_eq!(audited(&sidecar, "rule-refused").len(), 3);
    let mut doctor = integration_tests::command::command(directory);
    doctor.args(["doctor", "sidewatch.toml"]);
    let found = integration_tests::command::run_within(&mut doctor, b"", Duration::from_secs(200));
    assert!(found.out.contains("copied is out: name: "), "{}", found.out);
    // What is put right is taken as ever.
    std::fs::remove_file(own.join("copied.toml")).unwrap();
    std::fs::remove_file(own.join("unclear.toml")).unwrap();
    std::fs::write(&file, witness(3_000)).unwrap();
    until_version(&sidecar, "1.3000.0");
    until("the others' end", || {
        listed(directory, "copied").is_empty().then_some(())
    });
    sidecar.settled();
    assert!(sidecar.stop().success());

    // No component at all.
    std::fs::write(&file, &witness(4_000)[..1_000]).unwrap();
    let sidecar = again();
    until_version(&sidecar, "1.3000.0");
    assert!(
        sidecar
            .log()
            .contains("the last good version 1.3000.0 runs instead")
    );
    sidecar.settled();
    assert!(sidecar.stop().success());
}

#[test]
fn vectors_that_do_not_hold_keep_a_rule_out_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    lay_out(directory);
    let own = directory.join("rules");
    let folder = own.join("witness/tests");
    std::fs::create_dir_all(&folder).unwrap();
    let case =
        r#"[{ "name": "wrong", "events": [{ "time": 1000, "user": "alice" }], "findings": [] }]"#;
    std::fs::write(folder.join("wrong.json"), case).unwrap();
    let sidecar = configured(directory).start();
    let text = listed(directory, "witness");
    assert!(text.contains("vectors: "), "{text}");
    send(&sidecar, "/page", 3);
    sidecar.settled();
    assert!(versions(&sidecar).is_empty());
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(operate(directory, &["rules", "swap", "witness"]).code, 0);
    until_version(&sidecar, "1.1000.0");
    sidecar.settled();
    assert!(sidecar.stop().success());
}

#[test]
fn a_rollback_and_a_swap_from_elsewhere_hold() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    let done = |arguments: &[&str]| {
        let output = operate(directory, arguments);
        assert_eq!(output.code, 0, "{arguments:?}: {}", output.err);
        output.out
    };
    let file = directory.join("rules/witness.wasm");
    std::fs::write(&file, witness(2_000)).unwrap();
    until_version(&sidecar, "1.2000.0");
    done(&["rules", "rollback", "witness"]);
    until_version(&sidecar, "1.1000.0");
    let reloaded = done(&["rules", "reload"]);
    assert!(reloaded.contains("witness: refused: left: "), "{reloaded}");
    sidecar.signal(Signal::SIGHUP);
    until("the reload", || {
        (audited(&sidecar, "configuration-reloaded").len() == 2).then_some(())
    });
    until_version(&sidecar, "1.1000.0");
    assert!(sidecar.stop().success());

    // So it does over a restart; but who is named is taken.
    let sidecar = configured(directory).start();
    until_version(&sidecar, "1.1000.0");
    done(&["rules", "swap", "witness"]);
    until_version(&sidecar, "1.2000.0");
    let next = directory.join("next.wasm");
    std::fs::write(&next, witness(3_000)).unwrap();
    done(&["rules", "swap", "witness", "next.wasm"]);
    until_version(&sidecar, "1.3000.0");
    done(&["rules", "reload"]);
    until_version(&sidecar, "1.3000.0");
    sidecar.settled();
    assert!(sidecar.stop().success());
    let sidecar = configured(directory).start();
    until_version(&sidecar, "1.3000.0");
    // A file that changes is news.
    std::fs::write(&file, witness(4_000)).unwrap();
    until_version(&sidecar, "1.4000.0");
    sidecar.settled();
    assert!(sidecar.stop().success());
}

/// The child of a sidecar that compiles, if there is one.
fn compiler_of(sidecar: u32) -> Option<Pid> {
    let parent = format!("PPid:\t{sidecar}\n");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let read = |number: i32, file: &str| {
        std::fs::read_to_string(format!("/proc/{number}/{file}")).unwrap_or_default()
    };
    numbers
        .filter(|number| read(*number, "status").contains(&parent))
        .find(|number| read(*number, "cmdline").contains("compile-rule"))
        .map(Pid::from_raw)
}

#[test]
fn nobody_waits_for_a_check_and_the_end_does_not_either() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    until_version(&sidecar, "1.1000.0");
    std::fs::write(directory.join("next.wasm"), witness(2_000)).unwrap();
    let begun = std::thread::scope(|scope| {
        let swap = scope.spawn(|| operate(directory, &["rules", "swap", "witness", "next.wasm"]));
        // Whoever compiles it stands still, so its check does not end.
        let compiler = until("the compiler", || compiler_of(sidecar.process_id()));
        kill(compiler, Signal::SIGSTOP).unwrap();
        assert!(list(directory).contains("1.1000.0"));
        for verb in ["disable", "enable"] {
            let done = operate(directory, &["rules", verb, "witness"]);
            assert_eq!(done.code, 0, "{verb}: {}", done.err);
        }
        assert!(!swap.is_finished());
        let begun = Instant::now();
        assert!(sidecar.stop().success());
        kill(compiler, Signal::SIGKILL).unwrap();
        assert_eq!(swap.join().unwrap().code, 1);
        begun
    });
    // Of the two and a half minutes an answer may take, nothing.
    assert!(begun.elapsed() < Duration::from_secs(100));
}

#[test]
fn a_mapping_rule_is_taken_from_another_file_and_its_refusal_is_shown() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    let sidecar = start(directory);
    let good = std::fs::read(rules().join("event-mapping.wasm")).unwrap();
    std::fs::write(directory.join("half.wasm"), &good[..good.len() / 2]).unwrap();
    let refused = operate(directory, &["rules", "swap", "event-mapping", "half.wasm"]);
    assert_eq!(refused.code, 1, "{}", refused.out);
    let text = listed(directory, "event-mapping");
    assert!(
        text.contains("refused ") && text.contains("component: "),
        "{text}"
    );
    // A custom section more: the same rule with another digest.
    let mut other = good;
    other.extend_from_slice(b"\x00\x05\x04note");
    std::fs::write(directory.join("other.wasm"), &other).unwrap();
    let before = listed(directory, "event-mapping");
    let done = operate(directory, &["rules", "swap", "event-mapping", "other.wasm"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let text = listed(directory, "event-mapping");
    assert!(!text.contains("refused "), "{text}");
    assert_ne!(
        before.split_whitespace().nth(4),
        text.split_whitespace().nth(4)
    );
    send(&sidecar, "/page", 3);
    sidecar.settled();
    assert!(sidecar.stop().success());
}
